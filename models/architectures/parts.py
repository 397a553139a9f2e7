"""What a model is made of, by the names of its layers: all that compression asks of a family."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Reader:
    """A Dense layer that reads the units of a hidden layer.

    Attributes:
      layer: Its name.
      first_row: The row of its kernel that the first unit has; the others follow.
    """

    layer: str
    first_row: int = 0


@dataclasses.dataclass(frozen=True)
class Hidden:
    """A hidden layer:  relu(norm(x W + sum_i z_i V_i + b)).

    Its units pass positive factors on and can be removed one by one.

    Attributes:
      dense: Name of the Dense layer with W [inputs, units] and b.
      inputs: Rows of W.
      units: Columns of W and of all V.
      activation: Name of the layer that gives the units' outputs.
      readers: All layers that read them.
      branches: Names of the Dense layers with a V, without a bias.
      norm: Name of the batch normalization; None where there is none.
    """

    dense: str
    inputs: int
    units: int
    activation: str
    readers: tuple[Reader, ...]
    branches: tuple[str, ...] = ()
    norm: str | None = None


@dataclasses.dataclass(frozen=True)
class Parts:
    """The layers of a model that something is done to, apart from what all layers go through.

    Attributes:
      tables: Names of the tables, whose rows the ids of the layout index: with a `full` table each
        is one Embedding layer.
      embeddings: Name of the layer that reads the embeddings of the fields [B, F, D], first of its
        inputs where there are several.
      hidden: The hidden layers, in order; none in a model without a tower.
      kernels: Shape (inputs, units) of the large kernels by the name of their Dense layer, in the
        order of the model: what is pruned, clustered and computed in integers.
      small_kernels: Shapes of the other kernels that compression counts and never touches: few
        weights, on every path.
      ranges: Names of the layers whose output needs a range in integer arithmetic, kernels
        included: what kernels read, and the product of a kernel that something is added to.
      inputs: Those whose output needs one only where it comes from float arithmetic: an embedding
        that a table stores in integers already has one.
      heads: Names of the float Dense layers that read what integer arithmetic gives.
      encoders: How many weights the encoders of lists have, which stay float; biases left out.
    """

    tables: tuple[str, ...]
    embeddings: str
    hidden: tuple[Hidden, ...]
    kernels: Mapping[str, tuple[int, int]]
    small_kernels: Mapping[str, tuple[int, int]]
    ranges: tuple[str, ...]
    inputs: tuple[str, ...]
    heads: tuple[str, ...]
    encoders: int = 0
