"""The base of all configuration: typed, validated and immutable data; no TensorFlow."""

from __future__ import annotations

import keyword
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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


class Strict(BaseModel):
    """Base of all configuration: unknown keys and infinities are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}


def _parse_bytes(value: Any) -> Any:
    """Accepts 262144, "256k" or "1.5M"."""
    if isinstance(value, str):
        text = value.strip().lower().removesuffix("b").removesuffix("i")
        number, unit = (text[:-1], _UNITS.get(text[-1:])) if text[-1:] in _UNITS else (text, 1)
        try:
            return int(float(number) * unit)  # type: ignore[operator]
        except ValueError:
            raise ValueError(
                f"{value!r} is no size: write bytes, or such as 256k or 1.5M"
            ) from None
    return value


Bytes = Annotated[int, BeforeValidator(_parse_bytes), Field(gt=0)]

SPEC_FILE = "checkpoint.json"  # of a checkpoint: its layout, sizes and figures
OLD_SPEC_FILE = "deepfm.json"  # its name up to version 0.1

# How a file stores the weights.
Format = Literal["float32", "float16", "dynamic_range", "int8", "int16x8"]
