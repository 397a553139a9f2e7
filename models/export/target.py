"""What an export target is: how a checkpoint becomes a file, and how the file is scored.

One file makes a target. It imports neither TensorFlow nor its runtime before a method needs them:
configuration is read and files are scored without TensorFlow.

    class TFLite(Target):
        name, title, suffix = "tflite", "TFLite", "tflite"

        def export(self, checkpoint, raw=None):
            from ranklite.models.export.tflite_convert import to_tflite

            return to_tflite(checkpoint, raw)

        def load(self, content):
            from ranklite.models.export.tflite_runtime import LiteModel

            return LiteModel(content)

`tests/conformance/test_targets.py` runs every registered target; a new one is tested by being
registered. Where a target starts from a TensorFlow function, `serving_module` has those of both
signatures.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.export.halves import Halves
    from ranklite.models.export.mapped import MappedFile
    from ranklite.models.features.fingerprints import Encoder
    from ranklite.models.features.raw_signature import RawFeatures

Array = npt.NDArray[Any]

SERVING_DEFAULT = "serving_default"  # takes what Transform makes: `ids` and `numeric`
SERVING_RAW = "serving_raw"  # takes the features as they stand in the log
SCORE = "score"
ENCODER = "ranklite.encoder"  # of a file's metadata: JSON of what turns texts into int32
BATCH = 512
PATIENCE = 10  # how many times longer a file is measured that seems too slow
INTEGERS = ("int8", "uint8", "int16")


class NotExportable(ValueError):
    """A model needs what a target does not have."""


class UnreadableModel(ValueError):
    """A file is not one that the runtime of its target can load and run."""


class LoadedModel(abc.ABC):
    """A file in the runtime that ships it, loaded once and run on one thread.

    What every runtime does alike is written here; a target adds the abstract methods.

    Attributes:
      content: The bytes of the file.
      signatures: Their names: SERVING_DEFAULT, and SERVING_RAW where the file was exported with it.
      encoder: What its raw signature takes for texts and int64; None where it takes them as they
        are.
      about: What else `model.json` says of the file, such as the version of its operators.
    """

    content: bytes
    signatures: Collection[str]
    encoder: Encoder | None = None
    about: Mapping[str, Any] = {}

    @abc.abstractmethod
    def inputs(self, signature: str = SERVING_DEFAULT) -> dict[str, dict[str, Any]]:
        """Name -> `shape` (-1: batch) and `dtype` of a signature's inputs.

        Types are numpy's names, and `string` for bytes in an array of objects.

        Raises:
          ValueError: There is no such signature; the message says which there are.
        """

    @abc.abstractmethod
    def score(
        self, inputs: Mapping[str, Array], signature: str = SERVING_DEFAULT, batch: int = BATCH
    ) -> npt.NDArray[np.float32]:
        """Probabilities [R] of R rows, which do not depend on the other rows of a batch.

        Args:
          inputs: Arrays by input name, R rows each. Of SERVING_RAW, texts and int64 as they stand
            in the log, or the int32 that `encoder` makes of them; one row of what is the user's own
            may stand for all.
          signature: Which signature to run.
          batch: Rows at a time.

        Raises:
          UnreadableModel: The runtime fails on an operator.
        """

    @abc.abstractmethod
    def operators(self) -> dict[str, int]:
        """How often each operator occurs, over both signatures."""

    @abc.abstractmethod
    def constants(self) -> list[dict[str, Any]]:
        """`name`, `dtype`, `shape` and `bytes` of each constant of the model, the largest first.

        Vocabularies of the raw signature are left out: they are not weights.
        """

    def halves(self, of_items: Collection[str], once: Collection[str]) -> Halves | None:
        """SERVING_RAW in two halves, for candidates of many users; None where there are none.

        Args:
          of_items: Names of the inputs that are the candidates'.
          once: Names of those that have one row for all candidates of a user.
        """
        return None

    def integer_share(self) -> float:
        """Share of the constant bytes that are 8-bit or packed, or row scales; 0 without any."""
        result = self.constants()
        integers = sum(c["bytes"] for c in result if c["dtype"] in INTEGERS)
        return integers / sum(c["bytes"] for c in result) if result else 0.0

    @property
    def gzip_bytes(self) -> int:
        """Size of the file once compressed, as an app store or a download would."""
        import gzip  # no scorer needs it

        return len(gzip.compress(self.content, 9, mtime=0))

    def try_out(self) -> None:
        """Runs each signature on a row of nothing: some files load that no kernel can be made for.

        Raises:
          UnreadableModel: One of them cannot be run.
        """
        for signature in self.signatures:
            row = {
                name: np.full(
                    [1, *about["shape"][1:]],
                    b"" if about["dtype"] == "string" else np.dtype(about["dtype"]).type(0),
                )
                for name, about in self.inputs(signature).items()
            }
            self.score(row, signature)

    def prepared(self, rows: Mapping[str, Array]) -> Callable[[], object]:
        """A call of `serving_default` on some rows, for `latency`.

        A target overrides this where an app would keep memory for a batch and not set it up anew.
        """
        batch = len(next(iter(rows.values())))
        return lambda: self.score(rows, batch=batch)

    def latency(
        self,
        inputs: Mapping[str, Array],
        batch: int,
        limit: float | None = None,
        seconds: float = 0.3,
    ) -> float:
        """Microseconds a row of `serving_default`, one thread, Python's call included.

        The fastest of several rounds: what else the machine does only ever adds time.

        Args:
          inputs: At least one row; repeated to fill the batch.
          batch: Rows a call.
          limit: Measuring goes on, for up to ten times as long, while it takes longer than this: a
            busy machine is no reason to refuse a file.
          seconds: How long to measure.
        """
        call = self.prepared(
            {name: np.resize(rows, (batch, *rows.shape[1:])) for name, rows in inputs.items()}
        )
        for _ in range(20):
            call()
        fastest, begin = float("inf"), time.perf_counter()
        while True:
            start = time.perf_counter()
            for _ in range(10):
                call()
            now = time.perf_counter()
            fastest = min(fastest, (now - start) / 10 / batch * 1e6)
            is_slow = limit is not None and fastest > limit
            if now - begin > (PATIENCE if is_slow else 1) * seconds:
                return fastest


class Target(abc.ABC):
    """A kind of file that ships, made without arguments; it keeps nothing between calls.

    Attributes:
      name: Its name in the registry, in the configuration, in `model.json` of a pushed version, and
        of its file in the folder of a Model artifact.
      title: What people call it, in messages.
      suffix: Of the file in a pushed version, without a dot.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str]

    @property
    def file(self) -> str:
        """Name of the file in a pushed version: `model.tflite`."""
        return f"model.{self.suffix}"

    @abc.abstractmethod
    def export(self, checkpoint: Checkpoint, raw: RawFeatures | None = None) -> bytes:
        """Converts a model; the same model gives the same bytes.

        Args:
          checkpoint: The model, which is not changed; its `format` says how weights are stored.
          raw: Adds the signature on raw features; None leaves it out.

        Returns:
          The file. `serving_default` takes `ids` [B, S] int32 and `numeric` [B, N] float32 (where
          N > 0); `serving_raw` takes what `raw.input_signature()` says. Both give the probability
          of a positive.

        Raises:
          NotExportable: The target has no way to compute the model.
        """

    def begin(self, checkpoint: Checkpoint, raw: RawFeatures | None = None) -> Callable[[], bytes]:
        """Does what of an export needs the model, and returns the rest, to be called once.

        Whoever lets go of the model first spares its memory to a conversion, which may need much.
        An entry overrides this where there is such a rest.

        Args:
          checkpoint: As `export` takes it.
          raw: Likewise.

        Raises:
          NotExportable: The target has no way to compute the model; so may what is returned.
        """
        content = self.export(checkpoint, raw)
        return lambda: content

    @abc.abstractmethod
    def load(self, content: bytes) -> LoadedModel:
        """Loads a file in the runtime that ships it, without TensorFlow.

        Raises:
          UnreadableModel: The runtime refuses it.
        """

    def prepare(self) -> object:
        """Imports what `load` will need, while the file is being read; an entry may leave it."""
        return None

    def load_mapped(self, file: MappedFile) -> LoadedModel:
        """The same of a file that is mapped, and may be closed then; an entry may copy nothing."""
        return self.load(bytes(file.bytes))

    def read(self, path: str) -> LoadedModel:
        """Loads the file at a path, as `load` does."""
        with open(path, "rb") as file:
            return self.load(file.read())

    def for_browser(self, content: bytes, rows: int) -> bytes | None:
        """The file as a browser's runtime takes it, so many rows a call; None where none does."""
        return None

    def foreign(self, operators: Iterable[str]) -> list[str]:
        """Those operators of a file that need more than the plain runtime; none may ship."""
        return []


def is_quantized(checkpoint: Checkpoint) -> bool:
    """Whether a model is to compute in int8."""
    return checkpoint.format == "int8"
