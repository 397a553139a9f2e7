"""What this process runs on: versions, commit, processor and cores."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import subprocess

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
    result = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            result[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return result


def commit() -> str | None:
    """The commit that this code is of, `-dirty` where files differ from it; None where unknown."""
    file = pathlib.Path(__file__)
    git = ["git", "-C", str(file.parent)]
    try:
        # Installed code may lie in somebody else's repository, which does not track it.
        subprocess.run(
            [*git, "ls-files", "--error-unmatch", file.name], capture_output=True, check=True
        )
        result = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"],
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def processor() -> str:
    """Name of this machine's processor; latencies are comparable on the same one only."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
