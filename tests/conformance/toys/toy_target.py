"""A toy export target of another package: TFLite files, packed for a store that does not do it.

[project.entry-points."ranklite.targets"]
packed = "toy_target:Packed"
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranklite.models.export.target import (
    BATCH,
    SERVING_DEFAULT,
    Array,
    LoadedModel,
    Target,
    UnreadableModel,
)
from ranklite.models.export.tflite import TFLite

if TYPE_CHECKING:
    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.features.raw_signature import RawFeatures

HEADER = b"packed 1\n"


class Packed(Target):
    """A header, and a TFLite file compressed by zlib."""

    name = "packed"
    title = "packed TFLite"
    suffix = "packed"

    def export(self, checkpoint: Checkpoint, raw: RawFeatures | None = None) -> bytes:
        return HEADER + zlib.compress(TFLite().export(checkpoint, raw), 9)

    def load(self, content: bytes) -> LoadedModel:
        if not content.startswith(HEADER):
            raise UnreadableModel("cannot load the file: it does not begin as a packed one")
        try:
            unpacked = zlib.decompress(content[len(HEADER) :])
        except zlib.error as error:
            raise UnreadableModel(f"cannot load the file: {error}") from error
        return PackedModel(content, TFLite().load(unpacked))

    def foreign(self, operators: Iterable[str]) -> list[str]:
        return TFLite().foreign(operators)


class PackedModel(LoadedModel):
    """An unpacked file, which answers for the packed one."""

    def __init__(self, content: bytes, inner: LoadedModel) -> None:
        self.content, self.signatures, self._inner = content, inner.signatures, inner
        self.encoder = inner.encoder

    def inputs(self, signature: str = SERVING_DEFAULT) -> dict[str, dict[str, Any]]:
        return self._inner.inputs(signature)

    def score(
        self, inputs: Mapping[str, Array], signature: str = SERVING_DEFAULT, batch: int = BATCH
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        return self._inner.score(inputs, signature, batch)

    def operators(self) -> dict[str, int]:
        return self._inner.operators()

    def constants(self) -> list[dict[str, Any]]:
        return self._inner.constants()

    def prepared(self, rows: Mapping[str, Array]) -> Callable[[], object]:
        return self._inner.prepared(rows)
