"""What a model's file takes, and the most that a file can: known before the model is trained.

Nearly all of a large file is rows of the tables, and the vocabularies that lead to them. Both are
known as soon as Transform has learned the vocabularies. No TensorFlow in here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ranklite.models.architectures import family
from ranklite.models.layers.table_config import HashedTable
from ranklite.models.layers.table_sizes import stored_numbers, values_of

if TYPE_CHECKING:
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.features.layout import FeatureLayout

LARGEST = 2**31 - 1  # bytes of a flat buffer, whose offsets are int32, and of a protobuf (ONNX)
LARGE = 100_000_000  # bytes of a float file from which on another kind of table is suggested
VALUE = 11  # bytes of a value in the perfect hash of a large vocabulary: key, row, displacement
VALUES_A_ROW = 10  # of the hashed table that is suggested
FEWEST_ROWS = 1_000  # of it: with fewer, most values would share a row with very many others
OTHERS = "a smaller `max_vocabulary`, a larger `min_count` or a smaller `model.embedding_dim`"
_FLOAT = 4  # bytes
_NAMED = 3  # features in a message
_ROOM = 0.95  # of the bytes that are allowed: the estimate is none of operators


class FileTooLarge(ValueError):
    """No file could hold the model; the message says what takes how much, and the ways out."""


def float_bytes(layout: FeatureLayout, model: FamilySettings) -> int:
    """About what the float file takes: weights and vocabularies.

    Args:
      layout: Where the features live in the model's inputs.
      model: Its settings.

    Example:
        >>> from ranklite.models.architectures.deepfm import DeepFMConfig
        >>> from ranklite.models.features.layout import FeatureLayout
        >>> layout = FeatureLayout.build([("user", 1, 1_000_000)])
        >>> float_bytes(layout, DeepFMConfig(embedding_dim=8, hidden_units=()))
        47000108
    """
    parts = family.parts(layout, model)
    dims = model.embedding_dim, *(1 for _ in parts.tables[1:])
    numbers = sum(stored_numbers(layout, model.table, dim) for dim in dims)
    kernels = [*parts.kernels.values(), *parts.small_kernels.values()]
    numbers += sum(a * b for a, b in kernels) + parts.encoders
    return numbers * _FLOAT + vocabulary_bytes(layout)


def vocabulary_bytes(layout: FeatureLayout) -> int:
    """About what a file takes for the vocabularies."""
    return VALUE * sum(values_of(layout))


def check(layout: FeatureLayout, model: FamilySettings) -> None:
    """Holds the float file, which every run makes, to what a file can take.

    Args:
      layout: Where the features live in the model's inputs.
      model: Its settings.

    Raises:
      FileTooLarge: It cannot be written.
    """
    size = float_bytes(layout, model)
    if size > LARGEST:
        ways = hashed(layout, model, lambda other: float_bytes(layout, other), LARGEST)
        raise FileTooLarge(
            f"the model's file would take {shown(size)}, and a file of TFLite or ONNX can take "
            f"{shown(LARGEST)}: {largest(layout, model)}. Give these features {OTHERS} "
            f"(now {model.embedding_dim}){f', or {ways}' if ways else ''}"
        )


def largest(layout: FeatureLayout, model: FamilySettings, row: float | None = None) -> str:
    """The features with the most rows, and what they take, in words.

    Args:
      layout: Where the features live in the model's inputs.
      model: Its settings.
      row: Bytes of a row of the tables of kind `full`; None for floats.
    """
    columns = model.embedding_dim + len(family.parts(layout, model).tables) - 1
    if model.table.kind != "full":
        return f"its table is {model.table.model_dump()}, embedding_dim {model.embedding_dim}"
    each = (columns * _FLOAT if row is None else row) + VALUE
    fields = sorted(layout.owners, key=lambda field: field.rows, reverse=True)[:_NAMED]
    return ", ".join(f"{f.name} {f.rows:,} rows, {shown(round(f.rows * each))}" for f in fields)


def hashed(
    layout: FeatureLayout,
    model: FamilySettings,
    size: Callable[[FamilySettings], int],
    target: int,
) -> str:
    """The YAML of a hashed table, and what a file takes with it; "" where none helps.

    It has a row for ten values, or fewer where the file would exceed the target.

    Args:
      layout: Where the features live in the model's inputs.
      model: Its settings, with a table of kind `full`.
      size: About the bytes of a file of a model.
      target: Bytes that it is to take at most.
    """
    if model.table.kind != "full":
        return ""

    def with_rows(rows: int) -> int:
        table = HashedTable(kind="hashed", rows=rows)
        return size(model.model_copy(update={"table": table}))

    least = with_rows(1)
    row = (with_rows(1 + FEWEST_ROWS) - least) / FEWEST_ROWS
    most = (target * _ROOM - least) / row if row else 0
    rows = _rounded(min(sum(values_of(layout)) // VALUES_A_ROW, int(most)))
    if rows < FEWEST_ROWS:
        return ""
    yaml = f"model: {{table: {{kind: hashed, rows: {rows}}}}}"
    return f"`{yaml}`, with which it takes about {shown(with_rows(rows))}"


def _rounded(rows: int) -> int:
    """Down to two digits."""
    unit = 10 ** max(0, len(str(max(0, rows))) - 2)
    return rows // unit * unit


def shown(size: int) -> str:
    """Bytes, for a person.

    Example:
        >>> shown(2**31 - 1), shown(238_000_000), shown(5_100)
        ('2.15 GB', '238 MB', '5.1 kB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size / 1e3:.3g} kB"
