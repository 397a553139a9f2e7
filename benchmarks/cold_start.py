"""From the start of a process to the first score of a pushed version.

    python -m benchmarks.cold_start [--model <folder with versions>] [--users 1000000]
                                    [--rounds 15] [--json <file>]

Without a model one is made: a DeepFM with random weights and as many users. A row of nothing but
missing values is scored by a new process, in turns with one that ends at once and one that imports
numpy alone: what the interpreter and numpy take, no scorer can save. Times are medians,
milliseconds of the clock; the figure that is written is that of the fastest round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.report import Figure, write
from ranklite.models.reporting.tables import table

LIMIT = 150.0  # milliseconds

SCORER = """
from ranklite import Scorer
scorer = Scorer({path!r})
scorer.score([dict.fromkeys(entry["name"] for entry in scorer.metadata["features"])])
"""
WAYS = {"Python": "pass", "numpy": "import numpy", "Scorer": SCORER}


def main() -> int:
    """Measures, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", help="a pushed version, or the folder of all")
    parser.add_argument("--users", type=int, default=1_000_000, help="of a model that is made")
    parser.add_argument("--rounds", type=int, default=15, help="times each is measured")
    parser.add_argument("--json", help="file for the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as new:
        if arguments.model is None:
            made(new, arguments.users)
        return measured(os.path.abspath(arguments.model or new), arguments.rounds, arguments.json)


def made(folder: str, users: int) -> None:
    """Exports a model in a process of its own: this one imports no TensorFlow."""
    code = (
        "import sys; from benchmarks.scorer_models import many; many(sys.argv[1], int(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, folder, str(users)], check=True)


def measured(path: str, rounds: int, report: str | None) -> int:
    """Measures, prints the table."""
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(-1, rounds):  # one more to warm up
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
    if report:
        least = min(times["Scorer"])
        figure = Figure("process to first score", least, LIMIT, LIMIT / least, "ms", "150 ms")
        write(report, "cold_start", [figure])
    return 0


if __name__ == "__main__":
    sys.exit(main())
