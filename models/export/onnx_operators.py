"""TFLite's operators that compute, in ONNX: arithmetic, sums, kernels, rounding."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
import onnx

from ranklite.models.export.onnx_lookups import LOOKUPS, find
from ranklite.models.export.onnx_shapes import SHAPES
from ranklite.models.export.onnx_writer import Writer
from ranklite.models.export.target import NotExportable
from ranklite.models.export.tflite_graph import Operator, Table, table_ids

_NO_ACTIVATION, _RELU, _RELU_N1_TO_1, _RELU6 = range(4)

_LIMITS = {_RELU_N1_TO_1: (-1.0, 1.0), _RELU6: (0.0, 6.0)}  # of what an activation lets pass

_PLAIN = {
    "ABS": "Abs",
    "CEIL": "Ceil",
    "COS": "Cos",
    "ELU": "Elu",
    "EQUAL": "Equal",
    "EXP": "Exp",
    "FLOOR": "Floor",
    "GREATER": "Greater",
    "GREATER_EQUAL": "GreaterOrEqual",
    "LESS": "Less",
    "LESS_EQUAL": "LessOrEqual",
    "LOG": "Log",
    "LOGICAL_AND": "And",
    "LOGICAL_NOT": "Not",
    "LOGICAL_OR": "Or",
    "LOGISTIC": "Sigmoid",
    "MAXIMUM": "Max",
    "MINIMUM": "Min",
    "NEG": "Neg",
    "POW": "Pow",
    "RELU": "Relu",
    "ROUND": "Round",
    "SELECT": "Where",
    "SELECT_V2": "Where",
    "SIGN": "Sign",
    "SIN": "Sin",
    "SQRT": "Sqrt",
    "TANH": "Tanh",
}
_ARITHMETIC = {"ADD": "Add", "DIV": "Div", "MUL": "Mul", "SUB": "Sub"}
_REDUCTIONS = {
    "MEAN": "ReduceMean",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin",
    "REDUCE_PROD": "ReduceProd",
    "SUM": "ReduceSum",
}
_SILENT = ("CALL_ONCE", "HASHTABLE")  # what they prepare is a constant of an operator


def translate(writer: Writer, tables: Mapping[int, Table]) -> None:
    """Writes every operator of a graph.

    Args:
      writer: Of the graph.
      tables: The hash tables of the file.

    Raises:
      NotExportable: One has no translation.
    """
    ids = table_ids(writer.graph)
    by_tensor = {number: tables[ids[number]] for number in ids if ids[number] in tables}
    operators: dict[str, Callable[[Writer, Operator], None]] = {
        **SHAPES,
        **LOOKUPS,
        **_OWN,
        "HASHTABLE_FIND": functools.partial(find, tables=by_tensor),
    }
    for operator in writer.graph.operators:
        if operator.name in _SILENT:
            continue
        write = operators.get(operator.name)
        if write is None:
            raise NotExportable(f"TFLite's {operator.name} is not translated to ONNX")
        write(writer, operator)


def _values(writer: Writer, operator: Operator) -> list[str]:
    return [writer.value(number) for number in operator.inputs]


def _plain(writer: Writer, operator: Operator, *, name: str) -> None:
    writer.give(operator.outputs[0], writer.add(name, *_values(writer, operator)))


def _arithmetic(writer: Writer, operator: Operator, *, name: str) -> None:
    result = writer.add(name, *_values(writer, operator))
    _finish(writer, operator, result)


def _finish(writer: Writer, operator: Operator, name: str) -> None:
    """What comes behind an operator: its activation, and rounding."""
    (output,) = operator.outputs
    kind = operator.options.fusedActivationFunction
    if kind == _RELU:
        name = name if writer.clips_at_zero(output) else writer.add("Relu", name)
    elif kind in _LIMITS:
        name = _clipped(writer, name, *_LIMITS[kind])
    elif kind != _NO_ACTIVATION:
        raise NotExportable(f"the activation {kind} of {operator.name} is not translated to ONNX")
    writer.give(output, name)


def _clipped(writer: Writer, name: str, low: float, high: float) -> str:
    return str(writer.add("Clip", name, *(writer.of(limit, np.float32) for limit in (low, high))))


def _relu6(writer: Writer, operator: Operator) -> None:
    value = writer.value(operator.inputs[0])
    writer.give(operator.outputs[0], _clipped(writer, value, *_LIMITS[_RELU6]))


def _reduction(writer: Writer, operator: Operator, *, name: str) -> None:
    values, axes = operator.inputs
    chosen = writer.of(writer.tensor(axes).constant.reshape(-1))
    keep = int(operator.options.keepDims)
    writer.give(operator.outputs[0], writer.add(name, writer.value(values), chosen, keepdims=keep))


def _square(writer: Writer, operator: Operator) -> None:
    value = writer.value(operator.inputs[0])
    writer.give(operator.outputs[0], writer.add("Mul", value, value))


def _squared_difference(writer: Writer, operator: Operator) -> None:
    difference = writer.add("Sub", *_values(writer, operator))
    writer.give(operator.outputs[0], writer.add("Mul", difference, difference))


def _rsqrt(writer: Writer, operator: Operator) -> None:
    root = writer.add("Sqrt", writer.value(operator.inputs[0]))
    writer.give(operator.outputs[0], writer.add("Reciprocal", root))


def _not_equal(writer: Writer, operator: Operator) -> None:
    equal = writer.add("Equal", *_values(writer, operator))
    writer.give(operator.outputs[0], writer.add("Not", equal))


def _softmax(writer: Writer, operator: Operator) -> None:
    value = writer.value(operator.inputs[0])
    if operator.options.beta != 1:
        value = writer.add("Mul", value, writer.of(operator.options.beta, np.float32))
    writer.give(operator.outputs[0], writer.add("Softmax", value, axis=-1))


def _dequantize(writer: Writer, operator: Operator) -> None:
    (number,), (output,) = operator.inputs, operator.outputs
    if writer.tensor(number).dtype == "float16":
        writer.keep(output, writer.add("Cast", writer.name(number), to=onnx.TensorProto.FLOAT))
    else:
        writer.keep(output, writer.value(number))


def _quantize(writer: Writer, operator: Operator) -> None:
    r"""Rounds numbers, or integers to others, as the kernels do that TFLite runs on processors.

    What lies half way, such as a mean of two entries, is frequent: it has to go the same way. Of
    numbers XNNPACK takes $x (1/s)$ to the nearest, the even one of two; of integers

    $$\lfloor (x - z_x) m + 1/2 \rfloor + z_y, \quad m = \mathrm{round}(256 s_x / s_y) / 256.$$
    """
    (number,), (output,) = operator.inputs, operator.outputs
    before, after = (writer.tensor(k).quantization for k in (number, output))
    assert after is not None
    if before is None:
        factor = writer.of(np.float32(1) / after.scale[0], np.float32)
        places = writer.add("Mul", writer.name(number), factor)
    else:
        factor = np.rint(256 * before.scale[0] / after.scale[0]) / 256
        raised = writer.add("Add", writer.rescaled(number, factor), writer.of(0.5, np.float32))
        places = writer.add("Floor", raised)
    writer.keep(output, writer.rounded(places, output))


def _fully_connected(writer: Writer, operator: Operator) -> None:
    r"""x W^T + b: in integers where x and the result are integers, since

    $$s_y (y - z_y) = s_x s_w \sum (x - z_x) w + b$$

    is what a runtime finds between DequantizeLinear and QuantizeLinear.
    """
    values, kernel, bias = (*operator.inputs, -1)[:3]
    x, w = writer.value(values), writer.kernel(kernel)
    rank = len(writer.tensor(values).shape)
    if operator.options.keepNumDims and rank > 2:
        result = writer.add("MatMul", x, writer.add("Transpose", w, perm=[1, 0]))
        if bias >= 0:
            result = writer.add("Add", result, writer.value(bias))
    else:
        if rank != 2:
            x = writer.add("Reshape", x, writer.of([-1, writer.tensor(kernel).shape[1]]))
        more = (writer.value(bias),) if bias >= 0 else ()
        result = writer.add("Gemm", x, w, *more, transB=1)
    _finish(writer, operator, result)


def _conv_2d(writer: Writer, operator: Operator) -> None:
    """A kernel with a scale a unit: the converter has such ones in convolutions of one pixel."""
    values, kernel, bias = operator.inputs
    tensor, about = writer.tensor(kernel), operator.options
    units, height, width, inputs = tensor.shape
    if (height, width, about.strideH, about.strideW) != (1, 1, 1, 1) or tensor.data is None:
        raise NotExportable("CONV_2D of more than one pixel is not translated to ONNX")
    (output,) = operator.outputs
    pixels = writer.add("Reshape", writer.name(values), writer.of([-1, inputs]))
    x, w = writer.numbers(pixels, values), writer.kernel(kernel)
    _finish(writer, operator, writer.add("Gemm", x, w, writer.value(bias), transB=1))
    shape = writer.of([-1, *writer.tensor(values).shape[1:3], units])
    writer.keep(output, writer.add("Reshape", writer.name(output), shape))


def _batch_matmul(writer: Writer, operator: Operator) -> None:
    turned = (operator.options.adjX, operator.options.adjY)
    sides = []
    for number, is_turned in zip(operator.inputs, turned, strict=True):
        value, rank = writer.value(number), len(writer.tensor(number).shape)
        axes = [*range(rank - 2), rank - 1, rank - 2]
        sides.append(writer.add("Transpose", value, perm=axes) if is_turned else value)
    writer.give(operator.outputs[0], writer.add("MatMul", *sides))


_OWN: dict[str, Callable[[Writer, Operator], None]] = {
    **{key: functools.partial(_plain, name=name) for key, name in _PLAIN.items()},
    **{key: functools.partial(_arithmetic, name=name) for key, name in _ARITHMETIC.items()},
    **{key: functools.partial(_reduction, name=name) for key, name in _REDUCTIONS.items()},
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv_2d,
    "DEQUANTIZE": _dequantize,
    "FULLY_CONNECTED": _fully_connected,
    "NOT_EQUAL": _not_equal,
    "QUANTIZE": _quantize,
    "RELU6": _relu6,
    "RSQRT": _rsqrt,
    "SOFTMAX": _softmax,
    "SQUARE": _square,
    "SQUARED_DIFFERENCE": _squared_difference,
}
