"""Values of a column together: what each becomes alone, and the same error."""

from __future__ import annotations

import decimal
import re
from typing import Any

import mmh3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.models.features import raw_values
from ranklite.models.features.column_encoder import ColumnEncoder
from ranklite.models.features.fingerprints import FINGERPRINT, INTEGER, Encoder, of_integers
from ranklite.models.features.layout import MISSING_INT32
from ranklite.models.features.raw_column import RawColumn

DTYPES = ("string", "int64", "float32")
NUMBERS = st.one_of(
    st.integers(-(2**65), 2**65),
    st.integers(-3, 3),
    st.sampled_from([2**53, 2.0**53, -(2.0**53), 1.0, True, np.float32(1.5), decimal.Decimal(1)]),
    st.floats(),
    st.booleans(),
)
PLAIN = st.one_of(
    st.none(), st.text(max_size=4), st.sampled_from(["1", " ", "a|b", "nan"]), NUMBERS
)


def encoder_of(dtype: Any, length: int | None, encoding: str | None) -> ColumnEncoder:
    column = RawColumn("x", dtype, length, "|")
    known = None if encoding is None or dtype == "float32" else Encoder(7, {}, {"x": encoding})
    return ColumnEncoder(column, known)


def alone(encoder: ColumnEncoder, values: list[Any]) -> Any:
    """Row by row, by the rules of `raw_values`; the error where one is refused."""
    made = []
    for place, value in enumerate(values):
        try:
            made.append(raw_values.convert(encoder.column, value))
        except ValueError as error:
            return f"{place}: {error}"
    return encoder.encoded(raw_values.array(encoder.column, made))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(PLAIN, st.lists(PLAIN, max_size=5)), min_size=1, max_size=6),
    st.sampled_from(DTYPES),
    st.booleans(),
    st.sampled_from([None, FINGERPRINT, INTEGER]),
)
def test_values_together_become_what_each_becomes_alone(
    values: list[Any], dtype: Any, is_list: bool, encoding: str | None
) -> None:
    if dtype == "string" and encoding == INTEGER:
        encoding = FINGERPRINT
    encoder = encoder_of(dtype, 3 if is_list else None, encoding)
    expected = alone(encoder, values)
    for _ in range(2):  # the second time values are known
        if isinstance(expected, str):
            with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
                encoder.array(values)
            continue
        made = encoder.array(values)
        assert (made.dtype, made.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(made, expected)
        for value, row in zip(values, expected, strict=True):
            try:
                one = encoder.one(value)
            except (OverflowError, TypeError, ValueError):
                continue  # it is left to `array`
            np.testing.assert_array_equal(np.array([one], encoder.dtype)[0], row)


def test_what_is_equal_and_another_value_is_told_apart() -> None:
    texts = encoder_of("string", None, None)
    assert texts.array(["1", 1, True, 1.0]).tolist() == [b"1", b"1", b"true", b"1"]
    integers = encoder_of("int64", None, FINGERPRINT)
    integers.array([2**53, None, "5"])
    with pytest.raises(ValueError, match=r"1: x = 9007199254740992.0 is not of type int64"):
        integers.array(["5", 2.0**53])


def test_known_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from ranklite.models.features import column_encoder

    monkeypatch.setattr(column_encoder, "_KEPT", 4)
    encoder = encoder_of("string", None, FINGERPRINT)
    for k in range(50):
        encoder.array([f"u{k}"])
    assert len(encoder._of.__self__) <= 4  # type: ignore[attr-defined]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20), st.integers(0, 2**32 - 1)
)
def test_integers_are_hashed_as_their_bytes(values: list[int], seed: int) -> None:
    made = of_integers(np.array(values), seed).tolist()
    for value, key in zip(values, made, strict=True):
        hashed = mmh3.hash(value.to_bytes(8, "little", signed=True), seed)
        expected = 0 if hashed == MISSING_INT32 else hashed
        assert key == (MISSING_INT32 if value == -(2**63) else expected)


def test_blank_and_missing_parts_leave_no_gap() -> None:
    encoder = encoder_of("string", 2, None)
    rows = [["a", "", " ", None, "b", "c"], "a||b", None, ["c"], ()]
    assert encoder.array(rows).tolist() == [
        [b"a", b"b"],
        [b"a", b"b"],
        [b"", b""],
        [b"c", b""],
        [b"", b""],
    ]
