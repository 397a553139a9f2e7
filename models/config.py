"""What a model is made of, as typed, validated and immutable data.

These classes are the part of a RankLite YAML file that the model code needs: the features, the
DeepFM, its training and the compression steps. `pipeline.config` adds the rest (source, split,
gates, push). They hold no TensorFlow, so reading a configuration costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Strict(BaseModel):
    """Base of all configuration: unknown keys and infinities are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# ------------------------------------------------------------------------------------- features


class CategoricalFeature(Strict):
    """One value a row, looked up in a vocabulary made from the train split.

    Attributes:
      name: Column of the log (or of the query's result).
      dtype: What an app sends to the raw signature: `string` or `int64`.
      min_count: Values seen less often in the train split share the out-of-vocabulary row.
      max_vocabulary: Keep only the most frequent values; None keeps all.
    """

    kind: Literal["categorical"]
    name: Name
    dtype: Literal["string", "int64"] = "string"
    min_count: int = Field(1, ge=1)
    max_vocabulary: int | None = Field(None, ge=1)


class MultiCategoricalFeature(Strict):
    """Several values a row (genres, tags); their embeddings are averaged into one field.

    Attributes:
      name: Column of the log: a list, or a string that `separator` splits.
      dtype: `string` or `int64`.
      max_length: Values kept a row, the first ones; longer lists are cut.
      separator: Splits a string column; None for columns that are lists already.
      min_count: As for `CategoricalFeature`.
      max_vocabulary: As for `CategoricalFeature`.
    """

    kind: Literal["multi_categorical"]
    name: Name
    dtype: Literal["string", "int64"] = "string"
    max_length: int = Field(ge=1, le=1000)
    separator: str | None = Field(None, min_length=1)
    min_count: int = Field(1, ge=1)
    max_vocabulary: int | None = Field(None, ge=1)


class NumericFeature(Strict):
    """A number a row; missing values (null or NaN) are legal.

    Either standardized, z = (x - mean) / std over the train split, with the mean in place of a
    missing value, or (`buckets`) cut at train quantiles into a categorical field in which a missing
    value has a row of its own.

    Attributes:
      name: Column of the log.
      log: Compress first with sign(x) * log(1 + |x|).
      buckets: Number of quantile buckets; None standardizes instead.
      missing_indicator: Standardized only: add a second column that is 1 where x is missing.
    """

    kind: Literal["numeric"]
    name: Name
    log: bool = False
    buckets: int | None = Field(None, ge=2, le=10_000)
    missing_indicator: bool = False

    @model_validator(mode="after")
    def _indicator_needs_standardization(self) -> NumericFeature:
        if self.buckets is not None and self.missing_indicator:
            raise ValueError(
                f"feature {self.name!r}: missing_indicator goes without buckets, since a missing "
                "value has a bucket of its own"
            )
        return self


Feature = Annotated[
    CategoricalFeature | MultiCategoricalFeature | NumericFeature, Field(discriminator="kind")
]


class FeatureSet(Strict):
    """The features and the columns with a role: all that Transform has to know.

    Attributes:
      features: The model's inputs in order.
      label: Name of the column in the Examples that holds 0 or 1.
      user: Column that identifies the user, for per-user metrics and the cold-start slice.
      item: Column that identifies the item, for the popularity and cold-start slices.
      slices: Columns by whose values the evaluation is sliced as well.
    """

    features: tuple[Feature, ...] = Field(min_length=1)
    label: Name = "label"
    user: Name | None = None
    item: Name | None = None
    slices: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> FeatureSet:
        names = [feature.name for feature in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"features named twice: {', '.join(twice)}")
        if all(f.kind == "numeric" and f.buckets is None for f in self.features):
            raise ValueError(
                "a factorization machine needs a categorical feature: give one of kind categorical "
                "or multi_categorical, or cut a numeric one with `buckets`"
            )
        if self.label in names:
            raise ValueError(
                f"{self.label!r} is the label and cannot be a feature: the model would read the "
                "answer"
            )
        return self


# ---------------------------------------------------------------------------------------- model


class DeepFMConfig(Strict):
    """Hyperparameters of the DeepFM (Guo et al. 2017).

    Attributes:
      embedding_dim: D, size of the shared embedding of a field.
      hidden_units: Width of each hidden layer of the deep tower.
      dropout: Rate after each hidden layer while training.
      batch_norm: Normalize before each ReLU; folded into the Dense layer before quantization.
      embedding_stddev: Standard deviation of the tables' initial values.
    """

    embedding_dim: int = Field(16, ge=1, le=1024)
    hidden_units: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        (256, 128), min_length=1
    )
    dropout: float = Field(0.2, ge=0.0, lt=1.0)
    batch_norm: bool = True
    embedding_stddev: float = Field(0.01, gt=0.0)


class TrainingConfig(Strict):
    """How the float DeepFM is trained.

    Attributes:
      batch_size: Rows a step, over all replicas.
      epochs: Most passes over the train split.
      learning_rate: Of Adam, at the start.
      schedule: `plateau` multiplies the rate by 0.1 after an epoch without a better validation AUC,
        `cosine` lets it fall to 0 over all epochs, `constant` leaves it.
      patience: Epochs without a better validation AUC before training stops; the best weights stay.
      embedding_l2: Weight of the L2 penalty on the embeddings looked up in a batch.
      oov_rate: Share of ids sent to their field's out-of-vocabulary row while training, so that
        the row learns what to say about a new user or item.
      precision: `float32`, or `bfloat16` (mixed: computes in bfloat16, keeps float32 weights).
      strategy: `none`, `mirrored` (all local devices) or `multi_worker` (reads TF_CONFIG).
      shuffle_rows: Rows in the shuffle buffer.
      seed: Of everything random: initial weights, order of the rows, dropout, dropped ids.
    """

    batch_size: int = Field(1024, ge=1)
    epochs: int = Field(10, ge=1)
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    patience: int = Field(2, ge=1)
    embedding_l2: float = Field(0.0, ge=0.0)
    oov_rate: float = Field(0.01, ge=0.0, lt=1.0)
    precision: Literal["float32", "bfloat16"] = "float32"
    strategy: Literal["none", "mirrored", "multi_worker"] = "none"
    shuffle_rows: int = Field(1_000_000, ge=1)
    seed: int = Field(42, ge=0, le=2**31 - 1)


# ---------------------------------------------------------------------------------- compression


class PruningScope(Strict):
    """How one part of the model is pruned.

    Attributes:
      sparsity: Share of the weights that is zero at the end.
      pattern: `unstructured`; `2:4` (two zeros in each four inputs of a unit, sparsity 0.5);
        or `block` (whole blocks of `block_size`).
      block_size: Rows and columns of a block.
    """

    sparsity: float = Field(ge=0.0, lt=1.0)
    pattern: Literal["unstructured", "2:4", "block"] = "unstructured"
    block_size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1, 1)

    @model_validator(mode="after")
    def _pattern_fits(self) -> PruningScope:
        if self.pattern == "2:4" and self.sparsity != 0.5:
            raise ValueError(f"pattern 2:4 means sparsity 0.5, not {self.sparsity}")
        if (self.pattern == "block") == (self.block_size == (1, 1)):
            raise ValueError(
                f"pattern {self.pattern!r} with block_size {list(self.block_size)}: a block larger "
                "than [1, 1] goes with pattern 'block' and with no other"
            )
        return self


class Pruning(Strict):
    """Pruning of single weights or blocks while fine-tuning.

    Attributes:
      tower: The hidden layers of the deep tower; None leaves them dense.
      embeddings: The embedding table; None leaves it dense.
      importance: What a weight is judged by: its `magnitude` (Zhu & Gupta 2017), or `taylor`, the
        first-order estimate of what the loss gains without it (Molchanov et al. 2019).
      schedule: `polynomial` lets the sparsity grow from 0 to its target over the ramp, `constant`
        goes there at once: with the first step; `taylor` judges for 100 steps first, or for half of
        a shorter ramp. Pattern 2:4 knows no sparsity in between and always goes there at once.
      epochs: Passes over the train split.
      learning_rate: Of Adam.
      ramp: Share of the steps over which the masks are recomputed.
      l1: Weight of an L1 penalty on the tower's kernels, trained with before pruning; 0 for none.
      l1_epochs: Passes over the train split with that penalty.
    """

    technique: Literal["prune"]
    tower: PruningScope | None = None
    embeddings: PruningScope | None = None
    importance: Literal["magnitude", "taylor"] = "magnitude"
    schedule: Literal["polynomial", "constant"] = "polynomial"
    epochs: int = Field(3, ge=1)
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)
    ramp: float = Field(0.6, gt=0.0, le=1.0)
    l1: float = Field(0.0, ge=0.0)
    l1_epochs: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _is_legal(self) -> Pruning:
        if self.tower is None and self.embeddings is None:
            raise ValueError("prune needs a scope: give `tower`, `embeddings` or both")
        for setting, is_set, reason in _NOT_FOR_EMBEDDINGS:
            if self.embeddings is not None and is_set(self):
                raise ValueError(
                    f"{setting} goes with `tower` alone, not with `embeddings`: {reason}"
                )
        if not self.l1 and self.l1_epochs != 1:
            raise ValueError(
                f"l1_epochs is {self.l1_epochs}, but l1 is 0: give l1 a weight greater than 0 or "
                "leave l1_epochs out"
            )
        return self


# What may not be set where the embedding table is pruned, and why.
_NOT_FOR_EMBEDDINGS: tuple[tuple[str, Callable[[Pruning], bool], str], ...] = (
    (
        "importance 'taylor'",
        lambda step: step.importance == "taylor",
        "rows that batches seldom look up have little gradient and would go first; use magnitude",
    ),
    (
        "l1",
        lambda step: step.l1 > 0,
        "a penalty on all rows makes a step cost what the vocabulary costs; use embedding_l2",
    ),
)


class PruneUnits(Strict):
    """Removes whole units of the hidden layers, then fine-tunes the narrower model.

    Attributes:
      keep: Share of each hidden layer's units that stays. A layer of 8 units or more keeps the next
        multiple of 8, which vector kernels fill whole registers with.
      hidden_units: In place of `keep`, the width of each hidden layer afterwards.
      importance: What a unit is judged by: the `norm` of its weights, or `taylor`, the first-order
        estimate of what the loss gains without it (Molchanov et al. 2017).
      epochs: Passes over the train split.
      learning_rate: Of Adam.
    """

    technique: Literal["prune_units"]
    keep: float | None = Field(None, gt=0.0, le=1.0)
    hidden_units: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] | None = Field(
        None, min_length=1
    )
    importance: Literal["norm", "taylor"] = "norm"
    epochs: int = Field(2, ge=1)
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _one_target(self) -> PruneUnits:
        if (self.keep is None) == (self.hidden_units is None):
            raise ValueError(
                f"prune_units with keep {self.keep} and hidden_units {self.hidden_units}: give "
                "exactly one of them"
            )
        return self


class Quantization(Strict):
    """Calibrated int8 quantization-aware training.

    Attributes:
      epochs: Passes over the train split after calibration; 0 only calibrates, which is
        post-training quantization.
      learning_rate: Of Adam.
      calibration_batches: Train batches that set the ranges before the first step.
      control: Also train the float model for as long, from the same weights and on the same
        batches, so that the cost of int8 is told apart from the effect of more training.
    """

    technique: Literal["quantize"]
    epochs: int = Field(1, ge=0)
    learning_rate: float = Field(1e-4, gt=0.0, le=1.0)
    calibration_batches: int = Field(32, ge=1)
    control: bool = True


CompressionStep = Annotated[Pruning | PruneUnits | Quantization, Field(discriminator="technique")]
