"""Scores of one user's candidates: his own lists are looked up and encoded once for all of them.

A model is trained on rows that have everything, each its own list. Here its layers are called again
on two parts of their inputs, which `Columns` layers tell apart: B rows of what candidates differ by
and one row of the user's own lists, or B of these too. What became of the lists is repeated where a
`Together` layer puts it beside the candidates. Weights are those of the model.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout
from ranklite.models.layers.pooling import Columns, Together, columns
from ranklite.models.layers.table_rows import StoredRows

Tensors = Mapping[str, tf.Tensor]


def has_parts(model: keras.Model) -> bool:
    """Whether a model leads the user's own lists a way of their own."""
    return any(isinstance(layer, Together) for layer in model.layers)


def split(inputs: Tensors, layout: FeatureLayout) -> tuple[Tensors, Tensors]:
    """Whole rows of `ids` and `numeric` in the two parts that `logits` takes."""
    cuts = _cuts(layout)
    return (
        {name: values[:, : cuts[name]] for name, values in inputs.items()},
        {name: values[:, cuts[name] :] for name, values in inputs.items()},
    )


def logits(
    model: keras.Model,
    layout: FeatureLayout,
    candidates: Tensors,
    lists: Tensors,
    *,
    as_many: bool = False,
) -> tf.Tensor:
    """The logits [B, 1] of candidates.

    Args:
      model: A model that `has_parts`.
      layout: Of its inputs.
      candidates: Columns of `ids` and `numeric` before the user's own lists, B rows.
      lists: The columns of these, one row or B.
      as_many: Whether there are B rows in any case, so that nothing has to be repeated.
    """
    cuts = _cuts(layout)
    of_user = _Part(lists, (cuts[IDS], layout.num_ids))
    rows = None if as_many else tf.shape(candidates[IDS])[0]
    return _Candidates(candidates, of_user, cuts, rows).value(model.output)


def _cuts(layout: FeatureLayout) -> dict[str, int]:
    """Column of each input at which the user's own lists begin."""
    before = layout.part(of_user=False)
    return {IDS: before.num_ids, NUMERIC: before.num_numeric}


class _Part:
    """The layers of a functional model, called on some columns of its inputs.

    Args:
      inputs: These columns by the name of the input.
      columns: Which columns of `ids` they are: the first, and the one after the last.
    """

    def __init__(self, inputs: Tensors, columns: tuple[int, int]) -> None:
        self._inputs, self._columns = inputs, columns
        self._values: dict[int, tf.Tensor] = {}  # by the symbolic tensor's id

    def value(self, tensor: Any) -> tf.Tensor:
        """What a symbolic tensor of the model becomes."""
        if id(tensor) not in self._values:
            node = tensor.node
            outputs = self._inputs[node.layer.name] if node.is_input else self._call(node)
            made = zip(tf.nest.flatten(node.outputs), tf.nest.flatten(outputs), strict=True)
            self._values.update((id(symbolic), value) for symbolic, value in made)
        return self._values[id(tensor)]

    def _call(self, node: Any) -> Any:
        layer, given = node.layer, tf.nest.map_structure(self.value, node.call_args)
        if isinstance(layer, StoredRows):
            layer = layer.of_columns(*self._columns)
        trains = "training" in inspect.signature(layer.call).parameters
        return layer(*given, **node.call_kwargs, **({"training": False} if trains else {}))


class _Candidates(_Part):
    """The part before the user's own lists, joined by what becomes of these.

    Args:
      inputs: Of the candidates.
      of_user: The part of the user's own lists.
      cuts: Column of each input at which that begins; that of what is looked up is that of `ids`.
      rows: B; None where the lists have as many rows.
    """

    def __init__(
        self,
        inputs: Tensors,
        of_user: _Part,
        cuts: Mapping[str, int],
        rows: tf.Tensor | None,
    ) -> None:
        super().__init__(inputs, (0, cuts[IDS]))
        self._of_user, self._cuts, self._rows = of_user, cuts, rows

    def _call(self, node: Any) -> Any:
        layer = node.layer
        if isinstance(layer, Columns):
            (source,) = node.call_args
            cut = self._cuts[NUMERIC if source.node.layer.name == NUMERIC else IDS]
            if layer.start >= cut:
                count = layer.stop - layer.start
                return columns(self._of_user.value(source), layer.start - cut, count)
        if isinstance(layer, Together):
            (blocks,) = tf.nest.map_structure(self.value, node.call_args)
            return layer([*blocks[: layer.own], *map(self._repeated, blocks[layer.own :])])
        return super()._call(node)

    def _repeated(self, vectors: tf.Tensor) -> tf.Tensor:
        """[1, P, D] or [B, P, D] -> [B, P, D]."""
        if self._rows is None:
            return vectors
        return tf.broadcast_to(vectors, [self._rows, *vectors.shape[1:]])
