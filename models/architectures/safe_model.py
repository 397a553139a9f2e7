"""A file of a Keras model, looked at before Keras loads it: what could run code is refused.

Keras 2 has no safe mode for HDF5: a `Lambda` layer is Python bytecode, an operator layer calls any
function of TensorFlow by its name, and a `module` is imported. None of our models has such layers.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import h5py

_CALLS = {
    "Lambda",
    "TFOpLambda",
    "SlicingOpLambda",
    "ClassMethod",
    "InstanceMethod",
    "InstanceProperty",
    "function",
}
_MODULES = {
    f"{keras}.{part}"
    for keras in ("keras", "tf_keras")
    for part in (
        *("layers", "initializers", "regularizers", "constraints", "activations"),
        *("mixed_precision", "models", "optimizers"),
    )
}


class UnsafeModel(ValueError):
    """A file of a model would run code; the message says which part of it."""


def check(path: str, known: Collection[str]) -> None:
    """Looks at what a file says of its layers.

    Args:
      path: HDF5 file of a Keras model.
      known: Names of the classes that whoever loads it hands to Keras, wherever they are from.

    Raises:
      UnsafeModel: A layer is a function, or of a module that is neither Keras' nor known.
    """
    with h5py.File(path, "r") as file:
        about = json.loads(file.attrs.get("model_config", "{}"))
    for entry in _entries(about):
        name, module = str(entry.get("class_name")), entry.get("module")
        ours = name in known or str(module).startswith("ranklite.")
        if name in _CALLS or not (module is None or module in _MODULES or ours):
            origin = f" of {module}" if module else ""
            raise UnsafeModel(
                f"{path}: it holds {name}{origin}, which may run any code when it is loaded; no "
                "stage writes such a model: train it again, or install the package it is from"
            )


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in there that says which class it is."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)
