"""The custom TFX components of RankLite, one folder each.

Kubeflow finds the class of an artifact by its type's name, `<package>.<Class>`, so the artifact
types of all components can be had from here; they are imported when asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before anything imports TensorFlow

_ARTIFACTS = ("DataBlessing", "IngestReport", "RunPage", "StageReport", "Trials")


def __getattr__(name: str) -> Any:
    if name not in _ARTIFACTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("ranklite.components.artifact_types"), name)
