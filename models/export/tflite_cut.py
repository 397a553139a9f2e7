"""Finds where features of candidates meet others in a graph of TFLite operators."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from ranklite.models.export.target import SCORE
from ranklite.models.export.tflite_columns import ELEMENTWISE, columns
from ranklite.models.export.tflite_graph import Graph, Operator

_DTYPES = ("float32", "int8", "int16", "int32")


@dataclasses.dataclass(frozen=True)
class Cut:
    """Where a graph is cut.

    Attributes:
      first: Places of the operators of the first half.
      second: Places of those of the second one.
      between: What the second one reads of the first one and of the inputs, by the number of the
        tensor: which of its columns are the candidates'.
      once: Those of these that are made of what has one row for all candidates.
    """

    first: list[int]
    second: list[int]
    between: dict[int, list[bool]]
    once: frozenset[int]


def cut(graph: Graph, of_items: Collection[str], once: Collection[str] = ()) -> Cut:
    """Finds where features of the candidates meet others.

    Args:
      graph: Of a signature.
      of_items: Names of the inputs that are the candidates'.
      once: Names of those that have one row for all candidates of a user.
    """
    known, own = columns(graph), frozenset(of_items)
    alone = {n for n, each in known.items() if all(one <= own or not one & own for one in each)}
    writers = {number: place for place, o in enumerate(graph.operators) for number in o.outputs}
    wrong: set[int] | None = None
    while wrong is None or wrong:
        alone -= wrong or set()
        second = _needed(graph, writers, [graph.outputs[SCORE]], alone)
        operators = [graph.operators[place] for place in second]
        made = {number for operator in operators for number in operator.outputs}
        between = {n for operator in operators for n in _computed(graph, operator)} - made
        wrong = {
            n
            for n in between & writers.keys()
            if _has_no_rows(graph, n) or _is_cheap(graph, graph.operators[writers[n]], between)
        }
    return Cut(
        _needed(graph, writers, between, set(graph.inputs.values())),
        second,
        {n: [bool(names & own) for names in known[n]] for n in sorted(between)},
        frozenset(n for n in between if frozenset().union(*known[n]) <= set(once)),
    )


def _needed(
    graph: Graph, writers: Mapping[int, int], wanted: Iterable[int], given: Collection[int]
) -> list[int]:
    """Places of the operators that make some tensors of given ones."""
    rest, places = [number for number in wanted if number not in given], set[int]()
    while rest:
        place = writers[rest.pop()]
        if place not in places:
            places.add(place)
            rest += [n for n in _computed(graph, graph.operators[place]) if n not in given]
    return sorted(places)


def _computed(graph: Graph, operator: Operator) -> list[int]:
    return [n for n in operator.inputs if n >= 0 and graph.tensors[n].data is None]


def _has_no_rows(graph: Graph, number: int) -> bool:
    """Whether a tensor is none to hand over: it has no row for each row, or is of another type."""
    tensor = graph.tensors[number]
    return tensor.dtype not in _DTYPES or tensor.shape[:1] != (1,)


def _is_cheap(graph: Graph, operator: Operator, between: Collection[int]) -> bool:
    """Whether a tensor is made of what is handed over in any case, and by little work."""
    return operator.name in ELEMENTWISE and set(_computed(graph, operator)) <= set(between)
