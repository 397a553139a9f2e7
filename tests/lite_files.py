"""What a TFLite file stores."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
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


def buffers(content: bytes) -> list[bytes]:
    """What is stored, of all graphs."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    return [bytes(buffer.data) for buffer in model.buffers if buffer.data is not None]


def written(content: bytes, signature: str, rows: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """Each operator that a signature runs on some rows, with the shape of what it writes."""
    # With a delegate, what is inside of it keeps the shapes of a file's making.
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=plain)
    runner = interpreter.get_signature_runner(signature)
    runner(**rows)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    size, graph = interpreter._interpreter.TensorSize, runner._subgraph_index
    return [
        (names[codes[operator.opcodeIndex]], size(int(output), graph).tolist())
        for operator in model.subgraphs[graph].operators
        for output in operator.outputs
    ]
