"""Takes out of a TFLite file what the converter writes and no runtime reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

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
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
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
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _length(values: Any) -> int:
    return 0 if values is None else len(values)


def _elements(tensor: Any) -> int:
    count = 1
    for size in tensor.shape if tensor.shape is not None else ():
        count *= int(size)
    return count
