"""One place for the name, title and format of each figure, gate and stage.

A figure has one name everywhere: `latency_1_us` in reports and TensorBoard is limited by
`compression.budget.latency_1_us` and by `gates.max_latency_1_us`, and titled "us/row, batch 1".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ranklite.models.reporting.tables import number


@dataclasses.dataclass(frozen=True)
class Metric:
    """A figure of a model file.

    Attributes:
      name: Its key in reports, budgets and TensorBoard; `max_` or `min_` before it names its gate.
      title: For a column.
      form: How it is written.
      precise: How it is written where runs or recipes are compared.
      better: 1 where more is better, -1 where less is, 0 where neither.
    """

    name: str
    title: str
    form: str
    precise: str
    better: int

    def text(self, value: float | None, *, precise: bool = False) -> str:
        """The figure as text; a dash where there is none.

        Example:
          >>> METRICS["auc"].text(0.71846)
          '0.7185'
        """
        return number(value, self.precise if precise else self.form)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("auc", "AUC", "{:.4f}", "{:.5f}", 1),
        Metric("log_loss", "log loss", "{:.4f}", "{:.5f}", -1),
        Metric("calibration", "calibration", "{:.3f}", "{:.5f}", 0),
        Metric("gauc", "GAUC", "{:.4f}", "{:.5f}", 1),
        Metric("ndcg_at_10", "NDCG@10", "{:.4f}", "{:.5f}", 1),
        Metric("bytes", "bytes", "{:,.0f}", "{:,.0f}", -1),
        Metric("gzip_bytes", "gzipped", "{:,.0f}", "{:,.0f}", -1),
        Metric("latency_1_us", "us/row, batch 1", "{:.2f}", "{:.2f}", -1),
        Metric("latency_512_us", "us/row, batch 512", "{:.2f}", "{:.2f}", -1),
    )
}
ACCURACY = tuple(METRICS[n] for n in ("auc", "log_loss", "calibration", "gauc", "ndcg_at_10"))
COSTS = tuple(METRICS[n] for n in ("bytes", "gzip_bytes", "latency_1_us", "latency_512_us"))
OF_TRIALS = (*ACCURACY, *COSTS)  # GAUC and NDCG only where the log names a user

_GATES = {  # those that do not bound a figure as it is
    "max_auc_drop": "AUC lost to float",
    "max_gauc_drop": "GAUC lost to float",
    "max_ndcg_at_10_drop": "NDCG@10 lost to float",
    "max_log_loss_rise": "log loss added to float",
    "max_auc_drop_from_blessed": "AUC lost to the model pushed last",
    "max_gauc_drop_from_blessed": "GAUC lost to the model pushed last",
    "max_ndcg_at_10_drop_from_blessed": "NDCG@10 lost to the model pushed last",
    "max_log_loss_rise_from_blessed": "log loss added to the model pushed last",
    "max_auc_fall": "AUC lost since the last push",
    "min_gain_over_constant": "log loss gained over the constant",
    "min_gain_over_baselines": "AUC gained over baselines",
    "max_parity": "score against Keras",
    "max_raw_parity": "score raw against ids",
    "max_false_matches": "values taken for others",
    "max_log_parity": "score from the log file",
    "max_unseen": "unseen or missing values",
    "max_single_feature_auc": "AUC of one feature alone",
    "max_score_change": "largest score change",
    "max_score_change_p999": "score change, 99.9 %",
    "min_distinct_scores": "distinct scores",
    "min_integer_share": "integer share",
}
_OF_STATES = ("auc", "log_loss", "gauc", "ndcg_at_10")
_STATES = {  # of the past, by view of `components.log_example_gen.point_in_time.views`
    "configured": "as configured",
    "user_at_request": "user's state at each request",
    "user_at_session_start": "user's state at session start",
    "items_at_request": "items' state at each request",
    "items_of_last_day": "items' state of the day before",
    "items_frozen": "items' state never refreshed",
}
_STAGES = {
    "control": "float control",
    "quantized": "quantized (Keras)",
    "shipped": "shipped file",
}
_QUANTIZATION = {"calibrated": "PTQ", "trained": "QAT"}


def title(name: str) -> str:
    """Title of a figure; of one that is not known, its name."""
    return METRICS[name].title if name in METRICS else name.replace("_", " ")


def gate_title(gate: str) -> str:
    """Title of a gate by its key.

    Example:
      >>> gate_title("max_latency_1_us"), gate_title("max_auc_drop")
      ('us/row, batch 1', 'AUC lost to float')
    """
    return _GATES.get(gate) or title(gate.removeprefix("max_").removeprefix("min_"))


def stage_title(stage: str) -> str:
    """What a person calls a stage of a model."""
    return _STAGES.get(stage, stage.replace("_", " "))


def measured_files(report: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of every stage, and of the shipped one in the files of further targets, by title."""
    stages = {stage_title(stage): figures for stage, figures in report["stages"].items()}
    return stages | {
        f"{stage_title('shipped')}, {figures['title']}": figures
        for figures in report.get("targets", {}).values()
    }


def state_title(state: str) -> str:
    """What a person calls a state of the past that rows are scored with."""
    return _STATES.get(state, state.replace("_", " "))


def state_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """Title, AUC, log loss, GAUC and NDCG@10 of the shipped file by state, the configured first."""
    measured = report.get("states") or {}
    if not measured:
        return []
    states = {"configured": report["stages"]["shipped"], **measured}
    return [
        [state_title(state), *(METRICS[name].text(figures.get(name)) for name in _OF_STATES)]
        for state, figures in states.items()
    ]


def state_head() -> list[str]:
    """Titles of the columns of `state_rows`."""
    return ["state of the past", *(METRICS[n].title for n in _OF_STATES)]


def quantization_title(way: str) -> str:
    """How a file was quantized, in the field's abbreviation."""
    return _QUANTIZATION.get(way, way)


def slice_title(entry: Mapping[str, Any]) -> str:
    """What a person calls an entry of a report's `slices`."""
    return f"{entry['column'].removeprefix('slice_')} = {entry['value'] or '(missing)'}"
