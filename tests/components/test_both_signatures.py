"""A file's signatures are compared on rows that are transformed once for all files."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from ranklite.components.file_validator.both_signatures import BothSignatures
from ranklite.models.export.target import SERVING_DEFAULT
from ranklite.models.features.fingerprints import FINGERPRINT, Encoder
from ranklite.models.features.raw_column import RawColumn

COLUMNS = [RawColumn("user", "string")]


class Model:
    """Scores a row by the length of its user, which Transform knows too; one user is wrong."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def score(self, inputs: dict[str, Any], signature: str = SERVING_DEFAULT) -> Any:
        if signature == SERVING_DEFAULT:
            return inputs["ids"][:, 0] / 100
        return np.array([len(u) / 100 + 0.25 * (u == b"wrong") for u in inputs["user"]])


def test_rows_are_made_once_and_mistaken_ones_are_left_out() -> None:
    raw = {"user": np.array([b"ann", b"wrong", b"bo", b"ann"], object)}
    calls = []

    def transform(given: Any) -> Any:
        calls.append("transform")
        return [{"ids": np.array([[len(u)] for u in rows["user"]])} for rows in given]

    def words() -> Any:
        calls.append("words")
        return {"user": ["ann", "bo"]}

    both = BothSignatures(raw, COLUMNS, transform, words)
    plain: Any = Model(None)
    encoded: Any = Model(Encoder(0, {"user": "string"}, {"user": FINGERPRINT}))
    assert both.difference(plain) == 0.25
    assert both.difference(encoded) == 0.25
    assert both.difference(encoded) == 0.25
    assert calls == ["transform", "words"]
    taken: Any = SimpleNamespace(
        mistaken=lambda name, known, values: values == b"wrong", entry=lambda: {"seed": 1}
    )
    other: Any = Model(taken)
    assert both.difference(other) == 0.0
    assert calls == ["transform", "words", "words"]
