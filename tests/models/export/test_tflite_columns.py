"""Which inputs the columns of a tensor are made of: what is known of operators, one by one."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest

from ranklite.models.export.target import SCORE
from ranklite.models.export.tflite_columns import columns
from ranklite.models.export.tflite_cut import cut
from ranklite.models.export.tflite_graph import Graph, Operator, Tensor

A, B = {"a"}, {"b"}
MASKS = ("beginMask", "endMask", "ellipsisMask", "newAxisMask", "shrinkAxisMask")


def constant(values: Any, dtype: str = "int32") -> Tensor:
    array = np.array(values, dtype)
    return Tensor("", dtype, array.shape, None, array.tobytes())


def computed(*shape: int, dtype: str = "int32") -> Tensor:
    return Tensor("", dtype, shape, None, None)


def slices(**masks: int) -> types.SimpleNamespace:
    return types.SimpleNamespace(**{**dict.fromkeys(MASKS, 0), **masks})


def result(
    name: str,
    inputs: list[Tensor | str],
    *outputs: Tensor,
    options: Any = None,
) -> list[list[set[str]] | None]:
    """Of the outputs of an operator on `ab`, [B, 2] of the inputs a and b, on `a`, and others."""
    tensors = [computed(1), computed(1), computed(1, 2)]
    pack = Operator("PACK", (0, 1), (2,), types.SimpleNamespace(axis=1))
    places = {"a": 0, "b": 1, "ab": 2}
    numbers = []
    for each in inputs:
        if isinstance(each, str):
            numbers.append(places[each])
        else:
            numbers.append(len(tensors))
            tensors.append(each)
    first = len(tensors)
    made = tuple(range(first, first + len(outputs)))
    operator = Operator(name, tuple(numbers), made, options)
    known = columns(Graph((*tensors, *outputs), (pack, operator), {"a": 0, "b": 1}, {}))
    return [[set(names) for names in known[n]] if n in known else None for n in made]


AXIS = {k: types.SimpleNamespace(axis=k, batchDims=0, squeezeDims=[k]) for k in (-1, 0, 1, 2)}
KEPT = [A, B]


@pytest.mark.parametrize(
    ("name", "inputs", "output", "options", "expected"),
    [
        ("ADD", ["ab", "ab"], computed(1, 2), None, KEPT),
        ("ADD", ["ab", constant([1, 2])], computed(1, 2), None, KEPT),
        ("MUL", ["ab", "a"], computed(1, 2), None, None),  # aligned by the last axis: of rows
        ("CUMSUM", ["ab", constant(1)], computed(1, 2), None, None),
        ("FULLY_CONNECTED", ["ab", constant([[1, 2]])], computed(1, 1), None, None),
        ("GATHER", [constant(range(9)), "ab"], computed(1, 2), AXIS[0], KEPT),
        ("GATHER", [constant([[1, 2, 3]]), "a"], computed(1, 3), AXIS[0], [A, A, A]),
        ("GATHER", ["ab", constant([1, 1, 0])], computed(1, 3), AXIS[1], [B, B, A]),
        ("GATHER", ["ab", constant([0])], computed(1, 2), AXIS[0], None),  # a row for all
        ("GATHER", ["ab", "ab"], computed(1, 2, 2), AXIS[0], None),
        ("CONCATENATION", ["ab", "ab"], computed(1, 4), AXIS[1], KEPT * 2),
        ("CONCATENATION", ["ab", "ab"], computed(1, 4), AXIS[-1], KEPT * 2),
        ("CONCATENATION", ["ab", "ab"], computed(2, 2), AXIS[0], None),
        ("PACK", ["ab", "ab"], computed(1, 2, 2), AXIS[1], [A | B, A | B]),
        ("PACK", ["ab", "ab"], computed(1, 2, 2), AXIS[2], KEPT),
        ("PACK", ["a", "b"], computed(2, 1), AXIS[0], None),
        ("SUM", ["ab", constant([1])], computed(1), None, [A | B]),
        ("SUM", ["ab", constant([0])], computed(2), None, None),
        ("EXPAND_DIMS", ["ab", constant(2)], computed(1, 2, 1), None, KEPT),
        ("EXPAND_DIMS", ["ab", constant(1)], computed(1, 1, 2), None, [A | B]),
        ("EXPAND_DIMS", ["a", constant(0)], computed(1, 1), None, None),
        ("SQUEEZE", ["ab"], computed(2), AXIS[0], None),
        ("RESHAPE", ["ab", constant([-1, 2, 1])], computed(1, 2, 1), None, KEPT),
        ("RESHAPE", ["ab", constant([-1, 1])], computed(2, 1), None, [A | B]),
        ("RESHAPE", ["ab", constant([1, -1])], computed(1, 2), None, None),
        (
            "STRIDED_SLICE",
            ["ab", constant([0, 1]), constant([0, 2]), constant([1, 1])],
            computed(1, 1),
            slices(beginMask=1, endMask=1),
            [B],
        ),
        (
            "STRIDED_SLICE",
            ["ab", constant([0, 1]), constant([0, 2]), constant([1, 1])],
            computed(1),
            slices(beginMask=1, endMask=1, shrinkAxisMask=2),
            [B],
        ),
        (
            "STRIDED_SLICE",
            ["ab", constant([0, 0]), constant([0, 0]), constant([1, -1])],
            computed(1, 2),
            slices(beginMask=3, endMask=3),
            [B, A],
        ),
        (
            "STRIDED_SLICE",
            ["ab", constant([1, 0]), constant([0, 0]), constant([1, 1])],
            computed(0, 2),
            slices(beginMask=2, endMask=3),
            None,  # without the first row
        ),
    ],
)
def test_columns_of(
    name: str, inputs: list[Any], output: Tensor, options: Any, expected: list[set[str]] | None
) -> None:
    assert result(name, inputs, output, options=options) == [expected]


def test_parts_of_a_split() -> None:
    parts = computed(1, 1), computed(1, 1)
    assert result("SPLIT", [constant(1), "ab"], *parts) == [[A], [B]]
    assert result("SPLIT_V", ["ab", constant([1, 1]), constant(1)], *parts) == [[A], [B]]
    assert result("SPLIT", [constant(0), "ab"], *parts) == [None, None]


def test_a_cut_hands_little_over() -> None:
    """(a, b) -> float -> twice read: as int8, and as floats that only then meet."""
    tensors = (computed(1), computed(1), computed(1, 2), *(computed(1, 2) for _ in range(3)))
    tensors += (computed(1, 1, dtype="float32"),)
    operators = (
        Operator("PACK", (0, 1), (2,), types.SimpleNamespace(axis=1)),
        Operator("QUANTIZE", (2,), (3,), None),
        Operator("SQUARE", (2,), (4,), None),
        Operator("FULLY_CONNECTED", (3, 4), (5,), None),
        Operator("CUSTOM", (5, 2), (6,), None),
    )
    graph = Graph(tensors, operators, {"a": 0, "b": 1}, {SCORE: 6})
    where = cut(graph, ["b"], ["a"])
    assert (where.first, where.second) == ([0], [1, 2, 3, 4])
    assert where.between == {2: [False, True]}
    assert cut(graph, ["b"], ["a", "b"]).once == {2}
    other = tuple(computed(1, 2, dtype="int64") if n == 2 else t for n, t in enumerate(tensors))
    where = cut(Graph(other, operators, graph.inputs, graph.outputs), ["b"])
    assert (where.first, where.between) == ([], {0: [False], 1: [True]})
