"""Gates on accuracy: each figure of the shipped file with its interval, against its bound.

A bound on a figure itself is held against the bootstrap of that figure, one on what was lost
against another file against the bootstrap of paired differences: the same users, or rows where the
log names no user, drawn for both (`models.evaluation.bootstrap`). The interval lies within the
bound, beyond it, or the data cannot tell.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation import bootstrap
from ranklite.models.evaluation.baselines import CONSTANT
from ranklite.models.evaluation.bootstrap import Draws
from ranklite.models.evaluation.gates import AccuracyGates, GatesConfig, slice_of
from ranklite.models.evaluation.metrics import ranking_metrics
from ranklite.models.evaluation.verdicts import Verdict, decide
from ranklite.models.reporting.metric_names import COSTS, METRICS, gate_title, slice_title

Array = npt.NDArray[Any]
SHIPPED, FLOAT, BLESSED = "shipped", "float", "blessed"  # files
BASELINE = "baseline"  # the better one of those that learn
LEAST = 20  # users, or rows where there are none, of either label
_FIGURES = ("auc", "log_loss", "calibration")  # of all rows


@dataclasses.dataclass(frozen=True)
class Gate:
    """What a bound is on.

    Attributes:
      key: Its name in `AccuracyGates`.
      metric: The figure.
      against: The file that it is compared with: an upper bound is on what became worse, a lower
        one on what became better. Empty where it is on the figure itself.
    """

    key: str
    metric: str
    against: str = ""


GATES = (
    Gate("min_auc", "auc"),
    Gate("min_gauc", "gauc"),
    Gate("min_ndcg_at_10", "ndcg_at_10"),
    Gate("max_log_loss", "log_loss"),
    Gate("min_calibration", "calibration"),
    Gate("max_calibration", "calibration"),
    Gate("max_auc_drop", "auc", FLOAT),
    Gate("max_gauc_drop", "gauc", FLOAT),
    Gate("max_ndcg_at_10_drop", "ndcg_at_10", FLOAT),
    Gate("max_log_loss_rise", "log_loss", FLOAT),
    Gate("max_auc_drop_from_blessed", "auc", BLESSED),
    Gate("max_gauc_drop_from_blessed", "gauc", BLESSED),
    Gate("max_ndcg_at_10_drop_from_blessed", "ndcg_at_10", BLESSED),
    Gate("max_log_loss_rise_from_blessed", "log_loss", BLESSED),
    Gate("min_gain_over_constant", "log_loss", CONSTANT),
    Gate("min_gain_over_baselines", "auc", BASELINE),
)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What some rows say of the accuracy of some files.

    Attributes:
      figures: Metrics by file.
      draws: Of each file, all from the same samples; None where only estimates are at hand, which
        are then judged as if they were exact.
      too_few: By metric, why the rows are too few for an interval of it.
      broken: Files with scores that are no numbers, on however few rows.
    """

    figures: Mapping[str, Mapping[str, float]]
    draws: Mapping[str, Draws] | None = None
    too_few: Mapping[str, str] = dataclasses.field(default_factory=dict)
    broken: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        labels: Array,
        scores: Mapping[str, Array],
        users: Array | None,
        draws: Mapping[str, Draws] | None = None,
    ) -> Evidence:
        """Measures the files on the rows.

        Args:
          labels: [R] of 0 and 1.
          scores: Probabilities [R] by file.
          users: [R], whose row it is; None where the log does not say.
          draws: Of the same rows and files, where they were drawn already.
        """
        # NaN is sorted last, and an AUC of it would look like a figure.
        broken = frozenset(file for file, values in scores.items() if not np.isfinite(values).all())
        figures = {
            file: {} if file in broken else ranking_metrics(labels, values, users)
            for file, values in scores.items()
        }
        few = too_few(labels, users)
        if draws is None and not all(few.values()):
            count = bootstrap.replicates(len(labels))
            draws = bootstrap.draws(labels, scores, users, replicates=count)
        return cls(figures, draws or {}, few, broken)

    def judge(self, gate: Gate, bound: float, *, passes_undecided: bool, key: str) -> Verdict:
        """The verdict on one gate.

        Args:
          gate: What the bound is on.
          bound: The bound.
          passes_undecided: Whether a model passes where the data cannot tell.
          key: The setting with the bound.
        """
        name, metric, at_least = gate_title(gate.key), gate.metric, gate.key.startswith("min_")
        value = self._bounded(gate, self.figures)
        verdict = Verdict(name, False, value, bound, at_least, key=key)
        if no_numbers := self.broken & {SHIPPED, gate.against}:
            detail = f"scores of the {' and the '.join(sorted(no_numbers))} file are no numbers"
            return dataclasses.replace(verdict, detail=detail)
        few = self.too_few.get(metric, "")
        if few:
            return dataclasses.replace(verdict, passed=passes_undecided, undecided=True, detail=few)
        if math.isnan(value):  # it was not measured, and NaN never passes
            return verdict
        interval = (value, value)
        if self.draws is not None:
            interval = bootstrap.interval(self._bounded(gate, self.draws))
        outcome = decide(interval, bound, at_least=at_least)
        return dataclasses.replace(
            verdict,
            passed=outcome == "passed" or (outcome == "undecided" and passes_undecided),
            undecided=outcome == "undecided",
            interval=None if self.draws is None else interval,
        )

    def _bounded(self, gate: Gate, of: Mapping[str, Mapping[str, Any]]) -> Any:
        """The figure that the bound is on; NaN where it was not measured."""
        value = of[SHIPPED].get(gate.metric, math.nan)
        if not gate.against:
            return value
        sign = METRICS[gate.metric].better * (-1 if gate.key.startswith("min_") else 1)
        return sign * (of[gate.against].get(gate.metric, math.nan) - value)


def too_few(labels: Array, users: Array | None) -> dict[str, str]:
    """By metric, why rows are too few for resampling to say anything; empty where they are not.

    Example:
        >>> too_few(np.array([1, 0, 1, 1, 0]), None)["auc"]
        '3 positive and 2 negative rows, 20 of each are needed'
    """
    unit, names = np.arange(len(labels)), "rows"
    if users is not None:
        unit, names = np.unique(users, return_inverse=True)[1], "users"
    count = int(unit.max(initial=-1)) + 1
    positive = np.bincount(unit, labels, count) > 0
    negative = np.bincount(unit, 1 - np.asarray(labels), count) > 0
    with_positive, with_negative = int(positive.sum()), int(negative.sum())
    both = int((positive & negative).sum())
    whole = (
        f"{with_positive} positive and {with_negative} negative rows, {LEAST} of each are needed"
        if users is None
        else f"{with_positive} users with a positive row and {with_negative} with a negative one, "
        f"{LEAST} of each are needed"
    )
    few = dict.fromkeys(_FIGURES, whole if min(with_positive, with_negative) < LEAST else "")
    if users is not None:
        for name, known, what in (
            ("gauc", both, "both labels"),
            ("ndcg_at_10", with_positive, "a positive row"),
        ):
            needed = f"{known} {names} with {what}, {LEAST} are needed"
            few[name] = needed if known < LEAST else ""
    return few


def accuracy_verdicts(
    bounds: AccuracyGates, evidence: Evidence, policy: GatesConfig, section: str = "gates"
) -> list[Verdict]:
    """The verdicts on accuracy, of all rows or of a slice.

    Args:
      bounds: The thresholds; those against a file that was not measured are left out.
      evidence: What the rows say.
      policy: What becomes of a model where they cannot tell.
      section: What the keys of these thresholds begin with.
    """
    wishes = {BLESSED: policy.undecided_from_blessed, CONSTANT: policy.undecided_over_constant}
    verdicts = []
    for gate in GATES:
        bound = getattr(bounds, gate.key)
        if bound is not None and (not gate.against or gate.against in evidence.figures):
            wish = wishes.get(gate.against, policy.undecided)
            key = f"{section}.{gate.key}"
            verdicts += [evidence.judge(gate, bound, passes_undecided=wish == "pass", key=key)]
    return verdicts


def slice_verdicts(
    gates: GatesConfig,
    columns: Mapping[str, Array],
    labels: Array,
    scores: Mapping[str, Array],
    users: Array | None,
) -> list[Verdict]:
    """The verdicts on slices; small ones are undecided.

    Args:
      gates: The thresholds.
      columns: Values [R] by column that the evaluation is sliced by.
      labels: [R] of 0 and 1.
      scores: Probabilities [R] by file.
      users: [R], whose row it is, or None.
    """
    verdicts = []
    for key, bounds in gates.slices.items():
        column, only = slice_of(key, list(columns)) or ("", None)
        for value in np.unique(columns[column]) if only is None else [only]:
            rows = columns[column] == value
            evidence = Evidence.of(
                labels[rows],
                {file: values[rows] for file, values in scores.items()},
                None if users is None else users[rows],
            )
            where = slice_title({"column": column, "value": str(value)})
            verdicts += [
                dataclasses.replace(verdict, name=f"{verdict.name}, {where}")
                for verdict in accuracy_verdicts(bounds, evidence, gates, f"gates.slices.{key}")
            ]
    return verdicts


def fall_verdicts(
    gates: GatesConfig, shipped: Mapping[str, Any], last: Mapping[str, Any]
) -> list[Verdict]:
    """The verdict on what the file has lost against the figures of the last push, each on its rows.

    The model pushed last, judged on the rows of today, is no measure where these are damaged: it
    does badly on them too.

    Args:
      gates: The thresholds.
      shipped: Figures of the file, `auc` and its `interval`.
      last: `report.json` of the run that pushed last.
    """
    before = last.get("stages", {}).get(SHIPPED, {})
    ranges = [figures.get("interval", {}).get("auc") for figures in (before, shipped)]
    if gates.max_auc_fall is None or not all(ranges):
        return []
    values = float(before["auc"]), float(shipped["auc"])
    low, high = bootstrap.independent_change(values[1], ranges[1], values[0], ranges[0])
    outcome = decide((low, high), gates.max_auc_fall, at_least=False)
    return [
        Verdict(
            gate_title("max_auc_fall"),
            outcome == "passed" or (outcome == "undecided" and gates.undecided == "pass"),
            values[0] - values[1],
            gates.max_auc_fall,
            detail=f"it was {values[0]:.4f} when the last version was pushed",
            interval=(low, high),
            undecided=outcome == "undecided",
            key="gates.max_auc_fall",
        )
    ]


def cost_verdicts(gates: GatesConfig, shipped: Mapping[str, float]) -> list[Verdict]:
    """The verdicts on sizes and latencies."""
    return [v for m in COSTS for v in gates.verdict(f"max_{m.name}", shipped[m.name])]


def file_verdicts(
    gates: GatesConfig, shipped: Mapping[str, float], parent: Mapping[str, float]
) -> list[Verdict]:
    """The verdicts that a file's figures are enough for, estimates taken as they are.

    A search chooses by them; what it chose is judged by its interval.

    Args:
      gates: The thresholds.
      shipped: Figures of the file; `gauc` and `ndcg_at_10` only where the log names a user.
      parent: Those of the float parent's file.
    """
    evidence = Evidence({SHIPPED: shipped, FLOAT: parent})
    return [*accuracy_verdicts(gates, evidence, gates), *cost_verdicts(gates, shipped)]
