"""Ids as every runtime takes them: 32-bit integers that stand for texts and for far integers.

Most runtimes of a TFLite file take float32 and int32 only: LiteRT's CompiledModel, LiteRT.js, the
APIs of Kotlin, Swift and C. So a raw signature takes int32 in the place of texts and of int64:

    text                 MurmurHash3_x86_32 of its UTF-8 bytes, with the model's seed
    int64, all integers of the vocabulary below 2^31 in size
                         the integer itself, within [-2^31 + 1, 2^31 - 1]
    int64, others        MurmurHash3_x86_32 of its 8 bytes, little-endian
    a missing one        -2^31; a hash that equals it becomes 0

The seed is one with which no two values of a vocabulary have the same fingerprint, where there is
one. A value that is in no vocabulary is taken for one of its n values in n of 2^32 cases.

The hash is Austin Appleby's (https://github.com/aappleby/smhasher), in the public domain, and known
to every language. numpy and `mmh3` only: a scorer imports this.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import mmh3
import numpy as np
import numpy.typing as npt

from ranklite.models.features.layout import MISSING_INT32, MISSING_INT64

HASH = "MurmurHash3_x86_32"
FINGERPRINT, INTEGER = "murmur3", "integer"  # how an input is encoded
LARGEST_INT32 = 2**31 - 1
_C1, _C2, _ADDED = np.uint32(0xCC9E2D51), np.uint32(0x1B873593), np.uint32(0xE6546B64)
_LAST = (
    (np.uint32(16), np.uint32(0x85EBCA6B)),
    (np.uint32(13), np.uint32(0xC2B2AE35)),
)
_SEEDS = 64
_HOPELESS = 4.0  # expected collisions from which on no seed is tried: e^-4 of them have none

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Encodes the ids of a model.

    Attributes:
      seed: Of the hash: 0 to 2^32 - 1.
      dtypes: `string` or `int64` by input: what stands in the log.
      encodings: FINGERPRINT or INTEGER by input.

    Example:
        >>> encoder = Encoder(0, {"item": "int64"}, {"item": INTEGER})
        >>> encoder.encode({"item": np.array([7, 2**40, -(2**63)])})["item"].tolist()
        [7, 2147483647, -2147483648]
    """

    seed: int
    dtypes: Mapping[str, str]
    encodings: Mapping[str, str]

    @classmethod
    def of(cls, columns: Mapping[str, str], vocabularies: Mapping[str, Sequence[str]]) -> Encoder:
        """The encoder of a model.

        Args:
          columns: `string` or `int64` by input.
          vocabularies: Values by input that has some.
        """
        encodings = {}
        for name, dtype in columns.items():
            words = vocabularies.get(name, ())
            is_small = dtype == "int64" and all(map(_is_small, integers(words)))
            encodings[name] = INTEGER if is_small else FINGERPRINT
        hashed = {
            name: vocabularies.get(name, ()) for name in columns if encodings[name] == FINGERPRINT
        }
        return cls(_seed(columns, hashed), dict(columns), encodings)

    def encode(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs of a raw signature.

        Args:
          inputs: Arrays of bytes or str objects, of int64 and of float32, by name; what is int32
            already is taken as it is.
        """
        return {name: self._encoded(name, values) for name, values in inputs.items()}

    def keys(self, name: str, words: Sequence[str]) -> list[int | None]:
        """What stands for the values of a vocabulary; None for what no input can be."""
        if self.encodings[name] == INTEGER:
            return [int(word) if _is_integer(word) else None for word in words]
        made = self._hashed(name, words).tolist()
        return [None if key == MISSING_INT32 else key for key in made]

    def _hashed(self, name: str, words: Sequence[str]) -> npt.NDArray[np.int32]:
        """Fingerprints of a vocabulary, MISSING_INT32 for what no input can be."""
        is_text, seed = self.dtypes[name] == "string", self.seed
        made = (
            fingerprint(_bytes(self.dtypes[name], word), seed)
            if is_text or _is_integer(word)
            else MISSING_INT32
            for word in words
        )
        return np.fromiter(made, np.int32, len(words))

    def false_matches(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, float]:
        """`false_match_rate` by input; integers that are sent as they are match themselves only."""
        return {
            name: false_match_rate(self._hashed(name, vocabularies.get(name, ())))
            if encoding == FINGERPRINT
            else 0.0
            for name, encoding in self.encodings.items()
        }

    def mistaken(self, name: str, words: Sequence[str], values: Array) -> npt.NDArray[np.bool_]:
        """Which values of an input are taken for another value of its vocabulary.

        Args:
          name: Of the input.
          words: Its vocabulary, more frequent values first.
          values: Of any shape, as `encode` takes them.

        Returns:
          A mask of that shape: known values that share the fingerprint of a more frequent one, and
          unseen ones that have the fingerprint of a known one.

        Example:
            >>> encoder = Encoder(0, {"user": "string"}, {"user": FINGERPRINT})
            >>> encoder.mistaken("user", ["ann", "bob"], np.array([b"ann", b"eve"], object))
            array([False, False])
        """
        if self.encodings.get(name) != FINGERPRINT:
            return np.zeros(values.shape, bool)
        sent = self._encoded(name, values).ravel()
        first: dict[int, str] = {}
        keys = self._hashed(name, words)
        for place in np.flatnonzero(np.isin(keys, sent)).tolist():  # of millions, a few
            if keys[place] != MISSING_INT32:
                first.setdefault(int(keys[place]), words[place])
        given = values.ravel().tolist()
        own = {value: first.get(key) for value, key in zip(given, sent.tolist(), strict=True)}
        wrong = {v for v, word in own.items() if word is not None and word != _text(v)}
        mask = np.fromiter((v in wrong for v in given), bool, values.size)
        return mask.reshape(values.shape)

    def entry(self) -> dict[str, Any]:
        """JSON-ready data, as a file and `model.json` hold it."""
        inputs = {
            name: {"dtype": dtype, "encoding": self.encodings[name]}
            for name, dtype in self.dtypes.items()
        }
        return {"hash": HASH, "seed": self.seed, "missing": MISSING_INT32, "inputs": inputs}

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> Encoder:
        """Reads what `entry` wrote.

        Raises:
          ValueError: The hash is another.
        """
        if entry["hash"] != HASH:
            raise ValueError(f"the file's hash is {entry['hash']}; this version knows {HASH}")
        inputs = entry["inputs"]
        return cls(
            int(entry["seed"]),
            {name: each["dtype"] for name, each in inputs.items()},
            {name: each["encoding"] for name, each in inputs.items()},
        )

    def _encoded(self, name: str, values: Array) -> Array:
        if name not in self.encodings or values.dtype == np.int32:
            return values
        if values.dtype != np.object_:
            is_small = self.encodings[name] == INTEGER
            return small_integers(values) if is_small else of_integers(values, self.seed)
        made = fingerprints(values.ravel().tolist(), self.seed)
        return np.fromiter(made, np.int32, values.size).reshape(values.shape)


def fingerprint(value: bytes | str, seed: int) -> int:
    """The fingerprint of a text, which is not empty."""
    result: int = mmh3.hash(value, seed)
    return 0 if result == MISSING_INT32 else result


def fingerprints(values: Iterable[bytes | str], seed: int) -> Iterable[int]:
    """Fingerprints of texts; what is empty is missing."""
    hashed = mmh3.hash
    made = [hashed(value, seed) if value else None for value in values]
    if MISSING_INT32 in made:
        made = [0 if key == MISSING_INT32 else key for key in made]
    return (MISSING_INT32 if key is None else key for key in made)


def small_integers(values: Array) -> npt.NDArray[np.int32]:
    """int64 as int32: far ones end at the limits, which are in no vocabulary."""
    clipped = np.clip(values, MISSING_INT32 + 1, LARGEST_INT32).astype(np.int32)
    return np.where(values == MISSING_INT64, np.int32(MISSING_INT32), clipped)


def integers(words: Iterable[str]) -> list[int]:
    """Those of the values of a vocabulary that are integers; Transform fills up an empty one."""
    return [int(word) for word in words if _is_integer(word)]


def false_match_rate(keys: Sequence[int | None] | Array) -> float:
    """How often a value is taken for another one, of the fingerprints of a vocabulary.

    n / 2^32 of the unseen values, and what share of the n known ones the fingerprint of a more
    frequent value.
    """
    return len(keys) / 2.0**32 + collisions(keys) / max(1, len(keys))


def collisions(keys: Sequence[int | None] | Array) -> int:
    """How many values of a vocabulary share a fingerprint with a more frequent one.

    None and, in an array, MISSING_INT32 stand for what no input can be.
    """
    if isinstance(keys, np.ndarray):
        known: Any = keys[keys != MISSING_INT32]
    else:
        known = [key for key in keys if key is not None]
    return len(known) - len(np.unique(known))


def of_integers(values: Array, seed: int) -> npt.NDArray[np.int32]:
    """Fingerprints of int64: MurmurHash3_x86_32 of two blocks of 4 bytes, for all at once."""
    bits = values.astype(np.int64).view(np.uint64)
    made = np.full(values.shape, seed, np.uint32)
    for block in (bits.astype(np.uint32), (bits >> np.uint64(32)).astype(np.uint32)):
        block *= _C1
        block = _rotated(block, 15)
        block *= _C2
        made ^= block
        made = _rotated(made, 13)
        made *= np.uint32(5)
        made += _ADDED
    made ^= np.uint32(8)  # bytes
    for shift, factor in _LAST:
        made ^= made >> shift
        made *= factor
    made ^= made >> np.uint32(16)
    result = made.view(np.int32)
    result[result == MISSING_INT32] = 0
    result[values == MISSING_INT64] = MISSING_INT32
    return result


def _rotated(values: Array, bits: int) -> Array:
    return (values << np.uint32(bits)) | (values >> np.uint32(32 - bits))


def _bytes(dtype: str, word: str) -> bytes:
    if dtype == "int64" and _is_integer(word):
        return int(word).to_bytes(8, "little", signed=True)
    return word.encode(errors="surrogateescape")


def _text(value: bytes | str | int) -> str:
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)


def _is_integer(word: str) -> bool:
    digits = word.removeprefix("-")
    return digits.isascii() and digits.isdigit()


def _is_small(number: int) -> bool:
    return MISSING_INT32 + 1 < number < LARGEST_INT32


def _seed(dtypes: Mapping[str, str], vocabularies: Mapping[str, Sequence[str]]) -> int:
    """The seed with the fewest collisions; 0 where none can be hoped for without any."""
    expected = sum(len(words) ** 2 / 2**33 for words in vocabularies.values())
    if expected >= _HOPELESS:
        return 0
    texts = [[_bytes(dtypes[name], word) for word in words] for name, words in vocabularies.items()]
    best, fewest = 0, -1
    for seed in range(_SEEDS):
        count = sum(
            collisions(np.fromiter((fingerprint(w, seed) for w in words), np.int32, len(words)))
            for words in texts
        )
        if fewest < 0 or count < fewest:
            best, fewest = seed, count
        if not count:
            break
    return best
