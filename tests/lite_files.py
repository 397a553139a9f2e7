"""What a TFLite file stores."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils


def stored(content: bytes, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The one constant of a shape in the main graph, as its integers or floats, 4 bits unpacked."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    result = []
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if tensor.shape is None or tuple(tensor.shape) != shape or data is None or not len(data):
            continue
        raw = np.asarray(data, np.uint8)
        name = flatbuffer_utils.type_to_name(tensor.type).lower()
        if name == "int4":
            raw = np.stack([raw << 4, raw & 0xF0], axis=1).astype(np.uint8).view(np.int8) >> 4
            result.append(raw.reshape(shape))
        else:
            result.append(np.frombuffer(raw.tobytes(), name).reshape(shape))
    (constant,) = result
    return constant


def stored_bytes(content: bytes) -> int:
    """Bytes of the constants of the main graph, 4-bit ones packed."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    used = {tensor.buffer for tensor in model.subgraphs[0].tensors}
    result = (model.buffers[buffer].data for buffer in used)
    return sum(len(data) for data in result if data is not None)
