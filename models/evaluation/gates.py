"""What a model must be to be pushed: typed thresholds and the verdicts on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from ranklite.models.config import Bytes, Strict
from ranklite.models.reporting.metric_names import gate_title

Drop = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]

_BY_USER = ("min_gauc", "min_ndcg_at_10", "max_gauc_drop", "max_ndcg_at_10_drop")
_NAN = float("nan")


class GatesConfig(Strict):
    """Thresholds on the file that ships; None switches one off.

    Attributes:
      min_auc: Least AUC.
      min_gauc: Least AUC within a user, averaged over users; needs the user's column.
      min_ndcg_at_10: Least NDCG@10, averaged over users; needs the user's column.
      max_log_loss: Most log loss.
      min_calibration: Least ratio of mean score to mean label.
      max_calibration: Most.
      max_auc_drop: AUC lost against the float parent.
      max_gauc_drop: GAUC lost against the float parent.
      max_ndcg_at_10_drop: NDCG@10 lost against the float parent.
      max_log_loss_rise: Log loss added to the float parent's.
      max_auc_drop_from_blessed: AUC lost against the model pushed last.
      max_log_loss_rise_from_blessed: Log loss added to that model's.
      max_bytes: Size of the file.
      max_gzip_bytes: Size of the file, gzipped.
      max_latency_1_us: Microseconds for one row.
      max_latency_512_us: Microseconds a row in a batch of 512.
      max_parity: Largest difference of a score between the file and its Keras model.
      max_raw_parity: Largest difference of a score between the two signatures, beyond what the last
        bits of numbers do.
      max_log_parity: Largest difference of a score between a row as it stands in the log, read as
        an app would send it, and the same row as it was judged.
      max_unseen: Most values of a feature, the user left out, that are missing or were never seen
        in training.
      max_single_feature_auc: Most that a column of the log alone may separate the labels: what does
        so better knows the outcome.
      max_score_change: Largest change of a single score between the float control, trained as long
        (the float parent where there is none), and the shipped file.
      max_score_change_p999: The same at the 99.9th percentile.
      min_distinct_scores: Least share of distinct scores among distinct rows.
      min_integer_share: Least share of constant bytes that are integers of 8 bits or fewer, or the
        16-bit scales of their rows, once quantized to int8.
    """

    min_auc: Drop | None = 0.5
    min_gauc: Drop | None = None
    min_ndcg_at_10: Drop | None = None
    max_log_loss: Positive | None = None
    min_calibration: Positive | None = 0.5
    max_calibration: Positive | None = 2.0
    max_auc_drop: Drop | None = 0.005
    max_gauc_drop: Drop | None = None
    max_ndcg_at_10_drop: Drop | None = None
    max_log_loss_rise: Drop | None = 0.02
    max_auc_drop_from_blessed: Drop | None = 0.01
    max_log_loss_rise_from_blessed: Drop | None = 0.05
    max_bytes: Bytes | None = None
    max_gzip_bytes: Bytes | None = None
    max_latency_1_us: Positive | None = None
    max_latency_512_us: Positive | None = None
    max_parity: Drop | None = 0.05
    max_raw_parity: Drop | None = 0.0001
    max_log_parity: Drop | None = 0.00001
    max_unseen: Drop | None = 0.99
    max_single_feature_auc: Drop | None = 0.99
    max_score_change: Drop | None = 0.9
    max_score_change_p999: Drop | None = 0.5
    min_distinct_scores: Drop | None = 0.2
    min_integer_share: Drop | None = 0.5

    def check_user(self, user: str | None) -> None:
        """Refuses gates whose figures are measured within each user where nothing names one.

        Args:
          user: The user's column, or None.

        Raises:
          ValueError: A gate on GAUC or NDCG could never be judged.
        """
        values = {name: getattr(self, name) for name in _BY_USER}
        asked = [f"gates.{name} = {value:g}" for name, value in values.items() if value is not None]
        if asked and not user:
            raise ValueError(
                f"{', '.join(asked)}: measured within each user, whose column is not named: say "
                "`user: COLUMN`, or leave these gates out (null)"
            )


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The outcome of one gate.

    Attributes:
      name: What was looked at.
      passed: Whether it is within its threshold.
      value: What was measured.
      threshold: The bound, or None for a plain yes or no.
      at_least: Whether the bound is a lower one.
      detail: What a person should know besides.
    """

    name: str
    passed: bool
    value: float
    threshold: float | None = None
    at_least: bool = False
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return dataclasses.asdict(self)


def file_verdicts(
    gates: GatesConfig, shipped: Mapping[str, float], parent: Mapping[str, float]
) -> list[Verdict]:
    """The verdicts that a file's accuracy, size and latency are enough for.

    Args:
      gates: The thresholds.
      shipped: Figures of the file; `gauc` and `ndcg_at_10` only where the log names a user.
      parent: Those of the float parent's file.
    """
    gauc, ndcg = (shipped.get(name, _NAN) for name in ("gauc", "ndcg_at_10"))
    return [
        *at_least(gate_title("min_auc"), shipped["auc"], gates.min_auc),
        *at_least(gate_title("min_gauc"), gauc, gates.min_gauc),
        *at_least(gate_title("min_ndcg_at_10"), ndcg, gates.min_ndcg_at_10),
        *at_most(gate_title("max_log_loss"), shipped["log_loss"], gates.max_log_loss),
        *at_least(gate_title("min_calibration"), shipped["calibration"], gates.min_calibration),
        *at_most(gate_title("max_calibration"), shipped["calibration"], gates.max_calibration),
        *at_most(gate_title("max_auc_drop"), parent["auc"] - shipped["auc"], gates.max_auc_drop),
        *at_most(gate_title("max_gauc_drop"), parent.get("gauc", _NAN) - gauc, gates.max_gauc_drop),
        *at_most(
            gate_title("max_ndcg_at_10_drop"),
            parent.get("ndcg_at_10", _NAN) - ndcg,
            gates.max_ndcg_at_10_drop,
        ),
        *at_most(
            gate_title("max_log_loss_rise"),
            shipped["log_loss"] - parent["log_loss"],
            gates.max_log_loss_rise,
        ),
        *at_most(gate_title("max_bytes"), shipped["bytes"], gates.max_bytes),
        *at_most(gate_title("max_gzip_bytes"), shipped["gzip_bytes"], gates.max_gzip_bytes),
        *at_most(gate_title("max_latency_1_us"), shipped["latency_1_us"], gates.max_latency_1_us),
        *at_most(
            gate_title("max_latency_512_us"), shipped["latency_512_us"], gates.max_latency_512_us
        ),
    ]


def at_most(name: str, value: float, threshold: float | None) -> list[Verdict]:
    """The verdict on an upper bound; none where it is switched off. NaN never passes.

    Example:
        >>> [verdict] = at_most("bytes", 70_000, GatesConfig(max_bytes="64k").max_bytes)
        >>> verdict.passed, verdict.threshold
        (False, 65536)
        >>> at_most("bytes", 70_000, None)
        []
    """
    if threshold is None:
        return []
    return [Verdict(name, bool(value <= threshold), float(value), threshold)]


def at_least(name: str, value: float, threshold: float | None) -> list[Verdict]:
    """The verdict on a lower bound; none where it is switched off. NaN never passes."""
    if threshold is None:
        return []
    return [Verdict(name, bool(value >= threshold), float(value), threshold, at_least=True)]
