"""Compression as data: the steps, their legal order, and the search within a budget.

They hold no TensorFlow, as `ranklite.models.config` does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    model_validator,
)

from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.config import Bytes, Name, Strict


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
        if self.embeddings and self.embeddings.block_size[0] > 1:
            raise ValueError(
                f"embeddings.block_size {list(self.embeddings.block_size)}: rows of a table are no "
                "neighbours of each other; give blocks of 1 row"
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
        "pattern '2:4'",
        lambda step: step.embeddings is not None and step.embeddings.pattern == "2:4",
        "it runs along the inputs of a kernel, and a table has none",
    ),
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
      scales: Of the tower's kernels: one for a `kernel`, after its units were rescaled to like
        ranges, or one for each `unit`, with 8 bits in the format int8.
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
    scales: Literal["kernel", "unit"] = "kernel"
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
        if self.scales == "unit" and (self.format != "int8" or self.bits != 8):
            raise ValueError(
                f"scales: unit with format {self.format} and bits {self.bits}: it goes with format "
                "int8 and bits 8"
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


MAX_TEACHERS = 8  # a component's inputs are numbered


class Distillation(Strict):
    """An ensemble of float models teaches one student.

    Attributes:
      teachers: How many, trained alike from different seeds.
      teacher: Their sizes; None takes the configured model's.
      student: Its sizes; None takes the teachers'.
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
    teachers: int = Field(3, ge=1, le=MAX_TEACHERS)
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
      latency_1_us: Microseconds for one row.
      latency_512_us: Microseconds a row in a batch of 512.
    """

    bytes: Bytes | None = None
    gzip_bytes: Bytes | None = None
    latency_1_us: float | None = Field(None, gt=0.0)
    latency_512_us: float | None = Field(None, gt=0.0)

    @property
    def limits(self) -> dict[str, float]:
        """What is limited, by the name of a file's figure; `max_` before it names the gate."""
        return {name: limit for name, limit in self if limit is not None}


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
