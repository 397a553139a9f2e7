"""The base of all configuration: typed, validated and immutable data; no TensorFlow."""

from __future__ import annotations

import keyword
from collections.abc import Hashable
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.fields import FieldInfo

Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

# A column of a log, as its files call it: any text of one line.
Column = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]+$")]


def _is_argument(name: str) -> str:
    """Signatures are functions, and features their arguments."""
    if name.startswith("_") or name == "self" or keyword.iskeyword(name):
        raise ValueError(
            f"{name!r} cannot be the name of an argument of the model: give the feature another "
            f"`name`, and `column: {name}`"
        )
    return name


FeatureName = Annotated[Name, AfterValidator(_is_argument)]


def _is_number(field: FieldInfo) -> bool:
    """Whether a field takes numbers, and neither booleans nor texts."""

    def leaves(annotation: Any) -> set[Any]:
        arguments = [a for a in get_args(annotation) if not isinstance(a, FieldInfo)]
        return set().union(*map(leaves, arguments)) if arguments else {_hashable(annotation)}

    taken = leaves(field.annotation)
    return bool({int, float} & taken) and not {bool, str, Any, True, False} & taken


def _hashable(value: Any) -> Any:
    return value if isinstance(value, Hashable) else type(value)


class Strict(BaseModel):
    """Base of all configuration: unknown keys and infinities are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_boolean_is_a_number(cls, data: Any) -> Any:
        """Pydantic reads `true` as 1: as a text it is refused where a number is expected."""
        if not isinstance(data, dict):
            return data
        fields = {
            k: cls.model_fields[k]
            for k, v in data.items()
            if isinstance(v, bool) and k in cls.model_fields
        }
        wrong = {k: str(data[k]).lower() for k, field in fields.items() if _is_number(field)}
        return {**data, **wrong}


_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}


def _parse_bytes(value: Any) -> Any:
    """Accepts 262144, "256k" or "1.5M"."""
    if isinstance(value, str):
        text = value.strip().lower().removesuffix("b").removesuffix("i")
        number, unit = (text[:-1], _UNITS.get(text[-1:])) if text[-1:] in _UNITS else (text, 1)
        try:
            return int(float(number) * unit)  # type: ignore[operator]
        except (ValueError, OverflowError):
            raise ValueError(
                f"{value!r} is no size: write bytes, or such as 256k or 1.5M"
            ) from None
    return value


Bytes = Annotated[int, BeforeValidator(_parse_bytes), Field(gt=0)]

SPEC_FILE = "checkpoint.json"  # of a checkpoint: its layout, sizes and figures
OLD_SPEC_FILE = "deepfm.json"  # its name up to version 0.1

# How a file stores the weights.
Format = Literal["float32", "float16", "dynamic_range", "int8", "int16x8"]
