"""From the start of a process to the first score of a pushed version.

    python -m benchmarks.cold_start --model <folder with versions> [--rounds 15] [--json <file>]

A row of nothing but missing values is scored by a new process, in turns with one that ends at once
and one that imports numpy alone: what the interpreter and numpy take, no scorer can save. Times are
medians, milliseconds of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

from ranklite.models.reporting.tables import table

SCORER = """
from ranklite import Scorer
scorer = Scorer({path!r})
scorer.score([dict.fromkeys(entry["name"] for entry in scorer.metadata["features"])])
"""
WAYS = {"Python": "pass", "numpy": "import numpy", "Scorer": SCORER}


def main() -> int:
    """Measures, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="a pushed version, or the folder of all")
    parser.add_argument("--rounds", type=int, default=15, help="times each is measured")
    parser.add_argument("--json", help="file for the figures")
    arguments = parser.parse_args()
    path = os.path.abspath(arguments.model)
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(-1, arguments.rounds):  # one more to warm up
        for name, code in WAYS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code.format(path=path)], check=True)
            if number >= 0:
                times[name].append(1e3 * (time.perf_counter() - start))
    rows = [
        [name, f"{np.median(each):.0f}", f"{min(each):.0f} to {max(each):.0f}"]
        for name, each in times.items()
    ]
    print(table(["a process that", "ms", ""], rows))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(times, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
