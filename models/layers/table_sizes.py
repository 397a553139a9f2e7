"""How many rows and numbers a table stores, by its kind; no TensorFlow."""

from __future__ import annotations

import math

from ranklite.models.features.layout import PADDING_ROW, RESERVED_ROWS, FeatureLayout
from ranklite.models.layers.table_config import (
    ByFrequencyTable,
    HashedTable,
    LowRankTable,
    PrunedTable,
    QuotientRemainderTable,
    Table,
    TruncatedTable,
)


def values_of(layout: FeatureLayout) -> tuple[int, ...]:
    """Vocabulary values of each field that has rows: those without the reserved ones."""
    return tuple(field.rows - RESERVED_ROWS for field in layout.owners)


def reserved_rows(layout: FeatureLayout) -> int:
    """1 + 2 F: the rows of padding, and of out-of-vocabulary and missing values in F owners."""
    return PADDING_ROW + 1 + RESERVED_ROWS * len(layout.owners)


def share_of(share: float, count: int) -> int:
    """ceil(share * count), without the rounding error that makes 0.1 * 30 more than 3."""
    return math.ceil(round(share * count, 6))


def stored_numbers(layout: FeatureLayout, table: Table, dim: int) -> int:
    """Numbers of a table of so many columns, as `models.layers.tables` builds it.

    Args:
      layout: Of the ids.
      table: How rows are stored.
      dim: Columns: the embedding dimension, or 1.

    Example:
        >>> layout = FeatureLayout.build([("user", 1, 100), ("item", 1, 50)])
        >>> stored_numbers(layout, HashedTable(kind="hashed", rows=30), 4)  # and 5 reserved rows
        140
        >>> stored_numbers(layout, LowRankTable(kind="low_rank", rank=2), 4)  # and 2 x 4 of its own
        318
    """
    reserved, values = reserved_rows(layout), values_of(layout)
    whole = layout.table_rows * dim
    if isinstance(table, HashedTable):
        return (reserved + table.rows) * dim
    if isinstance(table, TruncatedTable):
        return (reserved + sum(table.values)) * dim
    if isinstance(table, PrunedTable):
        return table.rows * dim
    if isinstance(table, QuotientRemainderTable):
        quotients = reserved + math.ceil(sum(values) / table.buckets)
        return (quotients + 1 + table.buckets) * dim
    if isinstance(table, LowRankTable) and dim > table.rank:
        return (layout.table_rows + dim) * table.rank
    if isinstance(table, ByFrequencyTable) and dim > table.tail_dim:
        head = sum(share_of(table.head, n) for n in values)
        rare = 1 + sum(values) - head
        return (reserved + head) * dim + (rare + dim) * table.tail_dim
    return whole
