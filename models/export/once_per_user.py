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
from ranklite.models.layers.pooling import Columns, Together
from ranklite.models.layers.table_rows import StoredRows

Part = Mapping[str, tf.Tensor]


def has_parts(model: keras.Model) -> bool:
    """Whether a model leads the user's own lists a way of their own."""
    return any(isinstance(layer, Together) for layer in model.layers)


def logits(model: keras.Model, layout: FeatureLayout, candidates: Part, lists: Part) -> tf.Tensor:
    """The logits [B, 1] of candidates.

    Args:
      model: A model that `has_parts`.
      layout: Of its inputs.
      candidates: Columns of `ids` and `numeric` before the user's own lists, B rows.
      lists: The columns of these, one row or B.
    """
    before = layout.part(of_user=False)
    columns = ((0, before.num_ids), (before.num_ids, layout.num_ids))
    return _Scores(
        [_Lookups(model, *each) for each in zip((candidates, lists), columns, strict=True)],
        {IDS: before.num_ids, NUMERIC: before.num_numeric},
        tf.shape(candidates[IDS])[0],
    ).value(model.output)


class _Graph:
    """The layers of a functional model, called on other tensors than its own inputs."""

    def __init__(self) -> None:
        self._values: dict[int, tf.Tensor] = {}  # by the symbolic tensor's id

    def value(self, tensor: Any) -> tf.Tensor:
        """What a symbolic tensor of the model becomes."""
        if id(tensor) not in self._values:
            node = tensor.node
            outputs = self._outputs(node.layer, node)
            made = zip(tf.nest.flatten(node.outputs), tf.nest.flatten(outputs), strict=True)
            self._values.update((id(symbolic), value) for symbolic, value in made)
        return self._values[id(tensor)]

    def _outputs(self, layer: keras.layers.Layer, node: Any) -> Any:
        given = tf.nest.map_structure(self.value, node.call_args)
        trains = "training" in inspect.signature(layer.call).parameters
        return layer(*given, **node.call_kwargs, **({"training": False} if trains else {}))


class _Lookups(_Graph):
    """What a model makes of its inputs before `Columns` layers cut it, for one part of them.

    Args:
      model: The model.
      part: The columns of its inputs by name.
      columns: Which columns of `ids` they are, the first and the one after the last.
    """

    def __init__(self, model: keras.Model, part: Part, columns: tuple[int, int]) -> None:
        super().__init__()
        self._part, self._columns = part, columns

    def _outputs(self, layer: keras.layers.Layer, node: Any) -> Any:
        if node.is_input:
            return self._part[layer.name]
        chosen = layer.of_columns(*self._columns) if isinstance(layer, StoredRows) else layer
        return super()._outputs(chosen, node)


class _Scores(_Graph):
    """What a model makes of both parts.

    Args:
      parts: The candidates and the user's own lists.
      cuts: Column of each input at which the second part begins; looked up ids have that of `ids`.
      rows: B, the number of candidates.
    """

    def __init__(self, parts: list[_Lookups], cuts: Mapping[str, int], rows: tf.Tensor) -> None:
        super().__init__()
        self._parts, self._cuts, self._rows = parts, cuts, rows

    def _outputs(self, layer: keras.layers.Layer, node: Any) -> Any:
        if isinstance(layer, Columns):
            (source,) = node.call_args
            cut = self._cuts[NUMERIC if source.node.layer.name == NUMERIC else IDS]
            of_user = layer.start >= cut
            values = self._parts[of_user].value(source)
            first = layer.start - cut * of_user
            count = layer.stop - layer.start
            return values if count == values.shape[1] else values[:, first : first + count]
        if isinstance(layer, Together):
            (blocks,) = tf.nest.map_structure(self.value, node.call_args)
            return layer([*blocks[: layer.own], *map(self._repeated, blocks[layer.own :])])
        return super()._outputs(layer, node)

    def _repeated(self, vectors: tf.Tensor) -> tf.Tensor:
        """[1, P, D] or [B, P, D] -> [B, P, D]."""
        return tf.broadcast_to(vectors, [self._rows, *vectors.shape[1:]])
