"""What a model must be to be pushed: the thresholds, typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ranklite.models.config import Bytes, Strict
from ranklite.models.evaluation.verdicts import Verdict, at_least, at_most
from ranklite.models.reporting.metric_names import gate_title

Drop = Annotated[float, Field(ge=0.0, le=1.0)]
Gain = Annotated[float, Field(ge=-1.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Undecided = Literal["pass", "refuse"]

_SLICE = "slice_"  # before the column's name, as Transform writes it
_BY_USER = ("gauc", "ndcg_at_10")
_FROM_BLESSED = "_from_blessed"


class AccuracyGates(Strict):
    """Bounds on accuracy, of all rows or of those of a slice; None switches one off.

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
      max_gauc_drop_from_blessed: GAUC lost against that model.
      max_ndcg_at_10_drop_from_blessed: NDCG@10 lost against that model.
      max_log_loss_rise_from_blessed: Log loss added to that model's.
      min_gain_over_constant: Least log loss saved against the train split's share of positives as
        the score of every row.
      min_gain_over_baselines: Least AUC gained over the better one of a logistic regression and
        boosted trees.
    """

    min_auc: Drop | None = None
    min_gauc: Drop | None = None
    min_ndcg_at_10: Drop | None = None
    max_log_loss: Positive | None = None
    min_calibration: Positive | None = None
    max_calibration: Positive | None = None
    max_auc_drop: Drop | None = None
    max_gauc_drop: Drop | None = None
    max_ndcg_at_10_drop: Drop | None = None
    max_log_loss_rise: Drop | None = None
    max_auc_drop_from_blessed: Drop | None = None
    max_gauc_drop_from_blessed: Drop | None = None
    max_ndcg_at_10_drop_from_blessed: Drop | None = None
    max_log_loss_rise_from_blessed: Drop | None = None
    min_gain_over_constant: Gain | None = None
    min_gain_over_baselines: Gain | None = None


class GatesConfig(AccuracyGates):
    """Thresholds on the file that ships; None switches one off.

    Attributes:
      undecided: What becomes of a model where the interval of a figure contains the bound, so that
        the rows cannot tell: `pass` pushes it with a warning, `refuse` does not.
      undecided_from_blessed: The same for the gates against the model pushed last. Unless it is
        given: `refuse` where the configuration sets one of these gates, else `pass`.
      undecided_over_constant: The same for `min_gain_over_constant`: what cannot be told from
        a constant is not worth pushing.
      most_rows: Rows of a split that are judged at most, with all rows of as many users as fit.
      max_auc_fall: Most AUC lost against what the last pushed model had on the rows that it was
        judged on: a night of damaged labels is bad for every model.
      slices: Bounds on slices, by `COLUMN` (each of its values) or `COLUMN = VALUE`, as the table
        of slices names them.
      max_bytes: Size of the file.
      max_gzip_bytes: Size of the file, gzipped.
      max_latency_1_us: Microseconds for one row.
      max_latency_512_us: Microseconds a row in a batch of 512.
      max_parity: Largest difference of a score between the file and its Keras model.
      max_raw_parity: Largest difference of a score between the two signatures, beyond what the last
        bits of numbers do.
      max_false_matches: Most values of a feature that the file may take for other ones, since their
        32-bit fingerprints are equal: unseen values, and known ones that share a fingerprint.
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
    min_calibration: Positive | None = 0.9
    max_calibration: Positive | None = 1.1
    max_auc_drop: Drop | None = 0.005
    max_log_loss_rise: Drop | None = 0.02
    max_auc_drop_from_blessed: Drop | None = 0.01
    max_log_loss_rise_from_blessed: Drop | None = 0.05
    min_gain_over_constant: Gain | None = 0.0
    undecided: Undecided = "pass"
    undecided_from_blessed: Undecided = "pass"
    undecided_over_constant: Undecided = "refuse"
    slices: dict[str, AccuracyGates] = {}
    most_rows: int = Field(250_000, ge=1_000)
    max_auc_fall: Drop | None = 0.1
    max_bytes: Bytes | None = None
    max_gzip_bytes: Bytes | None = None
    max_latency_1_us: Positive | None = None
    max_latency_512_us: Positive | None = None
    max_parity: Drop | None = 0.05
    max_raw_parity: Drop | None = 0.0001
    max_false_matches: Drop | None = 0.001
    max_log_parity: Drop | None = 0.00001
    max_unseen: Drop | None = 0.99
    max_single_feature_auc: Drop | None = 0.99
    max_score_change: Drop | None = 0.9
    max_score_change_p999: Drop | None = 0.5
    min_distinct_scores: Drop | None = 0.2
    min_integer_share: Drop | None = 0.5

    @model_validator(mode="before")
    @classmethod
    def _the_pushed_model_stays_where_a_gate_guards_it(cls, data: Any) -> Any:
        """The model pushed last is known: what was asked to be no worse has to show that it is."""
        if not isinstance(data, Mapping) or "undecided_from_blessed" in data:
            return data
        slices = data.get("slices")
        sections = [data, *(slices.values() if isinstance(slices, Mapping) else ())]
        asked = any(_guards(section) for section in sections)
        return {**data, "undecided_from_blessed": "refuse" if asked else "pass"}

    @property
    def sections(self) -> Iterator[tuple[str, AccuracyGates]]:
        """The bounds on all rows and those of each slice, with what their keys begin with."""
        yield "gates", self
        for name, bounds in self.slices.items():
            yield f"gates.slices.{name}", bounds

    def verdict(self, key: str, value: float) -> list[Verdict]:
        """The verdict on an exact figure; none where its gate is off.

        Args:
          key: Of the gate; what its value is held to follows from its beginning.
          value: What was measured.

        Example:
            >>> [verdict] = GatesConfig(max_bytes="64k").verdict("max_bytes", 70_000)
            >>> verdict.passed, verdict.threshold, verdict.key
            (False, 65536, 'gates.max_bytes')
        """
        judge = at_least if key.startswith("min_") else at_most
        return judge(gate_title(key), value, getattr(self, key), f"gates.{key}")

    def check_user(self, user: str | None) -> None:
        """Refuses gates whose figures are measured within each user where nothing names one.

        Args:
          user: The user's column, or None.

        Raises:
          ValueError: A gate on GAUC or NDCG could never be judged.
        """
        asked = [
            f"{section}.{name} = {value:g}"
            for section, bounds in self.sections
            for name in AccuracyGates.model_fields
            if any(figure in name for figure in _BY_USER)
            and (value := getattr(bounds, name)) is not None
        ]
        if asked and not user:
            raise ValueError(
                f"{', '.join(asked)}: measured within each user, whose column is not named: say "
                "`user: COLUMN`, or leave these gates out (null)"
            )

    def check_slices(self, columns: Sequence[str]) -> None:
        """Refuses gates on slices that are not measured.

        Args:
          columns: Those that the evaluation is sliced by, as `evaluation_slices` names them.

        Raises:
          ValueError: A gate could never be judged.
        """
        for name in self.slices:
            if slice_of(name, columns) is None:
                known = ", ".join(column.removeprefix(_SLICE) for column in columns)
                raise ValueError(
                    f"gates.slices: there is no slice {name!r}: "
                    + (f"those measured are {known}" if known else "none are measured")
                    + "; `slices: [COLUMN]` in the configuration adds a column of the log"
                )


def slice_of(name: str, columns: Sequence[str]) -> tuple[str, str | None] | None:
    """The column that a key of `gates.slices` means, and the value, None for each of them.

    Example:
        >>> slice_of("user = new", ["slice_user"]), slice_of("user", ["slice_user"])
        (('slice_user', 'new'), ('slice_user', None))
        >>> slice_of("city = (missing)", ["slice_city"])
        ('slice_city', '')
    """
    if _SLICE + name in columns:
        return _SLICE + name, None
    column, _, value = (part.strip() for part in name.partition("="))
    if _SLICE + column not in columns:
        return None
    return _SLICE + column, "" if value == "(missing)" else value


def _guards(section: Any) -> bool:
    """Whether it sets a gate against the model pushed last."""
    return isinstance(section, Mapping) and any(
        str(key).endswith(_FROM_BLESSED) and key != "undecided_from_blessed" and value is not None
        for key, value in section.items()
    )
