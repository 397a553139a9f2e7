"""What whole runs of larger and larger logs take: the cost model of docs/scale.md.

    python -m benchmarks.scale [--rows 1000000 4000000] [--workers 2] [--folder F] [--json FILE]

Each log has a click, a user, an item, an hour and a time, in CSV files of a million rows; fifty
rows a user, and a fifth as many items as users. A row knows the user's last ten items and the rates
of its item and its user. Every size is one run of `ranklite run`, from the log to the pushed file.
Prints seconds, memory and bytes written of each stage, and what a million rows more add, between
the two largest logs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import psutil
import pyarrow as pa
import yaml
from pyarrow import csv

from benchmarks.report import Figure, write
from benchmarks.whole_run import SOURCE
from ranklite.models.reporting.tables import table

FILE_ROWS = 1_000_000
SECONDS = 0.2  # between two looks at memory
GENRES = 20
START, DAYS = 1_767_225_600, 30


class Cost(NamedTuple):
    """Of a stage, or of all of them.

    Attributes:
      seconds: Of the clock.
      peak: Bytes of memory: of a stage its own process, of all the largest one, workers included.
      written: Bytes of its artifacts.
    """

    seconds: float
    peak: float
    written: float


def write_log(folder: pathlib.Path, rows: int) -> None:
    """Writes the log, seeded, in the order of time: who likes which genre decides the clicks."""
    rng = np.random.default_rng(7)
    users, items = max(100, min(rows // 50, 1_000_000)), max(50, min(rows // 250, 200_000))
    taste = rng.normal(0, 1, (users, GENRES)).astype(np.float32)
    genre, fame = rng.integers(0, GENRES, items), rng.normal(0, 0.7, items)
    for number, first in enumerate(range(0, rows, FILE_ROWS)):
        count = min(FILE_ROWS, rows - first)
        user = rng.integers(0, users, count)
        item = (items * rng.random(count) ** 2).astype(np.int64)  # some much more often
        time = START + (first + np.arange(count)) * (DAYS * 86_400) // rows
        hour = time // 3600 % 24
        logit = fame[item] + taste[user, genre[item]] + 0.3 * np.sin(hour / 24 * 2 * np.pi) - 1
        click = (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int8)
        columns = {"click": click, "user": user, "item": item, "hour": hour, "time": time}
        csv.write_csv(pa.table(columns), folder / f"log-{number:03d}.csv")


def configuration(workers: int) -> dict[str, Any]:
    """Histories and aggregates, one epoch of each training, a quantized file."""
    return {
        "name": "scale",
        "source": {"files": "log-*.csv"},
        "label": "click",
        "timestamp": "time",
        "split": {"by": "time", "eval": 0.05, "test": 0.05},
        "user": "user",
        "item": "item",
        "features": [
            *({"kind": "categorical", "name": name} for name in ("user", "item", "hour")),
            {"kind": "history", "name": "recent", "of": "item", "by": "user", "length": 10},
            {"kind": "aggregate", "name": "item_stats", "by": "item"},
            {"kind": "aggregate", "name": "user_stats", "by": "user"},
        ],
        "training": {"epochs": 1, "batch_size": 4096},
        "compression": [{"technique": "quantize", "epochs": 1}],
        "gates": {"min_auc": 0.5},
        "engine": {"kind": "local", "workers": workers},
    }


def costs(folder: pathlib.Path, rows: int, workers: int) -> dict[str, Cost]:
    """Runs a log of so many rows; by stage, and `all`."""
    data, runs = folder / "data", folder / "runs"
    data.mkdir(parents=True)
    write_log(data, rows)
    path = folder / "scale.yaml"
    path.write_text(yaml.safe_dump(configuration(workers)), encoding="utf-8")
    arguments = [sys.executable, "-c", SOURCE, str(path), str(data), str(runs), "1"]
    with (
        subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process,
        largest(process.pid) as peaks,
    ):
        printed, _ = process.communicate()
    if process.returncode:
        sys.exit(f"the run of {rows:,} rows failed")
    made = json.loads(printed.splitlines()[-1])
    if not made["pushed"]:
        sys.exit(f"the run of {rows:,} rows pushed nothing")
    result = {}
    for stage, seconds in made["seconds"].items():
        files = (runs / "scale" / "artifacts" / stage).rglob("*")
        written = sum(file.stat().st_size for file in files if file.is_file())
        result[stage] = Cost(seconds, made["peaks"].get(stage, 0), written)
    total = result.pop("total").seconds
    written = sum(cost.written for cost in result.values())
    return result | {"all": Cost(total, max(peaks, default=0), written)}


@contextlib.contextmanager
def largest(pid: int) -> Iterator[list[int]]:
    """Yields bytes of the largest process of a tree, looked at again and again while it runs."""
    seen: list[int] = []
    ended = threading.Event()

    def look() -> None:
        root = psutil.Process(pid)
        while not ended.wait(SECONDS):
            for process in [root, *_children(root)]:
                with contextlib.suppress(psutil.Error):
                    seen.append(process.memory_info().rss)
            seen[:] = [max(seen, default=0)]

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", help="where logs and runs are kept, not a temporary one")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    made: dict[int, dict[str, Cost]] = {}
    figures = []
    with tempfile.TemporaryDirectory() as name:
        for rows in sorted(arguments.rows):
            folder = pathlib.Path(arguments.folder or name, str(rows))
            made[rows] = costs(folder, rows, arguments.workers)
            shown = [
                [stage, f"{c.seconds:,.1f}", f"{c.peak / 1e6:,.0f}", f"{c.written / 1e6:,.1f}"]
                for stage, c in made[rows].items()
            ]
            print(table([f"{rows:,} rows", "s", "peak MB", "written MB"], shown), flush=True)
            figures += [
                Figure(f"{rows:,} rows: {stage}", cost.seconds, None, None, "s")
                for stage, cost in made[rows].items()
            ]
    if len(made) > 1:
        *_, (fewer, less), (more, most) = sorted(made.items())
        millions = (more - fewer) / 1e6
        units = Cost(1, 1e6, 1e6)
        slopes = [
            [stage, *(f"{(b - a) / millions / unit:,.2f}" for a, b, unit in triples)]
            for stage, cost in most.items()
            if stage in less
            for triples in [zip(less[stage], cost, units, strict=True)]
        ]
        print(table(["a million rows more", "s", "peak MB", "written MB"], slopes))
    if arguments.json:
        write(arguments.json, "scale", figures)


if __name__ == "__main__":
    main()
