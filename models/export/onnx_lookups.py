"""TFLite's operators that look raw values up, in ONNX: whole numbers, boundaries, hash tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ranklite.models.export.onnx_writer import DTYPES, Writer
from ranklite.models.export.target import NotExportable
from ranklite.models.export.tflite_graph import Operator, Table

ML = "ai.onnx.ml"  # ONNX's own domain of operators that other models than networks need


def cast(writer: Writer, operator: Operator) -> None:
    """Values of another type."""
    (output,) = operator.outputs
    to = DTYPES[writer.tensor(output).dtype]
    writer.keep(output, writer.add("Cast", writer.name(operator.inputs[0]), to=to))


def floor_mod(writer: Writer, operator: Operator) -> None:
    """The rest of a division that rounds down: it has the sign of the divisor."""
    _of_integers(writer, operator)
    writer.keep(operator.outputs[0], writer.add("Mod", *map(writer.name, operator.inputs)))


def floor_div(writer: Writer, operator: Operator) -> None:
    """A quotient rounded down. ONNX's is rounded towards 0: 1 is taken off where that is up."""
    _of_integers(writer, operator)
    (output,), (number, by) = operator.outputs, operator.inputs
    if writer.tensor(by).data is None:
        raise NotExportable("FLOOR_DIV by what is computed is not translated to ONNX")
    value, divisor, dtype = writer.name(number), writer.name(by), writer.tensor(output).dtype
    towards_zero = writer.add("Div", value, divisor)
    rest = writer.add("Sub", value, writer.add("Mul", towards_zero, divisor))
    signs = writer.tensor(by).constant < 0
    if signs.any() != signs.all():
        raise NotExportable("FLOOR_DIV by numbers of both signs is not translated to ONNX")
    is_up = writer.add("Greater" if signs.any() else "Less", rest, writer.of(0, dtype))
    one = writer.add("Cast", is_up, to=DTYPES[dtype])
    writer.keep(output, writer.add("Sub", towards_zero, one))


def _of_integers(writer: Writer, operator: Operator) -> None:
    if not writer.tensor(operator.outputs[0]).dtype.startswith("int"):
        raise NotExportable(f"{operator.name} of floats is not translated to ONNX")


def bucketize(writer: Writer, operator: Operator) -> None:
    """How many boundaries a value is not below: NaN is below none."""
    (output,) = operator.outputs
    boundaries = writer.of(operator.options.boundaries, np.float32)
    value = writer.add("Unsqueeze", writer.value(operator.inputs[0]), writer.of([-1]))
    above = writer.add("Not", writer.add("Less", value, boundaries))
    ones = writer.add("Cast", above, to=DTYPES[writer.tensor(output).dtype])
    writer.keep(output, writer.add("ReduceSum", ones, writer.of([-1]), keepdims=0))


def find(writer: Writer, operator: Operator, *, tables: Mapping[int, Table]) -> None:
    """Values by their keys in hash tables, which are by the numbers of their tensors."""
    number, key, default = operator.inputs
    table, otherwise = tables[number], writer.tensor(default).constant.reshape(-1)[0]
    attributes: dict[str, Any] = {}
    for what, values in (("keys", table.keys), ("values", table.values)):
        kind = "strings" if values.dtype == np.object_ else "int64s"
        attributes[f"{what}_{kind}"] = values.reshape(-1).tolist()
    kind = "string" if isinstance(otherwise, bytes) else "int64"
    attributes[f"default_{kind}"] = otherwise if kind == "string" else int(otherwise)
    result = writer.add("LabelEncoder", writer.name(key), domain=ML, **attributes)
    writer.keep(operator.outputs[0], result)


LOOKUPS: dict[str, Callable[[Writer, Operator], None]] = {
    "BUCKETIZE": bucketize,
    "CAST": cast,
    "FLOOR_DIV": floor_div,
    "FLOOR_MOD": floor_mod,
}
