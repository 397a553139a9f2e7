"""What a TFLite file says: its signatures as lists of operators over tensors, and its tables.

A converter to another format starts from here. What a model computes in integers, with which
scales, and what the raw signature does, the file says in full; nothing is calibrated anew.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ranklite.models.export.target import ENCODER
from ranklite.models.export.tflite_runtime import note

Array = npt.NDArray[Any]
OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if name[0] != "_"}
PACKED = "int4"


@dataclasses.dataclass(frozen=True)
class Quantization:
    """The numbers that integers stand for: scale (integer - zero point).

    Attributes:
      scale: [1], or one an entry of an axis.
      zero_point: As many.
      axis: Which axis.
    """

    scale: Array
    zero_point: Array
    axis: int

    def same_as(self, other: Quantization | None) -> bool:
        """Whether equal integers stand for equal numbers."""
        return other is not None and all(
            np.array_equal(a, b)
            for a, b in ((self.scale, other.scale), (self.zero_point, other.zero_point))
        )


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of a graph.

    Attributes:
      name: Of a constant that is worth one; "" otherwise.
      dtype: `float32`, `int8`, `int4`, `string`, ...
      shape: At the file's making; 1 where there are more rows later.
      quantization: None where its values are themselves.
      data: The bytes of a constant; None of what is computed.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    quantization: Quantization | None
    data: bytes | None

    @property
    def constant(self) -> Array:
        """The values of a constant; 4 bits are unpacked, texts are objects.

        Raises:
          ValueError: It is computed.
        """
        if self.data is None:
            raise ValueError(f"a tensor of shape {self.shape} is computed, and no constant")
        if self.dtype == "string":
            return _texts(self.data).reshape(self.shape)
        if self.dtype == PACKED:
            packed = np.frombuffer(self.data, np.uint8)
            signed = np.stack([packed << 4, packed & 0xF0], axis=1).astype(np.uint8).view(np.int8)
            return (signed >> 4).reshape(-1)[: int(np.prod(self.shape))].reshape(self.shape)
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)


@dataclasses.dataclass(frozen=True)
class Operator:
    """A step of a graph.

    Attributes:
      name: `FULLY_CONNECTED`, ...
      inputs: Numbers of tensors; -1 where an optional one is left out.
      outputs: Numbers of tensors.
      options: The flat buffer's object; None where there is nothing to say.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclasses.dataclass(frozen=True)
class Graph:
    """A subgraph.

    Attributes:
      tensors: By number.
      operators: In the order that they run in.
      inputs: Number of the tensor of each input, by the input's name.
      outputs: The same of outputs.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Table:
    """A hash table.

    Attributes:
      keys: [N].
      values: [N].
    """

    keys: Array
    values: Array


@dataclasses.dataclass(frozen=True)
class File:
    """A TFLite file.

    Attributes:
      graphs: By the name of the signature.
      shapes: Shape of each input of each signature, -1 for the rows.
      tables: By their id.
      encoder: JSON of what turns texts into the int32 that it takes; None where it takes them.
    """

    graphs: dict[str, Graph]
    tables: dict[int, Table]
    shapes: dict[str, dict[str, list[int]]]
    encoder: str | None


def read(content: bytes) -> File:
    """Reads a file that has signatures."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    data = [None if b.data is None or not len(b.data) else bytes(b.data) for b in model.buffers]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    names = [OPERATORS[code] for code in codes]
    bare = [
        Graph(
            tuple(_tensor(tensor, data[tensor.buffer]) for tensor in graph.tensors),
            tuple(
                Operator(
                    names[operator.opcodeIndex],
                    _numbers(operator.inputs),
                    _numbers(operator.outputs),
                    operator.builtinOptions,
                )
                for operator in graph.operators
            ),
            {},
            {},
        )
        for graph in model.subgraphs
    ]
    graphs, shapes = {}, {}
    for signature in model.signatureDefs:
        key, number = signature.signatureKey.decode(), signature.subgraphIndex
        inputs = {each.name.decode(): int(each.tensorIndex) for each in signature.inputs}
        outputs = {each.name.decode(): int(each.tensorIndex) for each in signature.outputs}
        graphs[key] = dataclasses.replace(bare[number], inputs=inputs, outputs=outputs)
        tensors = model.subgraphs[number].tensors
        shapes[key] = {name: [-1, *_numbers(tensors[k].shape)[1:]] for name, k in inputs.items()}
    return File(graphs, _tables(bare), shapes, note(content, ENCODER))


def _tensor(tensor: Any, data: bytes | None) -> Tensor:
    about, quantization = tensor.quantization, None
    if about is not None and about.scale is not None and len(about.scale):
        quantization = Quantization(
            np.array(about.scale, np.float32),
            np.array(about.zeroPoint, np.int64),
            int(about.quantizedDimension),
        )
    return Tensor(
        (tensor.name or b"").decode(),
        TYPES[tensor.type],
        _numbers(tensor.shape),
        quantization,
        data,
    )


def _numbers(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)


def _tables(graphs: Sequence[Graph]) -> dict[int, Table]:
    """The tables that the file's first run fills."""
    tables = {}
    for graph in graphs:
        ids = table_ids(graph)
        for operator in graph.operators:
            if operator.name == "HASHTABLE_IMPORT":
                number, keys, values = operator.inputs
                tables[ids[number]] = Table(
                    graph.tensors[keys].constant, graph.tensors[values].constant
                )
    return tables


def table_ids(graph: Graph) -> dict[int, int]:
    """The id of each hash table that a graph reads, by the number of its tensor."""
    return {
        operator.outputs[0]: int(operator.options.tableId)
        for operator in graph.operators
        if operator.name == "HASHTABLE"
    }


def _texts(data: bytes) -> Array:
    """The texts of a constant: their number, where each begins, the end, and their bytes."""
    count = int(np.frombuffer(data, np.int32, 1)[0])
    starts = np.frombuffer(data, np.int32, count + 1, 4)
    result = np.empty(count, np.object_)
    result[:] = [data[a:b] for a, b in itertools.pairwise(starts)]
    return result
