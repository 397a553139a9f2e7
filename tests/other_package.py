"""A distribution of another package, whose entry points add to RankLite's registries."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

TOYS = pathlib.Path(__file__).parent / "conformance" / "toys"


def installed(folder: pathlib.Path, **entries: str) -> pathlib.Path:
    """Makes a folder look like one that a package was installed in, to whoever has it on the path.

    Args:
      folder: Where the entries' modules are, or beside a folder of them that is on the path too.
      **entries: An entry point of each door: `techniques="toy = toy_technique:Toy"`.

    Returns:
      The folder.
    """
    info = folder / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    groups = [f"[ranklite.{door}]\n{entry}\n" for door, entry in entries.items()]
    (info / "entry_points.txt").write_text("".join(groups))
    return folder


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
