"""ONNX: files for ONNX Runtime, on servers, in browsers and elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ranklite.models.export.target import LoadedModel, Target

if TYPE_CHECKING:
    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.features.raw_signature import RawFeatures

STANDARD = "ai.onnx.ml."  # before names of operators of the one other domain that is ONNX's own


class Onnx(Target):
    """ONNX's own operators, without any runtime's."""

    name = "onnx"
    title = "ONNX"
    suffix = "onnx"

    def export(self, checkpoint: Checkpoint, raw: RawFeatures | None = None) -> bytes:
        from ranklite.models.export.onnx_convert import to_onnx

        return to_onnx(checkpoint, raw)

    def prepare(self) -> object:
        from ranklite.models.export import onnx_runtime

        return onnx_runtime

    def load(self, content: bytes) -> LoadedModel:
        from ranklite.models.export.onnx_runtime import OnnxModel

        return OnnxModel(content)

    def foreign(self, operators: Iterable[str]) -> list[str]:
        return [name for name in operators if "." in name.removeprefix(STANDARD)]
