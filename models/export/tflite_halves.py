"""Cuts a TFLite graph where a user's features and his candidates' meet, and runs the halves.

The first half computes what belongs to one of the two alone, such as their rows of the tables: once
for candidates that are prepared, and for one row of each user. The second one computes the rest,
for each candidate. They have the operators of the file, in its order: scores are the same.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from ranklite.models.export.batches import in_batches
from ranklite.models.export.halves import Array, Halves, Prepared
from ranklite.models.export.quiet import without_runtime_log
from ranklite.models.export.target import BATCH, SCORE, UnreadableModel
from ranklite.models.export.tflite_cut import Cut, cut
from ranklite.models.export.tflite_graph import Graph, read


class LiteHalves(Halves):
    """The halves of a file's signature, each in an interpreter of its own on one thread.

    Args:
      content: The file.
      graph: The signature's, as the file says it.
      signature: Its name.
      where: Where it is cut.
    """

    def __init__(self, content: bytes, graph: Graph, signature: str, where: Cut) -> None:
        self.cut = where
        whole = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        (number,) = (
            each.subgraphIndex
            for each in whole.signatureDefs
            if each.signatureKey.decode() == signature
        )
        read_first = {n for place in where.first for n in graph.operators[place].inputs}
        self._inputs = {n: name for name, n in graph.inputs.items() if n in read_first}
        self._passed = {n: name for name, n in graph.inputs.items() if n in where.between}
        made = [n for n in where.between if n not in self._passed]
        self._shapes = {n: graph.tensors[n].shape[1:] for n in where.between}
        self._first = _Part(whole, number, where.first, self._inputs, made)
        self._second = _Part(whole, number, where.second, where.between, [graph.outputs[SCORE]])

    def prepared(self, inputs: Mapping[str, Array]) -> Prepared:
        rows = max(map(len, inputs.values()))
        made: dict[int, Array] = {}
        for start in range(0, rows, BATCH):
            some = {n: x if len(x) == 1 else x[start : start + BATCH] for n, x in inputs.items()}
            for number, values in self._of_first(some).items():
                is_own = self.cut.between[number]
                if any(is_own):
                    own = values if all(is_own) else values[:, is_own]
                    whole = made.setdefault(number, np.empty((rows, *own.shape[1:]), own.dtype))
                    whole[start : start + BATCH] = own
        return made

    def score(
        self, items: Prepared, inputs: Mapping[str, Array], rows: int
    ) -> npt.NDArray[np.float32]:
        given: dict[str, Array] = {}
        mixed: dict[str, _Mixed] = {}
        for number, row in self._of_first(inputs).items():
            is_own, name = self.cut.between[number], str(number)
            if any(is_own):
                given[name] = items[number]
                if not all(is_own):
                    mixed[name] = _Mixed(is_own, row)
            else:
                is_once = number in self.cut.once
                given[name] = row if is_once else np.broadcast_to(row, (rows, *row.shape[1:]))

        is_new = True  # the user's columns stay where they are from one batch to the next

        def run(part: Mapping[str, Array], changed: Collection[str]) -> Array:
            nonlocal is_new
            if is_new:
                self._second.resize(
                    {
                        int(name): (len(values), *self._shapes[int(name)])
                        for name, values in part.items()
                    }
                )
            for name in changed:
                if name in mixed:
                    mixed[name].write(self._second.view(int(name)), part[name], is_new)
                else:
                    self._second.give(int(name), part[name])
            is_new = False
            (scores,) = self._second.run()
            return scores

        return in_batches(run, given, BATCH)

    def _of_first(self, inputs: Mapping[str, Array]) -> dict[int, Array]:
        """What is handed over, by tensor."""
        passed = {number: inputs[name] for number, name in self._passed.items()}
        given = {number: inputs[name] for number, name in self._inputs.items()}
        self._first.resize({number: values.shape for number, values in given.items()})
        for number, values in given.items():
            self._first.give(number, values)
        return passed | dict(zip(self._first.outputs, self._first.run(), strict=True))


class _Mixed:
    """A tensor of which some columns are the candidates', the others the same in all rows.

    Args:
      is_own: Whether a column is the candidates'.
      row: [1, N, ...] of the user; the candidates' columns are overwritten.
    """

    def __init__(self, is_own: Sequence[bool], row: Array) -> None:
        self._row = row
        # Slices of neighbours: a list of columns is copied entry by entry.
        places = np.flatnonzero(np.diff([False, *is_own, False])).reshape(-1, 2)
        self._parts, start = [], 0
        for first, last in places.tolist():
            self._parts.append((slice(first, last), slice(start, start + last - first)))
            start += last - first

    def write(self, whole: Array, own: Array, is_new: bool) -> None:
        """Fills [B, N, ...] with the columns of some candidates, a new one with all columns."""
        if is_new:
            whole[:] = self._row
        for columns_, own_columns in self._parts:
            whole[:, columns_] = own[:, own_columns]


class _Part:
    """Some operators of a graph in an interpreter.

    Args:
      whole: A file as flatbuffer_utils reads it, which is not changed.
      number: Of its graph.
      places: Of the operators.
      inputs: Numbers of the tensors that are given.
      outputs: Numbers of those that are wanted.

    Attributes:
      outputs: These.
      resized: How often there were more or fewer rows than in the call before.
    """

    def __init__(
        self,
        whole: Any,
        number: int,
        places: Sequence[int],
        inputs: Iterable[int],
        outputs: Sequence[int],
    ) -> None:
        self.outputs, self.resized, self._shapes = outputs, 0, dict[int, tuple[int, ...]]()
        model, graph = copy.copy(whole), copy.copy(whole.subgraphs[number])
        graph.operators = [graph.operators[place] for place in places]
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        used = {int(n) for operator in graph.operators for n in operator.inputs}
        # What no operator reads is no constant any more, and its bytes are left out.
        graph.tensors = [copy.copy(tensor) for tensor in graph.tensors]
        kept = sorted({t.buffer for n, t in enumerate(graph.tensors) if n in used} | {0})
        moved = {buffer: place for place, buffer in enumerate(kept)}
        for n, tensor in enumerate(graph.tensors):
            tensor.buffer = moved[tensor.buffer] if n in used else 0
        model.subgraphs, model.buffers = [graph], [whole.buffers[buffer] for buffer in kept]
        model.signatureDefs = model.metadata = None
        content = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
        with without_runtime_log():
            self._interpreter = Interpreter(model_content=content, num_threads=1)

    def resize(self, shapes: dict[int, tuple[int, ...]]) -> None:
        """Makes memory for inputs of some shapes; where they are new ones, all have to be given."""
        if shapes != self._shapes:
            self._shapes, self.resized = {}, self.resized + 1
            for number, shape in shapes.items():
                self._interpreter.resize_tensor_input(number, shape)
            self._interpreter.allocate_tensors()
            self._shapes = shapes

    def give(self, number: int, values: Array) -> None:
        """Sets an input; it stays until it is set anew."""
        self._interpreter.set_tensor(number, values)

    def view(self, number: int) -> Array:
        """The memory of an input, not to be kept: the runtime runs while nobody has it."""
        return self._interpreter.tensor(number)()

    def run(self) -> list[Array]:
        """The outputs.

        Raises:
          UnreadableModel: The runtime fails on an operator.
        """
        if self.outputs:
            try:
                self._interpreter.invoke()
            except RuntimeError as error:
                raise UnreadableModel(f"ai-edge-litert cannot run the file: {error}") from error
        return [self._interpreter.get_tensor(number) for number in self.outputs]


def halves(
    content: bytes, signature: str, of_items: Collection[str], once: Collection[str]
) -> LiteHalves | None:
    """The halves of a signature; None where there is nothing to compute before, or texts to read.

    Args:
      content: The file.
      signature: Its name.
      of_items: Names of the inputs that are the candidates'.
      once: Names of those that the file takes one row of for all candidates of a user.
    """
    graph = read(content).graphs[signature]
    if any(graph.tensors[number].dtype == "string" for number in graph.inputs.values()):
        return None
    where = cut(graph, of_items, once)
    return LiteHalves(content, graph, signature, where) if where.first else None
