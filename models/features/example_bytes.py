"""Arrow columns as the bytes of tf.Examples, column by column instead of row by row.

An Example is a map from names to lists, and protobuf writes it as one entry a name:

    entry = 0A size, 0A size name, 12 size feature,    feature = tag size list

A number before the values depends on nothing but the number of their bytes, L. So all that stands
before the values of a column is one of few texts, chosen by L, and a batch of Examples is

    join over columns of (head[L], values),

which Arrow does for all rows at once. Entries are in the order of their names, as protobuf's
deterministic serialization has them: the same rows are the same bytes, in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Integers = npt.NDArray[np.int64]

_BYTES, _FLOATS, _INTEGERS = b"\x0a", b"\x12", b"\x1a"  # of a Feature: which list it holds
_LIST = b"\x0a"  # the first field: a list's values, an Example's features, an entry's name
_SECOND = b"\x12"
_MISSING = -1  # in the place of a number of bytes
_COUNTED = 1 << 16  # numbers that are told apart by counting them, not by sorting


def examples(batch: pa.RecordBatch) -> pa.LargeBinaryArray:
    """Serialized Examples of the rows of a batch.

    Args:
      batch: Columns of integers, numbers or texts, whose missing values have no list in an Example;
        or lists of these, whose missing lists are empty ones, and missing elements 0 or "".

    Example:
        >>> batch = pa.RecordBatch.from_pydict({"x": [2]})
        >>> examples(batch).to_pylist()
        [b'\\n\\x0c\\n\\n\\n\\x01x\\x12\\x05\\x1a\\x03\\n\\x01\\x02']
    """
    pieces, _ = parts(batch)
    return joined(pieces)


def parts(batch: pa.RecordBatch) -> tuple[list[pa.Array], Integers]:
    """What `examples` joins, and the bytes of each Example [R]."""
    pieces, sizes = _entries(batch)
    heads = chosen(sizes, lambda size: _LIST + varint(size))
    return [heads, *pieces], sizes + lengths(heads)


def joined(pieces: Sequence[pa.Array]) -> pa.LargeBinaryArray:
    """Pieces of each row, one behind the other."""
    return pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))


def lengths(texts: pa.LargeBinaryArray) -> Integers:
    """Bytes of each text."""
    return np.asarray(pc.binary_length(texts), np.int64)


def chosen(keys: Integers, text: Callable[[int], bytes]) -> pa.LargeBinaryArray:
    """The text of each key, which is made once for all rows that have it.

    Args:
      keys: [R], from -1 on.
      text: Of a key.
    """
    if int(keys.max(initial=0)) < _COUNTED:
        distinct = np.flatnonzero(np.bincount(keys + 1)) - 1
        places = np.zeros(int(distinct[-1]) + 2 if len(distinct) else 1, np.int64)
        places[distinct + 1] = np.arange(len(distinct))
        index = places[keys + 1]
    else:
        distinct, index = np.unique(keys, return_inverse=True)
    return pa.array([text(int(key)) for key in distinct], pa.large_binary()).take(pa.array(index))


def varint(number: int) -> bytes:
    """A number as protobuf writes it: 7 bits a byte, the lowest first.

    Example:
        >>> varint(300).hex()
        'ac02'
    """
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def plain(values: pa.Array) -> pa.Array:
    """Values as int64, float32 or bytes."""
    kind = values.type
    if pa.types.is_integer(kind):
        return values.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return values.cast(pa.float32(), safe=False)
    if pa.types.is_string(kind):
        values = values.cast(pa.large_string())
    return values.cast(pa.large_binary())


def is_list(column: pa.Array) -> bool:
    """Whether a column holds lists."""
    return pa.types.is_list(column.type) or pa.types.is_large_list(column.type)


def _entries(batch: pa.RecordBatch) -> tuple[list[pa.Array], Integers]:
    """Pieces of the entries of all columns, and the bytes of each row's."""
    columns = zip((name.encode() for name in batch.schema.names), batch.columns, strict=True)
    pieces: list[pa.Array] = []
    sizes = np.zeros(batch.num_rows, np.int64)
    for name, column in sorted(columns, key=lambda each: each[0]):
        tag, single, values = _values(column)
        held = lengths(values)
        keys = held
        if not is_list(column) and column.null_count:
            keys = np.where(np.asarray(column.is_valid()), held, _MISSING)
        heads = chosen(keys, lambda size: _head(name, tag, single, size))  # noqa: B023
        pieces += [heads, values]
        sizes += held + lengths(heads)
    return pieces, sizes


def _head(name: bytes, tag: bytes, single: bool, size: int) -> bytes:
    """All of an entry that stands before the bytes of its values."""
    feature, rest = b"", 0
    if size != _MISSING:
        inner, rest = b"", size
        if single or (tag != _BYTES and size):
            inner = _LIST + varint(size)
        feature = tag + varint(len(inner) + size) + inner
    named = _LIST + varint(len(name)) + name + _SECOND + varint(len(feature) + rest) + feature
    return _LIST + varint(len(named) + rest) + named


def _values(column: pa.Array) -> tuple[bytes, bool, pa.LargeBinaryArray]:
    """The tag of a column's lists, whether each is one text, and the bytes of its values."""
    if is_list(column):
        offsets = np.asarray(column.offsets, np.int64)
        first, last = int(offsets[0]), int(offsets[-1])  # of a slice the values of its rows
        values, offsets = plain(column.values.slice(first, last - first)), offsets - first
        missing: Any = b"" if pa.types.is_large_binary(values.type) else 0
        values = values.fill_null(missing) if values.null_count else values
    else:
        values = plain(column)
        if pa.types.is_large_binary(values.type):
            return _BYTES, True, values.fill_null(b"") if values.null_count else values
        offsets = np.concatenate([[0], np.cumsum(np.asarray(column.is_valid()))])
        values = values.drop_null() if values.null_count else values
    if pa.types.is_large_binary(values.type):
        heads = chosen(lengths(values), lambda size: _LIST + varint(size))
        content = joined([heads, values])
        ends = np.frombuffer(content.buffers()[1], np.int64)
        return _BYTES, False, _ragged(content.buffers()[2], ends[offsets])
    if pa.types.is_floating(values.type):
        floats = np.ascontiguousarray(values, "<f4")
        return _FLOATS, False, _ragged(pa.py_buffer(floats), offsets * floats.itemsize)
    content, sizes = _varints(np.asarray(values))
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return _INTEGERS, False, _ragged(pa.py_buffer(content), ends[offsets])


def _varints(values: Integers) -> tuple[npt.NDArray[np.uint8], Integers]:
    """All bytes of some integers, one integer behind the other, and how many each has."""
    rest = values.astype(np.uint64)  # a negative one has its two's complement
    columns = []
    sizes = np.ones(len(rest), np.int64)
    while True:
        low, rest = (rest & np.uint64(0x7F)).astype(np.uint8), rest >> np.uint64(7)
        more = rest != 0
        columns.append(low | (more.astype(np.uint8) << 7))
        if not more.any():
            break
        sizes += more
    digits = np.stack(columns, axis=1)
    return digits[np.arange(digits.shape[1]) < sizes[:, None]], sizes


def _ragged(content: pa.Buffer, offsets: Integers) -> pa.LargeBinaryArray:
    ends = pa.py_buffer(np.ascontiguousarray(offsets, np.int64))
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, ends, content]
    )
