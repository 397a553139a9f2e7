"""A distribution of another package, whose entry points add to RankLite's registries."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ranklite.models.registry import Registry

TOYS = pathlib.Path(__file__).parent / "conformance" / "toys"


def installed(folder: pathlib.Path, entries: Mapping[str, str]) -> pathlib.Path:
    """Makes a folder look like one that a package was installed in, to whoever has it on the path.

    Args:
      folder: Where the entries' modules are, or beside a folder of them that is on the path too.
      entries: An entry point by its group: `{"ranklite.techniques": "toy = toy_technique:Toy"}`.

    Returns:
      The folder.
    """
    info = folder / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    groups = [f"[{group}]\n{entry}\n" for group, entry in entries.items()]
    (info / "entry_points.txt").write_text("".join(groups))
    return folder


@contextlib.contextmanager
def toy_installed(
    folder: pathlib.Path, registry: Registry[Any], door: str, entry: str
) -> Iterator[pathlib.Path]:
    """This process with a toy's module and its entry point on the path.

    Args:
      folder: An empty one for them.
      registry: That it adds to; what is registered is looked up once a process.
      door: `kind` or `target`: the toy's file is `toy_<door>.py`.
      entry: `name = module:Class`.
    """
    module = f"toy_{door}"
    shutil.copy(TOYS / f"{module}.py", folder)
    installed(folder, {registry.group: entry})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        vars(registry).pop("paths", None)
        yield folder
    vars(registry).pop("paths", None)
    sys.modules.pop(module, None)


def passed_with(folder: pathlib.Path, test_file: str, name: str) -> int:
    """How many tests of a conformance file that bear an entry's name pass where it is installed."""
    paths = [str(folder), str(TOYS), os.environ.get("PYTHONPATH", "")]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", name, test_file],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert process.returncode == 0, process.stdout[-3000:]
    return int(re.findall(r"(\d+) passed", process.stdout)[0])
