"""Export targets: from a checkpoint to the file that ships, and the runtime that scores it.

A target is a class in a file of its own (see `ranklite.models.export.target`) and a line in
TARGETS, or an entry point of the group `ranklite.targets` in another package. Nothing else names
one: components and scorer ask the registry. No TensorFlow is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranklite.models.registry import Registry

if TYPE_CHECKING:
    from ranklite.models.export.target import Target

DEFAULT_TARGET = "tflite"  # also of versions that were pushed before they named theirs
MOST_TARGETS = 8  # of a run: files of one model

TARGETS: Registry[type[Target]] = Registry(
    "export target",
    "ranklite.targets",
    {
        "tflite": "ranklite.models.export.tflite:TFLite",
        "tflite_strings": "ranklite.models.export.tflite:TFLiteStrings",
        "onnx": "ranklite.models.export.onnx:Onnx",
    },
)


def export_target(name: str = DEFAULT_TARGET) -> Target:
    """The export target of a name.

    Raises:
      UnknownEntry: There is none; the message lists what is registered.
    """
    return TARGETS.get(name)()
