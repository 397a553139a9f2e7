"""Takes roundings out of a TFLite file that no quantizer of the model asks for.

What is put together in int8 has one scale. Where a kernel reads such a concatenation in integers,
and something else in float, the converter rounds each part first, and float arithmetic sees the
rounded ones: means of lists, for which the model has no quantizer. Here parts come together in
float, and what a kernel reads is rounded behind:

    int8 rows -> slice, and slice -> float -> mean -> int8 -> together -> float
    int8 rows -> float -> slice, and slice -> mean -> together (-> int8, for a kernel)

The scale that parts come together in may be the table's or the kernel's. Another rounding, from the
one to the other, is left out with it, in front or behind: the kernel reads what its quantizer asks
for, rounded once, and float arithmetic what it reads in the model, whichever scale the converter
has chosen for a signature. There are two to three operators less for each table.
"""

from __future__ import annotations

import copy
from typing import Any

from ai_edge_litert import schema_py_generated as schema

_CODE = schema.BuiltinOperator
_FLOAT = schema.TensorType.FLOAT32


def join_in_float(model: Any) -> None:
    """Rewrites the graphs of a file's signatures, given as flatbuffer_utils reads it.

    Where one of them repeats a user's own list for each candidate, and rounds it before, another
    one has other roundings to leave out: then all stay, and both signatures score alike.
    """
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    # What fills tables of texts is a graph too, and no signature's.
    called = {signature.subgraphIndex for signature in model.signatureDefs or ()} or {0}
    parts = [_Graph(model.subgraphs[number], codes) for number in sorted(called)]
    joins = [[each for each in part.operators if part.is_rounded(each)] for part in parts]
    roundings = [
        sorted(part.roundings(join) for join in some)
        for part, some in zip(parts, joins, strict=True)
    ]
    if any(each != roundings[0] for each in roundings):
        return
    for part, some in zip(parts, joins, strict=True):
        for join in some:
            part.join(join)


class _Graph:
    """A graph that is changed.

    Args:
      graph: A subgraph.
      codes: Builtin operators by the index that operators have.
    """

    def __init__(self, graph: Any, codes: list[int]) -> None:
        self.tensors, self.operators, self._codes = graph.tensors, graph.operators, codes
        self._outputs = set(map(int, graph.outputs))

    def code(self, operator: Any) -> int:
        """Which operator it is."""
        return self._codes[operator.opcodeIndex]

    def is_rounded(self, join: Any) -> bool:
        """Whether it is a concatenation that something is rounded for, and float again behind."""
        if self.code(join) != _CODE.CONCATENATION:
            return False
        (made,) = map(int, join.outputs)
        is_float_behind = any(self.code(each) == _CODE.DEQUANTIZE for each in self._readers(made))
        return is_float_behind and made not in self._outputs and self.roundings(join)[0] > 0

    def roundings(self, join: Any) -> tuple[int, int]:
        """How much is rounded for a concatenation alone, and of how many inputs."""
        inputs = list(map(int, join.inputs))
        found = [self._rounding(tensor, join) for tensor in inputs]
        of_floats = [e for e in found if e and self.tensors[int(e.inputs[0])].type == _FLOAT]
        return len(of_floats), len(inputs)

    def join(self, join: Any) -> None:
        """Puts the inputs of a concatenation together in float."""
        (made,) = map(int, join.outputs)
        readers = self._readers(made)
        floats = [each for each in readers if self.code(each) == _CODE.DEQUANTIZE]
        result = int(floats[0].outputs[0])
        for each in floats:
            self._replace(int(each.outputs[0]), result)
            self.operators.remove(each)
        inputs = []
        for number in map(int, join.inputs):
            tensor, rounding = number, self._rounding(number, join)
            if rounding is not None:
                tensor = int(rounding.inputs[0])
                self.operators.remove(rounding)
            is_float = self.tensors[tensor].type == _FLOAT
            inputs.append(tensor if is_float else self._in_float(tensor, join))
        join.inputs, join.outputs = inputs, [result]
        kernels = [each for each in readers if self.code(each) != _CODE.DEQUANTIZE]
        for each in kernels:
            if self.code(each) == _CODE.QUANTIZE:  # from float at once
                each.inputs = [result]
        if any(self.code(each) != _CODE.QUANTIZE for each in kernels):
            self._insert(_CODE.QUANTIZE, result, made, join)

    def _in_float(self, tensor: int, join: Any) -> int:
        """The number of a tensor with the same values in float.

        A slice is made of what is float already, and so are the other slices of the same.
        """
        producer = self._producer(tensor)
        if producer is None or self.code(producer) != _CODE.STRIDED_SLICE:
            return self._dequantized(tensor, producer)
        whole = int(producer.inputs[0])
        slices = self._readers(whole)
        ends = [reader for each in slices for reader in self._readers(int(each.outputs[0]))]
        if any(self.code(each) != _CODE.STRIDED_SLICE for each in slices) or any(
            each is not join and self.code(each) != _CODE.DEQUANTIZE for each in ends
        ):
            return self._dequantized(tensor, producer)
        source = self._dequantized(whole, self._producer(whole))
        for each in slices:
            each.inputs = [source, *map(int, each.inputs[1:])]
            (part,) = map(int, each.outputs)
            for reader in self._readers(part):
                if reader is not join:
                    self._replace(int(reader.outputs[0]), part)
                    self.operators.remove(reader)
            self.tensors[part].type, self.tensors[part].quantization = _FLOAT, None
        return tensor

    def _dequantized(self, tensor: int, producer: Any) -> int:
        for each in self._readers(tensor):
            if self.code(each) == _CODE.DEQUANTIZE:
                return int(each.outputs[0])
        made = copy.copy(self.tensors[tensor])
        made.type, made.quantization, made.buffer = _FLOAT, None, 0
        self.tensors.append(made)
        self._insert(_CODE.DEQUANTIZE, tensor, len(self.tensors) - 1, producer)
        return len(self.tensors) - 1

    def _insert(self, code: int, source: int, target: int, behind: Any) -> None:
        """Adds an operator behind another one, or in front of all."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.index(code)
        operator.inputs, operator.outputs = [source], [target]
        place = self.operators.index(behind) + 1 if behind is not None else 0
        self.operators.insert(place, operator)

    def _rounding(self, tensor: int, join: Any) -> Any:
        """What rounds a tensor that is read by a concatenation alone."""
        producer = self._producer(tensor)
        if producer is None or self.code(producer) != _CODE.QUANTIZE:
            return None
        return producer if self._readers(tensor) == [join] else None

    def _producer(self, tensor: int) -> Any:
        found = (each for each in self.operators if tensor in map(int, each.outputs))
        return next(found, None)

    def _readers(self, tensor: int) -> list[Any]:
        return [each for each in self.operators if tensor in map(int, each.inputs)]

    def _replace(self, tensor: int, by: int) -> None:
        for each in self.operators:
            each.inputs = [by if int(number) == tensor else int(number) for number in each.inputs]
