"""Rows with their encoding and score, by which a client of any language checks itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranklite.models.export.target import SERVING_RAW, LoadedModel
from ranklite.models.features import raw_values
from ranklite.models.features.raw_column import RawColumn

ROWS = 32
_TEXTS = ("never seen", "n\u00e4chste", "\u65e5\u672c\u8a9e \U0001f600", "a|b", " ", "NaN", "0")
_INTEGERS = (0, -1, 2**31 - 1, -(2**31), 2**31, 2**53 - 1, 2**63 - 1, -(2**63) + 1)
# Beyond 2e38 the logarithm of the Interpreter on x86 is no number; that of LiteRT.js is one.
_NUMBERS = (0.0, -1.5, 1e-30, 1e38, 0.1, 12345.678)


def made(
    model: LoadedModel, columns: Sequence[RawColumn], vocabularies: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Known, unseen, missing and extreme values of every feature, row by row.

    Args:
      model: The file, whose raw signature takes int32.
      columns: Its raw columns.
      vocabularies: Values by feature; of others, made-up ones are taken.

    Returns:
      `row`: raw values by feature, None where one is missing; `inputs`: what the raw signature
      takes, as lists, "NaN" for a missing number; `score`. Integers beyond 2^53 are texts.
    """
    values = {column.name: _values(column, vocabularies.get(column.name, ())) for column in columns}
    rows = [
        {c.name: _value(c, values[c.name], k + 3 * place) for place, c in enumerate(columns)}
        for k in range(ROWS)
    ]
    assert model.encoder is not None
    inputs = model.encoder.encode(raw_values.arrays(columns, rows))
    scores = model.score(inputs, SERVING_RAW)
    return [
        {
            "row": {name: _shown(value) for name, value in row.items()},
            "inputs": {name: _listed(inputs[name][k]) for name in inputs},
            "score": float(scores[k]),
        }
        for k, row in enumerate(rows)
    ]


def _values(column: RawColumn, vocabulary: Sequence[str]) -> list[Any]:
    if column.dtype == "float32":
        return [None, *_NUMBERS]
    if column.dtype == "int64":
        known = [int(word) for word in vocabulary[:ROWS] if word.removeprefix("-").isdigit()]
        return [None, *known, *_INTEGERS]
    return [None, *filter(_is_text, vocabulary[:ROWS]), *_TEXTS]


def _is_text(word: str) -> bool:
    """Whether a value is text: bytes of a log need not be UTF-8."""
    try:
        return bool(word.encode())
    except UnicodeEncodeError:
        return False


def _value(column: RawColumn, values: Sequence[Any], k: int) -> Any:
    if column.length is None:
        return values[k % len(values)]
    present = [value for value in values if value is not None]
    count = (0, 1, column.length, column.length + 2)[k % 4]
    return [present[(k + n) % len(present)] for n in range(count)]


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


def _listed(values: Any) -> Any:
    flat = np.asarray(values).tolist()
    if isinstance(flat, list):
        return [_listed(each) for each in flat]
    return "NaN" if isinstance(flat, float) and math.isnan(flat) else flat
