"""Writes a graph of TFLite operators as ONNX nodes: names, constants, scales of integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from ranklite.models.export.tflite_graph import PACKED, Graph, Tensor

Array = npt.NDArray[Any]
NAMED = 16  # elements of a constant that is worth a name
_SHIFT = 128
DTYPES = {
    "float32": onnx.TensorProto.FLOAT,
    "float16": onnx.TensorProto.FLOAT16,
    "int8": onnx.TensorProto.INT8,
    "uint8": onnx.TensorProto.UINT8,
    "int16": onnx.TensorProto.INT16,
    "int32": onnx.TensorProto.INT32,
    "int64": onnx.TensorProto.INT64,
    "bool": onnx.TensorProto.BOOL,
    "string": onnx.TensorProto.STRING,
    PACKED: onnx.TensorProto.INT4,
}


class Constants:
    """The constants of a file, equal ones once.

    Attributes:
      tensors: By name.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, onnx.TensorProto] = {}
        self._names: dict[Any, str] = {}

    def name(self, values: Array, hint: str = "", packed: bool = False, of: str = "") -> str:
        """The name of a constant.

        Args:
          values: Of it.
          hint: What it is called, if that is free.
          packed: Whether to store 4 bits a value.
          of: Whose it is alone, where equal ones of others do not count.
        """
        values = np.asarray(values, order="C")
        key = (values.dtype.str, values.shape, packed, values.tobytes(), of)
        if key not in self._names:
            name = hint if hint and hint not in self.tensors else f"c:{len(self.tensors)}"
            self._names[key] = name
            if packed:
                codes = values.astype(np.int8).reshape(-1)
                dtype = onnx.TensorProto.INT4
                tensor = helper.make_tensor(name, dtype, values.shape, _packed(codes), raw=True)
            else:
                tensor = numpy_helper.from_array(values, name)
            self.tensors[name] = tensor
        return self._names[key]


class Writer:
    """Nodes in the making, for one graph.

    A tensor of integers that stand for numbers is kept as integers; `value` puts a DequantizeLinear
    behind it and `give` a QuantizeLinear before it, the pairs that a runtime replaces by kernels on
    integers. Those from -128 to 127 are counted from 0 to 255, but for the kernels of layers, since
    that is the pair of types that processors multiply best.

    Args:
      graph: What is translated.
      constants: Of the file.
      prefix: Of the names of what is computed.

    Attributes:
      nodes: In the order that they run in.
    """

    def __init__(self, graph: Graph, constants: Constants, prefix: str) -> None:
        self.graph, self.constants, self._prefix = graph, constants, prefix
        self.nodes: list[onnx.NodeProto] = []
        self._names = {number: name for name, number in graph.inputs.items()}

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; the name of what it computes, or the names where there are more."""
        first = len(self.nodes)
        names = [f"{self._prefix}:{first}" + (f":{k}" if k else "") for k in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def tensor(self, number: int) -> Tensor:
        """A tensor of the graph."""
        return self.graph.tensors[number]

    def of(self, values: Any, dtype: Any = np.int64) -> str:
        """The name of a constant that the file does not have: a shape, an axis."""
        return self.constants.name(np.array(values, dtype))

    def name(self, number: int) -> str:
        """The name of a tensor as it is kept: of integers, where they stand for numbers."""
        if number not in self._names:
            tensor = self.tensor(number)
            values = tensor.constant
            if _is_shifted(tensor):
                values = (values.astype(np.int16) + _SHIFT).astype(np.uint8)
            self._names[number] = self.constants.name(values, self._hint(tensor))
        return self._names[number]

    def kernel(self, number: int) -> str:
        """The name of a layer's weights [units, inputs], as numbers."""
        tensor = self.tensor(number)
        if tensor.quantization is None or tensor.data is None:
            return self.value(number)
        values = tensor.constant
        values = values.reshape(len(values), -1)  # of a convolution, which has one pixel
        name = self.constants.name(values, self._hint(tensor), tensor.dtype == PACKED)
        if tensor.dtype == PACKED:  # done once, where a file is loaded: what is constant is folded
            name = self.add("Cast", name, to=onnx.TensorProto.INT8)
        scale, zero = tensor.quantization.scale, tensor.quantization.zero_point.astype(np.int8)
        # ONNX Runtime 1.32 replaces the zero point with the kernel, and fails where two share one.
        return self._dequantized(name, scale, zero, 0, of=name)

    @staticmethod
    def _hint(tensor: Tensor) -> str:
        return tensor.name if np.prod(tensor.shape) >= NAMED else ""

    def like(self, number: int, other: int) -> str:
        """The same, in the integers of another tensor."""
        own, wanted = (self.tensor(k).quantization for k in (number, other))
        if own is None or own.same_as(wanted):
            return self.name(number)
        return self._quantized(self.value(number), other)

    def value(self, number: int) -> str:
        """The name of a tensor's numbers."""
        if self.tensor(number).quantization is None:
            return self.name(number)
        return self.numbers(self.name(number), number)

    def numbers(self, name: str, number: int) -> str:
        """The numbers that integers stand for, by the scales of a tensor."""
        quantization = self.tensor(number).quantization
        assert quantization is not None
        return self._dequantized(name, quantization.scale, self._zero(number), quantization.axis)

    def give(self, number: int, name: str) -> None:
        """Says by which name a tensor's numbers are computed; they are rounded where it is."""
        is_rounded = self.tensor(number).quantization is not None
        self.keep(number, self._quantized(name, number) if is_rounded else name)

    def keep(self, number: int, name: str) -> None:
        """Says by which name a tensor is kept."""
        self._names[number] = name

    def clips_at_zero(self, number: int) -> bool:
        """Whether the least integer of a tensor stands for 0: rounding clips what lies below."""
        return _is_shifted(self.tensor(number)) and int(self._zero(number)[0]) == 0

    def rescaled(self, number: int, factor: Any) -> str:
        """The integers of a tensor, from its zero point, times a factor."""
        return self._dequantized(
            self.name(number), np.array([factor], np.float32), self._zero(number), 0
        )

    def rounded(self, name: str, number: int) -> str:
        """Numbers to the nearest integers, from the zero point of a tensor."""
        one, zero = np.ones((), np.float32), self._zero(number).reshape(())
        names = self.constants.name(one), self.constants.name(zero)
        return str(self.add("QuantizeLinear", name, *names))

    def _quantized(self, name: str, number: int) -> str:
        quantization = self.tensor(number).quantization
        assert quantization is not None
        scales = _scalars(quantization.scale, self._zero(number))
        return str(self.add("QuantizeLinear", name, *map(self.constants.name, scales)))

    def _dequantized(self, name: str, scale: Array, zero: Array, axis: int, of: str = "") -> str:
        scale_, zero_ = _scalars(scale, zero)
        names = self.constants.name(scale_), self.constants.name(zero_, of=of)
        more = {"axis": axis} if len(scale) > 1 else {}
        return str(self.add("DequantizeLinear", name, *names, **more))

    def _zero(self, number: int) -> Array:
        tensor = self.tensor(number)
        assert tensor.quantization is not None
        if _is_shifted(tensor):
            return (tensor.quantization.zero_point + _SHIFT).astype(np.uint8)
        return tensor.quantization.zero_point.astype(tensor.dtype)


def _is_shifted(tensor: Tensor) -> bool:
    return tensor.dtype == "int8" and tensor.quantization is not None


def _scalars(scale: Array, zero: Array) -> tuple[Array, Array]:
    return (scale.reshape(()), zero.reshape(())) if len(scale) == 1 else (scale, zero)


def _packed(codes: Array) -> bytes:
    """Two integers of 4 bits a byte, the first one in the low half."""
    codes = np.pad(codes, (0, len(codes) % 2))
    low, high = codes[::2] & 0x0F, codes[1::2] & 0x0F
    return bytes((low | high << 4).astype(np.uint8).tobytes())
