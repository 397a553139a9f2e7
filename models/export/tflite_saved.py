"""Converts a SavedModel to TFLite, here or in a process of its own.

TensorFlow's converter holds a model of n bytes some nine times, beside the model that was saved,
and malloc keeps what it frees. A process of its own has nothing else in it, gives large blocks back
as they are freed, and all of them when it ends.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import re
import signal
import subprocess
import sys
import types
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from ranklite.models.export.target import NotExportable
from ranklite.models.export.tflite_strip import slim
from ranklite.models.lifeline import end_with, lifeline
from ranklite.models.memory import give_back

_FILE, _REFUSED = "model.tflite", "refused.txt"  # beside the SavedModel
_GIVE_BACK = {
    # Of glibc: without it the size from which on blocks are given back grows to 32 MB.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 20),
    # With oneDNN TensorFlow has an allocator that gives nothing back; a converter computes nothing.
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
_SHOWN = 2_000  # letters of what a process said that failed


@dataclasses.dataclass(frozen=True)
class Saved:
    """A SavedModel, and what becomes of it.

    Attributes:
      path: Its folder.
      signatures: Names of those that the file has.
      format: How weights are stored.
      four_bits: Whether a kernel has 4 bits, which the converter is then told to store as such.
      notes: Texts for the file's metadata.
    """

    path: str
    signatures: tuple[str, ...]
    format: str
    four_bits: bool
    notes: Mapping[str, str]

    def converted(self) -> bytes:
        """The file.

        Raises:
          NotExportable: An operator would need TensorFlow's Flex delegate.
        """
        return slim(self._content(), self.notes)

    def _content(self) -> bytes:
        converter = tf.lite.TFLiteConverter.from_saved_model(
            self.path, signature_keys=list(self.signatures)
        )
        _drop_weights(converter)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if self.format != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if self.format == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if self.four_bits:
            converter._experimental_low_bit_qat = True
        try:
            content: bytes = converter.convert()
        except Exception as error:
            flex = re.search(r"TF Select ops: (.*)", str(error))
            if flex is None:
                raise
            raise NotExportable(
                f"TFLite has no builtin operator for {flex.group(1)}; the model may use only what "
                "TFLite has, since the Flex delegate does not ship to phones"
            ) from error
        return content


def apart(saved: Saved) -> bytes:
    """The same as `Saved.converted`, by a process that ends with this one.

    Raises:
      NotExportable: As there.
      RuntimeError: The process failed; the message has the end of what it said.
    """
    beside = os.path.dirname(saved.path)
    give_back()
    with lifeline() as alive:
        process = subprocess.run(
            [sys.executable, "-m", __name__, str(alive)],
            input=json.dumps(dataclasses.asdict(saved)),
            env=os.environ | _GIVE_BACK | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=[alive],
        )
    if os.path.exists(refused := os.path.join(beside, _REFUSED)):
        with open(refused, encoding="utf-8") as file:
            raise NotExportable(file.read())
    if process.returncode:
        why = process.stderr[-_SHOWN:]
        if process.returncode == -signal.SIGKILL:
            why = "the system ended it, as it does where memory runs out"
        raise RuntimeError(f"the process that converts the model failed: {why}")
    with open(os.path.join(beside, _FILE), "rb") as file:
        return file.read()


def _drop_weights(converter: Any) -> None:
    """Frees the model that a converter has loaded: it reads the folder again."""
    loaded: Any = getattr(converter, "_trackable_obj", None)
    if hasattr(loaded, "graph_debug_info"):
        notes = types.SimpleNamespace(graph_debug_info=loaded.graph_debug_info)
        converter._trackable_obj = notes
        del loaded
        gc.collect()


def main() -> None:
    """Converts what standard input describes, and leaves the file beside it."""
    end_with(int(sys.argv[1]))
    given = json.load(sys.stdin)
    saved = Saved(**given | {"signatures": tuple(given["signatures"])})
    beside = os.path.dirname(saved.path)
    try:
        content = saved.converted()
    except NotExportable as error:
        with open(os.path.join(beside, _REFUSED), "w", encoding="utf-8") as file:
            file.write(str(error))
        return
    with open(os.path.join(beside, _FILE), "wb") as file:
        file.write(content)


if __name__ == "__main__":
    main()
