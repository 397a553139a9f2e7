"""What a model is made of, as typed, validated and immutable data.

These classes are the part of a RankLite YAML file that the model code needs: the features, the
DeepFM, its training and the compression steps. `pipeline.config` adds the rest (source, split,
gates, push). They hold no TensorFlow, so reading a configuration costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
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


class Clustering(Strict):
    """Weights that share a few values, found by k-means and trained on.

    Attributes:
      clusters: Most distinct values of a layer.
      tower: Cluster the hidden layers of the deep tower.
      embeddings: Cluster the embedding table.
      epochs: Passes over the train split.
      learning_rate: Of Adam.
    """

    technique: Literal["cluster"]
    clusters: int = Field(16, ge=2, le=256)
    tower: bool = True
    embeddings: bool = False
    epochs: int = Field(1, ge=1)
    learning_rate: float = Field(1e-4, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _clusters_something(self) -> Clustering:
        if not (self.tower or self.embeddings):
            raise ValueError("cluster needs `tower: true`, `embeddings: true` or both")
        return self


Format = Literal["float32", "float16", "dynamic_range", "int8", "int16x8"]


class Quantization(Strict):
    """Stores the weights in fewer bits, and computes with them where the format says so.

    Attributes:
      format: `int8`: weights and activations, calibrated and trained on; `int16x8`: int8 weights
        and 16-bit activations, trained likewise; `dynamic_range`: int8 weights, activations
        rounded while running; `float16`: weights only. The last two need no training.
      epochs: Passes over the train split after calibration; 0 only calibrates, which is
        post-training quantization. By default 1, or 0 where the format needs no training.
      learning_rate: Of Adam.
      calibration_batches: Train batches that set the ranges before the first step.
      bits: Of the tower's kernels: 8, 4, or `mixed`, which takes 4 for the layers (the embedding
        table among them) where it costs least, until the weights fit into `max_weight_bytes`.
      table: The embedding table: `int8` with one scale (in int16x8 one a row), or
        `int8_per_row`, `int4_per_row`.
      max_weight_bytes: For `bits: mixed`.
      control: Also train the float model for as long, from the same weights and on the same
        batches, so that the cost of rounding is told apart from the effect of more training.
    """

    technique: Literal["quantize"]
    format: Literal["int8", "int16x8", "dynamic_range", "float16"] = "int8"
    epochs: int = Field(1, ge=0)
    learning_rate: float = Field(1e-4, gt=0.0, le=1.0)
    calibration_batches: int = Field(32, ge=1)
    bits: Literal[8, 4, "mixed"] = 8
    table: Literal["int8", "int8_per_row", "int4_per_row"] = "int8"
    max_weight_bytes: Bytes | None = None
    control: bool = True

    @model_validator(mode="before")
    @classmethod
    def _untrained_formats(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("format") in ("dynamic_range", "float16"):
            return {"epochs": 0, **data}
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> Quantization:
        if self.format in ("dynamic_range", "float16") and self.epochs:
            raise ValueError(
                f"format {self.format} with epochs {self.epochs}: it rounds after training, so "
                "there is nothing to train: leave epochs out, or choose int8"
            )
        if self.format != "int8" and self.bits != 8:
            raise ValueError(f"format {self.format} with bits {self.bits}: it takes 8, as int8 may")
        if self.format in ("dynamic_range", "float16") and self.table != "int8":
            raise ValueError(
                f"format {self.format} with table {self.table}: rows have scales of their own in "
                "the formats int8 and int16x8 only"
            )
        if (self.bits == "mixed") != (self.max_weight_bytes is not None):
            raise ValueError("`bits: mixed` and `max_weight_bytes` go together")
        if self.bits == 4 and self.table == "int8":
            raise ValueError(
                "bits 4 with table int8: the converter cannot store both; choose table "
                "int8_per_row or int4_per_row"
            )
        if self.bits == "mixed" and self.table != "int8":
            raise ValueError("`bits: mixed` chooses the table's format itself: leave `table` out")
        return self


class UnlabelledPairs(Strict):
    """Rows of the train split with another item, which the teachers label.

    Attributes:
      per_row: How many for each labelled row.
      by_popularity: Share of the items that are drawn by popularity; the others are uniform.
      item_columns: Features that belong to the item and change with it.
    """

    per_row: float = Field(1.0, gt=0.0, le=100.0)
    by_popularity: float = Field(0.3, ge=0.0, le=1.0)
    item_columns: tuple[Name, ...] = ()


class Distillation(Strict):
    """An ensemble of float models teaches one student.

    Attributes:
      teachers: How many, trained alike from different seeds.
      teacher: Their sizes; None takes the configured model's.
      student: Its sizes; None takes the configured model's.
      temperature: T of the soft labels.
      hard_weight: Weight of the true labels; the soft ones have the rest.
      hidden_weight: Weight of the distance between the last hidden layers; 0 leaves them alone.
      unlabelled: More pairs of user and item, with soft labels only.
      epochs: Passes over the train split.
      batch_size: Labelled rows a step; None takes the training's.
      learning_rate: Of Adam at the start; it falls along a cosine.
      embedding_l2: As in the training; soft labels need less of it.
    """

    technique: Literal["distill"]
    teachers: int = Field(3, ge=1, le=32)
    teacher: DeepFMConfig | None = None
    student: DeepFMConfig | None = None
    temperature: float = Field(1.0, gt=0.0, le=100.0)
    hard_weight: float = Field(0.5, ge=0.0, le=1.0)
    hidden_weight: float = Field(0.0, ge=0.0)
    unlabelled: UnlabelledPairs | None = None
    epochs: int = Field(20, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float = Field(2e-3, gt=0.0, le=1.0)
    embedding_l2: float = Field(0.01, ge=0.0)


class RowPruning(Strict):
    """Removes rows of vocabulary values; their ids go to their field's out-of-vocabulary row.

    Attributes:
      by: `frequency` keeps the first values of each field (a vocabulary is in order of frequency;
        quantile buckets are not, and lose their upper ones), and costs nothing to find them again;
        `norm` keeps the longest rows of the whole table, with a map of 2 or 4 bytes an id.
      keep: Share of the values to keep, rounded up.
      epochs: Passes over the train split.
      learning_rate: Of Adam.
    """

    technique: Literal["prune_rows"]
    by: Literal["frequency", "norm"] = "frequency"
    keep: float = Field(gt=0.0, lt=1.0)
    epochs: int = Field(1, ge=1)
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)


CompressionStep = Annotated[
    Distillation | RowPruning | PruneUnits | Pruning | Clustering | Quantization,
    Field(discriminator="technique"),
]
_STEP: TypeAdapter[CompressionStep] = TypeAdapter(CompressionStep)

# What each technique makes, in the only order that they can follow each other in: a student is new,
# so it comes first; what removes weights comes before what zeroes them, and what rounds them last.
STAGES = {
    "distill": "distilled",
    "prune_rows": "rows_pruned",
    "prune_units": "units_pruned",
    "prune": "pruned",
    "cluster": "clustered",
    "quantize": "quantized",
}


def parse_step(text: str) -> CompressionStep:
    """Reads a step from JSON."""
    return _STEP.validate_json(text)


def _legal_order(steps: tuple[CompressionStep, ...]) -> tuple[CompressionStep, ...]:
    order = [step.technique for step in steps]
    if order != sorted(set(order), key=list(STAGES).index):
        raise ValueError(
            f"the steps are {', '.join(order)}; each goes at most once, in the order "
            f"{', '.join(STAGES)}; any may be left out"
        )
    return steps


Recipe = Annotated[tuple[CompressionStep, ...], AfterValidator(_legal_order)]


class Budget(Strict):
    """What a file may cost; None sets no limit.

    Attributes:
      bytes: Its size, the tables of the raw signature included.
      gzip_bytes: Its size, gzipped.
      latency_us: Microseconds for one row.
      latency_512_us: Microseconds a row in a batch of 512.
    """

    bytes: Bytes | None = None
    gzip_bytes: Bytes | None = None
    latency_us: float | None = Field(None, gt=0.0)
    latency_512_us: float | None = Field(None, gt=0.0)


class Search(Strict):
    """Several recipes, of which the most accurate one within a budget ships.

    Attributes:
      budget: What the file may cost.
      recipes: Lists of steps by name; None searches over pruned units, sparsity, table rows and
        the table's format.
      trials: How many recipes to try where none are given.
    """

    budget: Budget = Budget()
    recipes: dict[Name, Recipe] | None = Field(None, min_length=1)
    trials: int = Field(10, ge=1, le=1000)


def _steps_or_search(value: Any) -> str:
    return "search" if isinstance(value, (dict, Search)) else "steps"


Compression = Annotated[
    Annotated[Recipe, Tag("steps")] | Annotated[Search, Tag("search")],
    Discriminator(_steps_or_search),
]
