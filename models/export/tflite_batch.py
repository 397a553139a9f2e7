"""Gives a TFLite file a fixed batch, as LiteRT.js needs it: it feeds no dynamic shape."""

from __future__ import annotations

from ai_edge_litert.tools import flatbuffer_utils


def fixed_batch(content: bytes, rows: int) -> bytes:
    """A file that computes the same, of so many rows at a time.

    The runtime derives all other shapes from those of the inputs.

    Args:
      content: The file.
      rows: Rows a call, for all inputs and outputs of all signatures.

    Raises:
      ValueError: It is no positive number.
    """
    if rows < 1:
        raise ValueError(f"a batch of {rows} rows; it takes 1 or more")
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    for graph in model.subgraphs:
        for index in {*map(int, graph.inputs), *map(int, graph.outputs)}:
            tensor = graph.tensors[index]
            tensor.shape = [rows, *(int(n) for n in tensor.shape[1:])]
            tensor.shapeSignature = None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
