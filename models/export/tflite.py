"""TFLite: flat buffers for ai-edge-litert, the runtime of phones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ranklite.models.export.target import LoadedModel, Target

if TYPE_CHECKING:
    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.export.mapped import MappedFile
    from ranklite.models.features.raw_signature import RawFeatures

# Operators that only other runtimes have, or that hide a fallback to TensorFlow.
FOREIGN_PREFIXES = ("Flex", "CUSTOM", "DELEGATE")


class TFLite(Target):
    """TFLite's builtin operators, without the Flex delegate.

    Its name is also the one under which TFMA looks for such a file in a Model's folder.
    """

    name = "tflite"
    title = "TFLite"
    suffix = "tflite"

    def export(self, checkpoint: Checkpoint, raw: RawFeatures | None = None) -> bytes:
        from ranklite.models.export.tflite_convert import to_tflite

        return to_tflite(checkpoint, raw)

    def begin(self, checkpoint: Checkpoint, raw: RawFeatures | None = None) -> Callable[[], bytes]:
        from ranklite.models.export.tflite_convert import begin

        return begin(checkpoint, raw)

    def prepare(self) -> object:
        from ranklite.models.export import tflite_runtime

        return tflite_runtime

    def load(self, content: bytes) -> LoadedModel:
        from ranklite.models.export.tflite_runtime import LiteModel

        return LiteModel(content)

    def load_mapped(self, file: MappedFile) -> LoadedModel:
        from ranklite.models.export.tflite_runtime import LiteModel

        return LiteModel(file)

    def for_browser(self, content: bytes, rows: int) -> bytes | None:
        from ranklite.models.export.tflite_batch import fixed_batch

        return fixed_batch(content, rows)

    def foreign(self, operators: Iterable[str]) -> list[str]:
        return [name for name in operators if name.startswith(FOREIGN_PREFIXES)]


class TFLiteStrings(TFLite):
    """The same with a raw signature on texts and int64, for Python's Interpreter and Java's.

    Vocabularies are hash tables of texts in it: the file is larger, no other runtime can feed it,
    and no value is ever taken for another one.
    """

    name = "tflite_strings"
    title = "TFLite with strings"
    suffix = "strings.tflite"

    def export(self, checkpoint: Checkpoint, raw: RawFeatures | None = None) -> bytes:
        return super().export(checkpoint, raw and raw.with_strings())

    def begin(self, checkpoint: Checkpoint, raw: RawFeatures | None = None) -> Callable[[], bytes]:
        return super().begin(checkpoint, raw and raw.with_strings())

    def for_browser(self, content: bytes, rows: int) -> bytes | None:
        return None
