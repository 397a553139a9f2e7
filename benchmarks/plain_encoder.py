"""The encoder that one writes by hand for a model: dictionaries from values to rows of its table.

It needs numpy alone: the server that stands for a peer runs without RankLite.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class PlainEncoder:
    """Encodes rows.

    Args:
      folder: With encoder.json: rows of the table by value, and the number's scale.
      dtype: Of ids.
    """

    def __init__(self, folder: pathlib.Path, dtype: Any = np.int32) -> None:
        about = json.loads((folder / "encoder.json").read_text())
        self.fields, self.mean, self.std = about["fields"], about["mean"], about["std"]
        self.dtype = dtype

    @staticmethod
    def ids(field: dict[str, Any], value: Any) -> list[int]:
        """Rows of the table of a value, or of a list of them."""
        rows = field["rows"]
        if field["length"] == 1:
            return [field["missing"] if value is None else rows.get(str(value), field["unseen"])]
        known = [rows.get(part, field["unseen"]) for part in value][: field["length"]]
        known = known or [field["missing"]]
        return known + [0] * (field["length"] - len(known))

    def price(self, value: Any) -> float:
        """The standardized number."""
        return 0.0 if value is None or value != value else (value - self.mean) / self.std

    def encoded(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
        """What a session takes, of rows."""
        ids = [[one for f in self.fields for one in self.ids(f, row[f["name"]])] for row in rows]
        numbers = [[self.price(row["price"])] for row in rows]
        return {"ids": np.array(ids, self.dtype), "numeric": np.array(numbers, np.float32)}
