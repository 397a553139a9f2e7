"""Scores that mean probabilities: a monotone map of the logit, learned on validation rows.

Training stops where the order is best, and compression moves logits; after either the mean score
need not be the share of positives. The map is

    z' = slope z + offset + sum_k change_k relu(z - knot_k)

a line in Platt scaling (Platt 1999), and in isotonic regression (Zadrozny & Elkan 2002) a piecewise
linear curve through quantiles of the logit. It always rises, so that the order stays as it is.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation.metrics import EPSILON

Array = npt.NDArray[Any]
Method = Literal["auto", "none", "platt", "isotonic"]

LEAST_LABELS = 100  # rows of either label; of fewer nothing is learned
LEAST_ISOTONIC = 20_000  # rows, in `auto`
_FOLDS = 5
_PIECES = 16
_LEAST_SLOPE = 0.05  # a flatter curve would make scores alike that differed


@dataclasses.dataclass(frozen=True)
class ScoreCalibration:
    """The map from logits to logits that are calibrated.

    Attributes:
      method: How it was learned: `none`, `platt` or `isotonic`.
      slope: Below the first knot.
      offset: Added.
      knots: Logits where the slope changes, rising.
      changes: By how much it does, at each.

    Example:
        >>> ScoreCalibration("isotonic", 1.0, 0.5, (0.0,), (1.0,)).logits(np.array([-1.0, 2.0]))
        array([-0.5,  4.5])
    """

    method: Method = "none"
    slope: float = 1.0
    offset: float = 0.0
    knots: tuple[float, ...] = ()
    changes: tuple[float, ...] = ()

    @property
    def is_identity(self) -> bool:
        """Whether it leaves logits as they are."""
        return self == UNCALIBRATED

    def logits(self, z: Array) -> Array:
        """Calibrated logits, of any shape."""
        above = np.maximum(z[..., None] - np.asarray(self.knots), 0.0)
        return cast(Array, self.slope * z + self.offset + above @ np.asarray(self.changes))

    def scores(self, p: Array) -> Array:
        """Calibrated probabilities of probabilities [R], float32."""
        if self.is_identity:
            return p
        return _sigmoid(self.logits(_logit(p))).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """What a person is told."""
        if self.is_identity:
            return "scores are those of the model: on the validation split they were calibrated"
        if self.knots:
            return f"isotonic regression on the validation split, {len(self.knots)} knots"
        return f"Platt scaling on the validation split, logit x {self.slope:.3f} {self.offset:+.3f}"

    @classmethod
    def from_dict(cls, data: dict[str, Any] | None) -> ScoreCalibration:
        """What `to_dict` gave; of None that which changes nothing."""
        if data is None:
            return UNCALIBRATED
        return cls(**{**data, "knots": tuple(data["knots"]), "changes": tuple(data["changes"])})


UNCALIBRATED = ScoreCalibration()


def learn(labels: Array, p: Array, method: Method = "auto") -> ScoreCalibration:
    """The calibration of a model's scores.

    `auto` takes the one of no calibration, Platt scaling and, of 20,000 rows and more, isotonic
    regression that has the least log loss in five-fold cross validation: on few rows, or where the
    scores are probabilities already, nothing is changed.

    Args:
      labels: [R] of 0 and 1, of rows that the weights were not trained on.
      p: Probabilities [R] of the model.
      method: How.

    Returns:
      One that changes nothing where there are fewer than 100 rows of either label, or where higher
      scores do not mean more positives.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random(5000)
        >>> clicks = rng.random(5000) < p / 2  # twice as sure as it should be
        >>> learned = learn(clicks, p)
        >>> learned.method, bool(abs(learned.scores(p).mean() - clicks.mean()) < 0.005)
        ('platt', True)
    """
    labels, z = np.asarray(labels, np.float64), _logit(p)
    positives = int(labels.sum())
    if method == "none" or min(positives, len(labels) - positives) < LEAST_LABELS:
        return UNCALIBRATED
    if method != "auto":
        return _FITS[method](labels, z)
    candidates = ["none", "platt"] + ["isotonic"] * (len(labels) >= LEAST_ISOTONIC)
    fold = np.random.default_rng(0).integers(0, _FOLDS, len(labels))
    losses = dict.fromkeys(candidates, 0.0)
    for name in candidates:
        for k in range(_FOLDS):
            fitted = _FITS[name](labels[fold != k], z[fold != k])
            losses[name] += _log_loss(labels[fold == k], fitted.logits(z[fold == k]))
    return _FITS[min(candidates, key=lambda name: losses[name])](labels, z)


def _none(labels: Array, z: Array) -> ScoreCalibration:
    return UNCALIBRATED


def _platt(labels: Array, z: Array) -> ScoreCalibration:
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(C=1e6).fit(z[:, None], labels)
    slope, offset = float(line.coef_[0, 0]), float(line.intercept_[0])
    return ScoreCalibration("platt", slope, offset) if slope > _LEAST_SLOPE else UNCALIBRATED


def _isotonic(labels: Array, z: Array) -> ScoreCalibration:
    """The step function of isotonic regression, as a curve through the means of its quantiles."""
    from sklearn.isotonic import IsotonicRegression

    outer = _platt(labels, z)  # beyond the outer quantiles there are too few rows for a slope
    if outer.is_identity:
        return outer
    steps = IsotonicRegression(out_of_bounds="clip").fit_transform(z, labels)
    edges = np.unique(np.quantile(z, np.linspace(0, 1, _PIECES + 1)))
    piece = np.clip(np.searchsorted(edges, z, "right") - 1, 0, max(0, len(edges) - 2))
    rows = np.bincount(piece)
    knots = np.bincount(piece, z)[rows > 0] / rows[rows > 0]
    means = np.bincount(piece, steps)[rows > 0] / rows[rows > 0]
    least = 0.5 / rows[rows > 0]  # of a piece without a positive
    values = _logit(np.clip(means, least, 1 - least))
    slopes = np.maximum(np.diff(values) / np.diff(knots), _LEAST_SLOPE)
    changes = np.diff([outer.slope, *slopes, outer.slope])
    # Slopes were raised in places: the curve keeps its mean by where it starts.
    offset = values[0] - outer.slope * knots[0]
    curve = ScoreCalibration(
        "isotonic", outer.slope, float(offset), tuple(knots.tolist()), tuple(changes.tolist())
    )
    shift = _platt(labels, curve.logits(z))
    if shift.is_identity:
        return outer
    return ScoreCalibration(
        "isotonic",
        curve.slope * shift.slope,
        curve.offset * shift.slope + shift.offset,
        curve.knots,
        tuple(change * shift.slope for change in curve.changes),
    )


_FITS = {"none": _none, "platt": _platt, "isotonic": _isotonic}


def _logit(p: Array) -> Array:
    p = np.clip(np.asarray(p, np.float64), EPSILON, 1 - EPSILON)
    return cast(Array, np.log(p) - np.log1p(-p))


def _sigmoid(z: Array) -> Array:
    return cast(Array, 1 / (1 + np.exp(-z)))


def _log_loss(labels: Array, z: Array) -> float:
    return float(np.sum(np.logaddexp(0.0, z) - labels * z))
