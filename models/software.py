"""What a measurement ran on: versions and processor."""

from __future__ import annotations

import importlib.metadata
import pathlib
import platform

_PACKAGES = (
    "ai-edge-litert",
    "numpy",
    "tensorflow",
    "tensorflow-model-optimization",
    "tensorflow-recommenders",
    "tf-keras",
    "tfx",
)


def versions() -> dict[str, str]:
    """Version of Python and of each package that shapes a model, where it is installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Name of this machine's processor; latencies are comparable on the same one only."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
