"""TFMA's metrics of two classes from sums over arrays of rows.

TFMA's own metrics are called once a row and slice, and each of them decodes the row anew. These
take the groups of rows that `ranklite.components.evaluator.slicing` makes, one call a group, under
TFMA's names. What they give is TFMA's to rounding, but for two cases. TFMA's AUC of rows of one
class is 0, here it is not a number. A score of 0 or 1 makes TFMA's cross-entropy infinite or not a
number; here scores are clipped as everywhere else (`ranklite.models.evaluation.metrics`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow_model_analysis as tfma

from ranklite.models.evaluation.metrics import losses

THRESHOLDS = 1000
_BUCKETS = 10_000  # TFMA counts scores in so many buckets first, and these between thresholds
_SUMS = "_sums"  # a name with `_` is not written

Numbers = npt.NDArray[np.float64]


def _threshold_of_bucket() -> npt.NDArray[np.intp]:
    """The last threshold that each of TFMA's buckets is at or above [BUCKETS + 2].

    Thresholds are i / (THRESHOLDS - 1); no inner one is the start of a bucket, nor within the 1e-7
    by which TFMA shifts them. The first bucket holds what is below 0, the last one 1 and above.
    """
    above = np.arange(1, THRESHOLDS) / (THRESHOLDS - 1)
    starts = np.concatenate([[-np.inf], np.arange(_BUCKETS) / _BUCKETS, [np.inf]])
    return np.searchsorted(above, starts)


@dataclasses.dataclass
class Sums:
    """What the metrics need of some rows and the scores of one model.

    Attributes:
      rows: Their number.
      labels: Sum of the labels.
      scores: Sum of the scores.
      losses: Sum of the cross-entropies, in nats.
      counts: [2, THRESHOLDS], negatives and positives by the last threshold below their score.
    """

    rows: float = 0.0
    labels: float = 0.0
    scores: float = 0.0
    losses: float = 0.0
    counts: Numbers = dataclasses.field(default_factory=lambda: np.zeros((2, THRESHOLDS)))

    def add(self, other: Sums) -> None:
        """Adds those of other rows."""
        self.rows += other.rows
        self.labels += other.labels
        self.scores += other.scores
        self.losses += other.losses
        self.counts += other.counts

    def auc(self) -> float:
        """Area under the ROC curve through its points at the thresholds, by trapezoids."""
        negatives, positives = self.counts.sum(axis=1)
        if not negatives or not positives or np.isnan(self.scores):
            return float("nan")
        above = self.counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        above[:, -1] = 0  # the last threshold is above all scores
        false_rate, true_rate = above / self.counts.sum(axis=1, keepdims=True)
        widths, heights = -np.diff(false_rate), (true_rate[1:] + true_rate[:-1]) / 2
        return float(widths @ heights)


def sums(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Sums:
    """Those of rows with labels in [0, 1] and scores, both [R].

    Example:
        >>> found = sums([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
        >>> found.auc(), found.rows, found.labels, round(found.scores, 6)
        (0.75, 4.0, 2.0, 2.5)
    """
    y, p = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    buckets = np.clip(np.nan_to_num(p) * _BUCKETS + 1, 0, _BUCKETS + 1).astype(np.intp)
    at = _THRESHOLD_OF_BUCKET[buckets]
    counts = np.array([np.bincount(at, w, THRESHOLDS) for w in (1 - y, y)], np.float64)
    return Sums(float(y.size), float(y.sum()), float(p.sum()), float(losses(y, p).sum()), counts)


_THRESHOLD_OF_BUCKET = _threshold_of_bucket()


class SumRows(beam.CombineFn):
    """Sums over groups of rows, for one model.

    Args:
      key: Under which the sums are given, with the name of the model.
    """

    def __init__(self, key: tfma.metrics.MetricKey) -> None:
        self._key = key

    def create_accumulator(self) -> Sums:
        """No rows."""
        return Sums()

    def add_input(self, accumulator: Sums, rows: tfma.metrics.StandardMetricInputs) -> Sums:
        """Adds a group."""
        labels = np.ravel(rows.get_labels(self._key.model_name))
        scores = np.ravel(rows.get_predictions(self._key.model_name))
        accumulator.add(sums(labels, scores))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Sums]) -> Sums:
        """Adds what was summed apart."""
        result = Sums()
        for accumulator in accumulators:
            result.add(accumulator)
        return result

    def extract_output(self, accumulator: Sums) -> dict[tfma.metrics.MetricKey, Sums]:
        """The sums, for the metrics that are derived from them."""
        return {self._key: accumulator}


class _OfSums(tfma.metrics.Metric):
    """A metric that is derived from the sums; TFMA computes equal sums once."""

    def __init__(self, name: str, value: Callable[[Sums], float]) -> None:
        def computations(name: str, model_names: list[str]) -> list[object]:
            result: list[object] = []
            for model in model_names:
                source, key = (
                    tfma.metrics.MetricKey(key, model_name=model, example_weighted=False)
                    for key in (_SUMS, name)
                )
                result += [
                    tfma.metrics.MetricComputation([source], None, SumRows(source)),
                    tfma.metrics.DerivedMetricComputation(
                        [key], lambda found, source=source, key=key: {key: value(found[source])}
                    ),
                ]
            return result

        super().__init__(computations, name=name)


class BatchedExampleCount(_OfSums):
    """Number of rows."""

    def __init__(self, name: str = "example_count") -> None:
        super().__init__(name, lambda found: found.rows)


class BatchedAUC(_OfSums):
    """Area under the ROC curve, at 1,000 thresholds."""

    def __init__(self, name: str = "auc") -> None:
        super().__init__(name, Sums.auc)


class BatchedBinaryCrossEntropy(_OfSums):
    """Mean cross-entropy, in nats."""

    def __init__(self, name: str = "binary_crossentropy") -> None:
        super().__init__(name, lambda found: found.losses / found.rows)


class BatchedCalibration(_OfSums):
    """Sum of the scores over sum of the labels."""

    def __init__(self, name: str = "calibration") -> None:
        super().__init__(
            name, lambda found: found.scores / found.labels if found.labels else float("nan")
        )


METRICS = (BatchedExampleCount, BatchedAUC, BatchedBinaryCrossEntropy, BatchedCalibration)
