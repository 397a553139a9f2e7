"""How the data are validated."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ranklite.models.config import Name, Strict

Threshold = Annotated[float, Field(gt=0.0, le=1.0)]


class Comparison(Strict):
    """How far two distributions of a feature may be apart.

    Categorical features are compared by the largest difference of a value's share, numeric ones by
    their Jensen-Shannon divergence.

    Attributes:
      threshold: For every feature; None compares none but those named.
      features: Thresholds of single features.
    """

    threshold: Threshold | None = None
    features: dict[Name, Threshold] = {}

    def of(self, feature: str) -> float | None:
        """The threshold of a feature."""
        return self.features.get(feature, self.threshold)

    def of_named(self, feature: str) -> float | None:
        """The threshold of a feature, where it is named."""
        return self.features.get(feature)


class ValidationConfig(Strict):
    """What makes data unfit to train on.

    Attributes:
      drift: Against the train split that was last accepted. The share of rows in which a feature is
        missing may rise by as much as that of any value may change.
      min_overlap: Least share of that split's frequent values of a category that this one still
        has, counted by rows: ids of another system, or of another day's numbering, have none.
        Where all values are rare nothing is compared.
      overlap: The same for single features; 0 switches it off.
      max_label_odds: How many times the odds p / (1 - p) of label 1 may be those of that split, or
        those of that split these; None compares no labels.
      skew: Of the eval split against the train split.
      max_missing: Share of rows of a split in which a feature may be missing.
      missing: The same for single features.
      min_rows: Least rows of a split.
    """

    drift: Comparison = Comparison(threshold=0.3)
    min_overlap: float = Field(0.1, ge=0.0, le=1.0)
    overlap: dict[Name, Annotated[float, Field(ge=0.0, le=1.0)]] = {}
    max_label_odds: float | None = Field(4.0, ge=1.0)
    skew: Comparison = Comparison()
    max_missing: float = Field(0.99, ge=0.0, le=1.0)
    missing: dict[Name, Annotated[float, Field(ge=0.0, le=1.0)]] = {}
    min_rows: int = Field(1, ge=1)
