"""How the rows of an embedding table are stored, as data; no TensorFlow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ranklite.models.config import Strict

EMBEDDING = "embedding"  # the table of a family's embeddings, which has a row for each id
LINEAR = "linear"  # the one of first-order weights, where it has one


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
