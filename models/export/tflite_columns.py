"""Which inputs each column of a tensor is computed from, in a graph of TFLite operators.

Most of what a file computes before its first kernel it computes column by column: a feature is
looked up, its row of the table taken, its list averaged, and only then do features meet. What is
known here of an operator is how columns of its inputs, entries of axis 1, become those of its
output. What an operator does that is not named here nobody has to know: its output has no columns,
nor has what is made of that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ranklite.models.export.tflite_graph import Graph, Operator, Tensor

Names: TypeAlias = "frozenset[str]"
Columns: TypeAlias = "tuple[Names, ...]"  # one where a tensor has no axis 1
NONE: Names = frozenset()

# Each entry of the output is made of the entries at its place.
_NAMES = (
    "ABS ADD BUCKETIZE CAST CEIL DEQUANTIZE DIV EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD GREATER "
    "GREATER_EQUAL LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC "
    "MAXIMUM MINIMUM MUL NEG NOT_EQUAL POW QUANTIZE RELU RELU6 ROUND RSQRT SELECT_V2 SIGN SQRT "
    "SQUARE SQUARED_DIFFERENCE SUB TANH ZEROS_LIKE"
)
ELEMENTWISE = frozenset(_NAMES.split())


def columns(graph: Graph) -> dict[int, Columns]:
    """The names of the inputs that each column is made of, by tensor.

    Args:
      graph: Its inputs have rows of their own in axis 0.

    Returns:
      Of the inputs and of what is computed column by column, row by row.

    Example:
        >>> from ranklite.models.export.tflite_graph import Tensor
        >>> one, two = (Tensor("", "int32", shape, None, None) for shape in ((1,), (1, 2)))
        >>> pack = Operator("PACK", (0, 1), (2,), type("Options", (), {"axis": 1}))
        >>> made = columns(Graph((one, one, two), (pack,), {"user": 0, "item": 1}, {}))
        >>> [sorted(names) for names in made[2]]
        [['user'], ['item']]
    """
    made = {n: (frozenset([name]),) * _width(graph.tensors[n]) for name, n in graph.inputs.items()}
    for operator in graph.operators:
        rule = elementwise if operator.name in ELEMENTWISE else _RULES.get(operator.name)
        computed = [n for n in operator.inputs if n >= 0 and graph.tensors[n].data is None]
        if rule is None or not computed or not all(n in made for n in computed):
            continue
        results = rule(_Step(graph, operator, made))
        made.update(zip(operator.outputs, results or (), strict=bool(results)))
    return made


def _width(tensor: Tensor) -> int:
    return tensor.shape[1] if len(tensor.shape) > 1 else 1


def _union(columns: Sequence[Names]) -> Names:
    return NONE.union(*columns)


class _Step:
    """An operator, and what is known of its inputs."""

    def __init__(self, graph: Graph, operator: Operator, made: dict[int, Columns]) -> None:
        self.options, self._made = operator.options, made
        self._numbers = operator.inputs
        self.inputs = [graph.tensors[number] for number in operator.inputs]
        self.outputs = [graph.tensors[number] for number in operator.outputs]
        self.rank, self.width = len(self.outputs[0].shape), _width(self.outputs[0])

    def columns(self, place: int) -> Columns:
        """Of an input; constants are made of nothing."""
        known = self._made.get(self._numbers[place])
        return (NONE,) * _width(self.inputs[place]) if known is None else known

    def is_constant(self, place: int) -> bool:
        return self.inputs[place].data is not None

    def axes(self, place: int, rank: int) -> list[int]:
        """Axes that a constant input names, from 0 on; none where it is computed."""
        if not self.is_constant(place):
            return []
        return [int(axis) % rank for axis in self.inputs[place].constant.reshape(-1)]


Result: TypeAlias = "list[Columns] | None"


def elementwise(step: _Step) -> Result:
    """Inputs are aligned by their last axes; one column stands for all."""
    given = []
    for place, tensor in enumerate(step.inputs):
        if step.is_constant(place):
            continue
        if len(tensor.shape) != step.rank:
            return None
        own = step.columns(place)
        given.append(own * step.width if len(own) == 1 else own)
    return [tuple(map(_union, zip(*given, strict=True)))]


def _gather(step: _Step) -> Result:
    axis, batch = int(step.options.axis), int(step.options.batchDims)
    if batch:
        return None
    if step.is_constant(0) and axis == 0 and step.inputs[1].shape:
        own = step.columns(1)
        return [own if len(step.inputs[1].shape) > 1 else own * step.width]
    if step.is_constant(1) and axis == 1:
        own = step.columns(0)
        taken = tuple(own[int(place)] for place in step.inputs[1].constant.reshape(-1))
        return [taken if len(taken) == step.width else taken * step.width]
    return None


def _concatenation(step: _Step) -> Result:
    axis, given = int(step.options.axis) % step.rank, range(len(step.inputs))
    if axis == 0:
        return None
    if axis == 1:
        return [tuple(itertools.chain(*map(step.columns, given)))]
    return [tuple(map(_union, zip(*map(step.columns, given), strict=True)))]


def _pack(step: _Step) -> Result:
    axis, given = int(step.options.axis) % step.rank, range(len(step.inputs))
    if axis == 0:
        return None
    if axis == 1:
        return [tuple(_union(step.columns(place)) for place in given)]
    return [tuple(map(_union, zip(*map(step.columns, given), strict=True)))]


def _split(values: int, axis: int) -> Callable[[_Step], Result]:
    """Of an operator that has values and axis at these places among its inputs."""

    def rule(step: _Step) -> Result:
        (along,) = step.axes(axis, step.rank) or (0,)
        own = step.columns(values)
        if along == 0:
            return None
        if along > 1:
            return [own for _ in step.outputs]
        rest = iter(own)
        return [tuple(itertools.islice(rest, _width(part))) for part in step.outputs]

    return rule


def _strided_slice(step: _Step) -> Result:
    rank, about = len(step.inputs[0].shape), step.options
    if not all(map(step.is_constant, (1, 2, 3))) or about.ellipsisMask or about.newAxisMask:
        return None
    first, last, by = (step.inputs[k].constant.reshape(-1).tolist() for k in (1, 2, 3))
    is_whole = about.beginMask & 1 and about.endMask & 1 and by[0] == 1
    if not is_whole or about.shrinkAxisMask & 1:
        return None  # rows are left out
    own = step.columns(0)
    if rank == 1 or len(first) == 1:
        return [own]
    if about.shrinkAxisMask >> 1 & 1:
        return [(own[first[1]],) * step.width]
    begin = None if about.beginMask >> 1 & 1 else first[1]
    return [own[begin : None if about.endMask >> 1 & 1 else last[1] : by[1]]]


def _reshape(step: _Step) -> Result:
    """Rows stay together where only their number is left open."""
    if len(step.inputs) < 2 or not step.is_constant(1):
        return None
    dims = step.inputs[1].constant.reshape(-1).tolist()
    if dims[0] != -1 or math.prod(dims[1:]) < 1:
        return None
    return _in_place(step)


def _in_place(step: _Step) -> Result:
    """The same entries with other axes behind the first one."""
    own, shapes = step.columns(0), (step.inputs[0].shape, step.outputs[0].shape)
    is_kept = len(own) == step.width and all(shape[0] == 1 for shape in shapes)
    return [own if is_kept else (_union(own),) * step.width]


def _expand_dims(step: _Step) -> Result:
    return _in_place(step) if 0 not in (step.axes(1, step.rank) or [0]) else None


def _squeeze(step: _Step) -> Result:
    rank = len(step.inputs[0].shape)
    axes = [int(axis) % rank for axis in step.options.squeezeDims]
    return _in_place(step) if axes and 0 not in axes else None


def _reduced(step: _Step) -> Result:
    axes = step.axes(1, len(step.inputs[0].shape)) or [0]
    own = step.columns(0)
    if 0 in axes:
        return None
    return [(_union(own),) * step.width if 1 in axes else own]


_RULES: dict[str, Callable[[_Step], Any]] = {
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _expand_dims,
    "GATHER": _gather,
    "MEAN": _reduced,
    "PACK": _pack,
    "REDUCE_MAX": _reduced,
    "REDUCE_MIN": _reduced,
    "RESHAPE": _reshape,
    "SPLIT": _split(1, 0),
    "SPLIT_V": _split(0, 2),
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SUM": _reduced,
}
