"""How one part of a model is pruned, as data, and what its pattern means for a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from ranklite.models.compression.sizes import NotCompressible
from ranklite.models.config import Strict

if TYPE_CHECKING:
    from ranklite.models.architectures.family import FamilySettings


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


def check_pattern(name: str, rows: int, columns: int, scope: PruningScope) -> None:
    """Raises NotCompressible where the pattern of a scope does not divide a kernel."""
    if scope.pattern == "2:4" and rows % 4:
        raise NotCompressible(
            f"{name} is {rows} x {columns}: pattern 2:4 runs along the inputs, whose number four "
            "has to divide: choose embedding_dim and hidden_units so"
        )
    height, width = scope.block_size
    if rows % height or columns % width:
        raise NotCompressible(
            f"{name} is {rows} x {columns}, which blocks of {height} x {width} do not divide: "
            "choose a block_size whose sides divide every pruned layer"
        )


def check_width(model: FamilySettings, scope: PruningScope) -> None:
    """Raises NotCompressible where blocks do not divide the rows of a table."""
    width = scope.block_size[1]
    if model.embedding_dim % width:
        raise NotCompressible(
            f"the rows of the table have {model.embedding_dim} columns, which blocks of 1 x "
            f"{width} do not divide: choose a block_size that does"
        )


def holds_two_of_four(kernel: npt.NDArray[np.float32]) -> bool:
    """Whether each four weights in a row of a kernel, or each four in a column, have two zeros.

    Args:
      kernel: [inputs, units].
    """

    def along(matrix: npt.NDArray[np.float32]) -> bool:
        if matrix.shape[1] % 4:
            return False
        fours = matrix.reshape(matrix.shape[0], -1, 4)
        return bool(((fours == 0).sum(axis=2) >= 2).all())

    return along(kernel) or along(kernel.T)
