"""What a model is made of, as typed, validated and immutable data.

These classes are the part of a RankLite YAML file that the model code needs: the features, the
DeepFM and its training; `models.compression_config` has the compression. `pipeline.config` adds
the rest (source, split, gates, push). They hold no TensorFlow, so reading them costs nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Strict(BaseModel):
    """Base of all configuration: unknown keys and infinities are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}


def _parse_bytes(value: Any) -> Any:
    """Accepts 262144, "256k" or "1.5M"."""
    if isinstance(value, str):
        text = value.strip().lower().removesuffix("b").removesuffix("i")
        number, unit = (text[:-1], _UNITS.get(text[-1:])) if text[-1:] in _UNITS else (text, 1)
        try:
            return int(float(number) * unit)  # type: ignore[operator]
        except ValueError:
            raise ValueError(
                f"{value!r} is no size: write bytes, or such as 256k or 1.5M"
            ) from None
    return value


Bytes = Annotated[int, BeforeValidator(_parse_bytes), Field(gt=0)]


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


class FullTable(Strict):
    """A stored row for every id."""

    kind: Literal["full"] = "full"


class HashedTable(Strict):
    """The hashing trick (Weinberger et al. 2009): values of all fields share some rows.

    Attributes:
      rows: How many; the reserved rows come on top.
    """

    kind: Literal["hashed"]
    rows: int = Field(ge=1)


class QuotientRemainderTable(Strict):
    """Compositional embeddings (Shi et al. 2020): a row for v // m times one for v mod m.

    Attributes:
      buckets: m; V values need V / m + m rows, fewest with m near the square root of V.
    """

    kind: Literal["quotient_remainder"]
    buckets: int = Field(ge=2)


class LowRankTable(Strict):
    """The table as a product of two matrices, [V, rank] and [rank, D].

    Attributes:
      rank: Less than the embedding dimension; the linear table, of one column, stays whole.
    """

    kind: Literal["low_rank"]
    rank: int = Field(ge=1)


class ByFrequencyTable(Strict):
    """Mixed dimensions (Ginart et al. 2019): rare values have fewer columns and a projection.

    Attributes:
      head: Share of each field's values, the most frequent ones, that have all columns.
      tail_dim: Columns of the others, less than the embedding dimension; the linear table, of one
        column, stays whole.
    """

    kind: Literal["by_frequency"]
    head: float = Field(gt=0.0, lt=1.0)
    tail_dim: int = Field(ge=1)


class TruncatedTable(Strict):
    """What `prune_rows` by frequency leaves: the first values of each field.

    Attributes:
      values: How many of them, by field of the layout.
    """

    kind: Literal["truncated"]
    values: tuple[Annotated[int, Field(ge=0)], ...]


class PrunedTable(Strict):
    """What `prune_rows` by norm leaves: rows that a map finds.

    Attributes:
      rows: How many, the reserved ones included.
    """

    kind: Literal["pruned"]
    rows: int = Field(ge=1)


Table = Annotated[
    FullTable
    | HashedTable
    | QuotientRemainderTable
    | LowRankTable
    | ByFrequencyTable
    | TruncatedTable
    | PrunedTable,
    Field(discriminator="kind"),
]


class DeepFMConfig(Strict):
    """Hyperparameters of the DeepFM (Guo et al. 2017).

    Attributes:
      embedding_dim: D, size of the shared embedding of a field.
      hidden_units: Width of each hidden layer of the deep tower.
      dropout: Rate after each hidden layer while training.
      batch_norm: Normalize before each ReLU; folded into the Dense layer before quantization.
      embedding_stddev: Standard deviation of the tables' initial values.
      table: How the rows of the tables are stored.
    """

    embedding_dim: int = Field(16, ge=1, le=1024)
    hidden_units: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        (256, 128), min_length=1
    )
    dropout: float = Field(0.2, ge=0.0, lt=1.0)
    batch_norm: bool = True
    embedding_stddev: float = Field(0.01, gt=0.0)
    table: Table = FullTable()

    @model_validator(mode="after")
    def _table_saves_columns(self) -> DeepFMConfig:
        columns = {
            "rank": self.table.rank if isinstance(self.table, LowRankTable) else 0,
            "tail_dim": self.table.tail_dim if isinstance(self.table, ByFrequencyTable) else 0,
        }
        for name, value in columns.items():
            if value >= self.embedding_dim:
                raise ValueError(
                    f"table {self.table.kind!r} has {name} {value} and embedding_dim is "
                    f"{self.embedding_dim}: it saves something only below that"
                )
        return self


class RedrawnNegatives(Strict):
    """Negatives whose items are drawn anew in every epoch, within their own contexts.

    Attributes:
      user: Feature of the user, who never gets an item that he had.
      item: Feature of the item.
      item_columns: Features that belong to the item and change with it.
      by: Items drawn `uniform`ly or by `popularity`.
    """

    user: Name
    item: Name
    item_columns: tuple[Name, ...] = ()
    by: Literal["uniform", "popularity"] = "uniform"


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
      ema: Decay of the moving average of the weights, which is what is measured and kept; 0 keeps
        the weights themselves.
      negatives: Which negatives are redrawn in every epoch; in a RankLite YAML file this follows
        from `negatives: {redraw: epoch}`.
      warm_start: Start from the weights of the model pushed last, where its sizes and features are
        the same; new values of a vocabulary start as unknown ones were scored.
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
    ema: float = Field(0.0, ge=0.0, lt=1.0)
    negatives: RedrawnNegatives | None = None
    warm_start: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    strategy: Literal["none", "mirrored", "multi_worker"] = "none"
    shuffle_rows: int = Field(1_000_000, ge=1)
    seed: int = Field(42, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _one_replica_averages(self) -> TrainingConfig:
        if self.ema and self.strategy != "none":
            raise ValueError(
                f"ema {self.ema} with strategy {self.strategy!r}: weights are averaged in one "
                "process only; set ema to 0 or strategy to none"
            )
        return self


# ------------------------------------------------------------------------------------------ files

SPEC_FILE = "deepfm.json"  # of a checkpoint: its layout, sizes and figures

# How a file stores the weights.
Format = Literal["float32", "float16", "dynamic_range", "int8", "int16x8"]
