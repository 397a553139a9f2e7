"""TFLite's operators that move values and compute none, in ONNX: integers stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx

from ranklite.models.export.onnx_writer import DTYPES, Writer
from ranklite.models.export.target import NotExportable
from ranklite.models.export.tflite_graph import Operator

_END = 2**63 - 1


def gather(writer: Writer, operator: Operator) -> None:
    """Entries of an axis by their places."""
    if operator.options.batchDims:
        raise NotExportable("GATHER in each row of a batch is not translated to ONNX")
    table, places = operator.inputs[:2]
    names = writer.name(table), writer.name(places)
    writer.keep(operator.outputs[0], writer.add("Gather", *names, axis=operator.options.axis))


def gather_nd(writer: Writer, operator: Operator) -> None:
    """Entries by their places in several axes."""
    values, places = map(writer.name, operator.inputs)
    writer.keep(operator.outputs[0], writer.add("GatherND", values, _int64(writer, places)))


def concatenation(writer: Writer, operator: Operator) -> None:
    """One behind the other."""
    (output,) = operator.outputs
    parts = [writer.like(number, output) for number in operator.inputs]
    writer.keep(output, writer.add("Concat", *parts, axis=operator.options.axis))


def pack(writer: Writer, operator: Operator) -> None:
    """One behind the other in a new axis."""
    (output,) = operator.outputs
    axis = operator.options.axis
    axes = writer.of([axis])
    parts = [writer.add("Unsqueeze", writer.like(k, output), axes) for k in operator.inputs]
    writer.keep(output, writer.add("Concat", *parts, axis=axis))


def unpack(writer: Writer, operator: Operator) -> None:
    """The entries of an axis, each for itself."""
    axis, outputs = operator.options.axis, operator.outputs
    parts = _split(writer, operator.inputs[0], [1] * len(outputs), axis)
    _keep(writer, outputs, [writer.add("Squeeze", part, writer.of([axis])) for part in parts])


def split(writer: Writer, operator: Operator) -> None:
    """Equal parts of an axis."""
    axis, values = operator.inputs
    number, shape = int(writer.tensor(axis).constant.item()), writer.tensor(values).shape
    sizes = [shape[number] // len(operator.outputs)] * len(operator.outputs)
    _keep(writer, operator.outputs, _split(writer, values, sizes, number))


def split_v(writer: Writer, operator: Operator) -> None:
    """Parts of an axis."""
    values, sizes, axis = operator.inputs
    lengths = [int(size) for size in writer.tensor(sizes).constant.reshape(-1)]
    number = int(writer.tensor(axis).constant.item())
    _keep(writer, operator.outputs, _split(writer, values, lengths, number))


def _split(writer: Writer, number: int, sizes: list[int], axis: int) -> list[str]:
    values = writer.name(number)
    if len(sizes) == 1:
        return [values]
    parts: list[str] = writer.add("Split", values, writer.of(sizes), outputs=len(sizes), axis=axis)
    return parts


def _keep(writer: Writer, outputs: Sequence[int], parts: Sequence[str]) -> None:
    for output, part in zip(outputs, parts, strict=True):
        writer.keep(output, part)


def strided_slice(writer: Writer, operator: Operator) -> None:
    """A part of each axis; an axis of which one entry is taken may go away."""
    values, *places = operator.inputs
    first, last, step = (writer.tensor(number).constant.reshape(-1) for number in places)
    about = operator.options
    if about.ellipsisMask or about.newAxisMask:
        raise NotExportable(
            "STRIDED_SLICE with an ellipsis or a new axis is not translated to ONNX"
        )
    cuts, gone = [], []
    for axis, (begin, end, stride) in enumerate(zip(first, last, step, strict=True)):
        begin, end, stride = int(begin), int(end), int(stride)
        if about.shrinkAxisMask >> axis & 1:
            gone.append(axis)
            end = begin + 1 or _END
        else:
            if about.beginMask >> axis & 1:
                begin = 0 if stride > 0 else _END
            if about.endMask >> axis & 1:
                end = _END if stride > 0 else -_END
        if (begin, end, stride) != (0, _END, 1):
            cuts.append((begin, end, axis, stride))
    name = writer.name(values)
    if cuts:
        limits = [writer.of(list(column)) for column in zip(*cuts, strict=True)]
        name = writer.add("Slice", name, *limits)
    if gone:
        name = writer.add("Squeeze", name, writer.of(gone))
    writer.keep(operator.outputs[0], name)


def slice_(writer: Writer, operator: Operator) -> None:
    """A part of each axis by where it begins and how long it is."""
    values, begin, size = operator.inputs
    first, length = (writer.tensor(number).constant.reshape(-1) for number in (begin, size))
    ends = [_END if n < 0 else int(a + n) for a, n in zip(first, length, strict=True)]
    name = writer.add("Slice", writer.name(values), writer.of(first), writer.of(ends))
    writer.keep(operator.outputs[0], name)


def _by_shape(kind: str) -> Callable[[Writer, Operator], None]:
    """An operator of ONNX on values and a shape, or a number for each axis."""

    def translate(writer: Writer, operator: Operator) -> None:
        values, dims = operator.inputs
        name = writer.add(kind, writer.name(values), _shape(writer, dims))
        writer.keep(operator.outputs[0], name)

    return translate


def transpose(writer: Writer, operator: Operator) -> None:
    """Axes in another order."""
    values, order = operator.inputs
    axes = [int(axis) for axis in writer.tensor(order).constant]
    writer.keep(operator.outputs[0], writer.add("Transpose", writer.name(values), perm=axes))


def expand_dims(writer: Writer, operator: Operator) -> None:
    """A new axis of one entry."""
    values, axis = operator.inputs
    axes = writer.of(writer.tensor(axis).constant.reshape(-1))
    writer.keep(operator.outputs[0], writer.add("Unsqueeze", writer.name(values), axes))


def squeeze(writer: Writer, operator: Operator) -> None:
    """Without axes of one entry."""
    axes = writer.of([int(axis) for axis in operator.options.squeezeDims])
    name = writer.add("Squeeze", writer.name(operator.inputs[0]), axes)
    writer.keep(operator.outputs[0], name)


def shape(writer: Writer, operator: Operator) -> None:
    """How many entries each axis has."""
    (output,) = operator.outputs
    name = writer.add("Shape", writer.name(operator.inputs[0]))
    if writer.tensor(output).dtype != "int64":
        name = writer.add("Cast", name, to=DTYPES[writer.tensor(output).dtype])
    writer.keep(output, name)


def fill(writer: Writer, operator: Operator) -> None:
    """One value everywhere."""
    dims, value = operator.inputs
    name = writer.add("Expand", writer.name(value), _shape(writer, dims))
    writer.keep(operator.outputs[0], name)


def zeros_like(writer: Writer, operator: Operator) -> None:
    """As many zeros."""
    (output,), tensor = operator.outputs, writer.tensor(operator.inputs[0])
    dims = writer.add("Shape", writer.name(operator.inputs[0]))
    dtype = "float32" if tensor.quantization else tensor.dtype
    zero = onnx.numpy_helper.from_array(np.zeros(1, dtype))
    writer.give(output, writer.add("ConstantOfShape", dims, value=zero))


def _shape(writer: Writer, number: int) -> str:
    """A tensor as ONNX takes a shape: int64."""
    tensor = writer.tensor(number)
    if tensor.data is not None:
        return writer.of(tensor.constant.reshape(-1))
    return _int64(writer, writer.name(number)) if tensor.dtype != "int64" else writer.name(number)


def _int64(writer: Writer, name: str) -> str:
    return str(writer.add("Cast", name, to=onnx.TensorProto.INT64))


SHAPES: dict[str, Callable[[Writer, Operator], None]] = {
    "BROADCAST_TO": _by_shape("Expand"),
    "CONCATENATION": concatenation,
    "EXPAND_DIMS": expand_dims,
    "FILL": fill,
    "GATHER": gather,
    "GATHER_ND": gather_nd,
    "PACK": pack,
    "RESHAPE": _by_shape("Reshape"),
    "SHAPE": shape,
    "SLICE": slice_,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SQUEEZE": squeeze,
    "STRIDED_SLICE": strided_slice,
    "TILE": _by_shape("Tile"),
    "TRANSPOSE": transpose,
    "UNPACK": unpack,
    "ZEROS_LIKE": zeros_like,
}
