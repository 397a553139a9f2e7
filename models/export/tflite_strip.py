"""Takes out of a TFLite file what the converter writes and no runtime reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ranklite.models.export.tflite_joins import join_in_float

_IDENTIFIER = b"TFL3"
_ROOM = 4096  # bytes for what notes add beside their text
NAMED_SIZE = 16  # elements of a constant that is worth a name


def slim(content: bytes, notes: Mapping[str, str] | None = None) -> bytes:
    """A file that computes the same, without ballast: of a small ranker, that is a third.

    The converter gives each tensor a name made of all the layers that it was fused from, empty
    quantization parameters, a buffer of its own even if it holds no constant, and twice its shape.
    What remains are the names and shapes of inputs and outputs, and the first part of the names of
    the main graph's constants, by which a report calls them.

    Args:
      content: The file.
      notes: Texts to keep in its metadata, by name.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    join_in_float(model)
    for number, graph in enumerate(model.subgraphs):
        _drop_unused(graph, [d for d in model.signatureDefs or () if d.subgraphIndex == number])
    buffers = [model.buffers[0]]  # empty by the format's definition
    moved = {0: 0}

    def kept(buffer: int) -> int:
        if buffer not in moved and not _length(model.buffers[buffer].data):
            return 0
        if buffer not in moved:
            moved[buffer] = len(buffers)
            buffers.append(model.buffers[buffer])
        return moved[buffer]

    for number, graph in enumerate(model.subgraphs):
        interface = {*map(int, graph.inputs), *map(int, graph.outputs)}
        for index, tensor in enumerate(graph.tensors):
            tensor.buffer = kept(tensor.buffer)
            quantization = tensor.quantization
            if quantization and not _length(quantization.scale) and not quantization.details:
                tensor.quantization = None
            if index not in interface:
                tensor.shapeSignature = None
                is_shown = number == 0 and tensor.buffer and _elements(tensor) >= NAMED_SIZE
                tensor.name = tensor.name.split(b";")[0] if is_shown else None
    for metadata in model.metadata or ():
        metadata.buffer = kept(metadata.buffer)
    for name, text in (notes or {}).items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = list(text.encode())
        entry.name, entry.buffer = name, len(buffers)
        buffers.append(buffer)
        model.metadata = [*(model.metadata or ()), entry]
    model.buffers = buffers
    return _packed(model, len(content) + sum(len(text) for text in (notes or {}).values()) + _ROOM)


def _packed(model: Any, size: int) -> bytes:
    """What `flatbuffer_utils.convert_object_to_bytearray` makes, with room for it from the start.

    A builder doubles its room by a copy of all that it holds.

    Args:
      model: The file, as flatbuffer_utils reads it.
      size: About how many bytes it will have.
    """
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def _drop_unused(graph: Any, signatures: Sequence[Any]) -> None:
    """Takes the tensors out of a graph that no operator reads or writes."""
    used = {*map(int, graph.inputs), *map(int, graph.outputs)}
    for operator in graph.operators:
        used |= {*map(int, _numbers(operator.inputs)), *map(int, _numbers(operator.outputs))}
    kept = sorted(used - {-1})
    place = {old: new for new, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in kept]
    for each in (graph, *graph.operators):
        each.inputs = [place[int(old)] for old in _numbers(each.inputs)]
        each.outputs = [place[int(old)] for old in _numbers(each.outputs)]
    for signature in signatures:
        for tensor in (*signature.inputs, *signature.outputs):
            tensor.tensorIndex = place[int(tensor.tensorIndex)]


def _numbers(values: Any) -> Sequence[Any]:
    return () if values is None else values


def _length(values: Any) -> int:
    return 0 if values is None else len(values)


def _elements(tensor: Any) -> int:
    count = 1
    for size in tensor.shape if tensor.shape is not None else ():
        count *= int(size)
    return count
