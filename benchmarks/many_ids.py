"""A run with so many users and as many items: memory of each stage, and of the whole run beside it.

    python -m benchmarks.many_ids [--ids 2000000] [--rows ROWS] [--folder F] [--json FILE]

Every id is in the train split, so that the tables have that many rows; one epoch of each training,
a float and an int8 file. Stages run one after the other, each in a process of its own, as
`ranklite run --jobs 1` has them. Of a stage: seconds, the most memory of one process, its own or
one that it started (ru_maxrss), and the most that it and what it started had at one time (looked at
again and again; a page that several have counts as one). Of the run: the same of all its processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import yaml
from pyarrow import parquet

from benchmarks.report import Figure, show, write
from benchmarks.whole_run import SOURCE

SECONDS = 0.25  # between two looks at memory
SHARE = 0.1  # of the rows, in each of eval and test
START = 1_767_225_600
ALL = "all processes of the run"


def write_log(folder: pathlib.Path, ids: int, rows: int) -> None:
    """Writes the log, in the order of time; its oldest rows have every user and every item once."""
    rng = np.random.default_rng(5)
    users, items = (
        np.concatenate([rng.permutation(ids), rng.integers(0, ids, rows - ids)]) for _ in range(2)
    )
    fame, hour = rng.normal(0, 0.9, ids), rng.integers(0, 24, rows)
    logit = fame[items] - 1.2 + 0.4 * np.sin(hour / 24 * 2 * np.pi)
    columns = {
        "click": (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8),
        "user": np.char.add("u", users.astype(str)),
        "item": np.char.add("i", items.astype(str)),
        "hour": hour,
        "time": START + np.arange(rows) * 86_400 * 30 // rows,
    }
    parquet.write_table(pa.table(columns), folder / "log.parquet")


def configuration(embedding_dim: int) -> dict[str, Any]:
    """One epoch of each training, a quantized file."""
    return {
        "name": "many-ids",
        "source": {"files": "log.parquet"},
        "label": "click",
        "timestamp": "time",
        "split": {"by": "time", "eval": SHARE, "test": SHARE},
        "features": [{"name": n, "kind": "categorical"} for n in ("user", "item", "hour")],
        "user": "user",
        "item": "item",
        "model": {"embedding_dim": embedding_dim},
        "training": {"epochs": 1, "batch_size": 4096},
        "compression": [{"technique": "quantize", "epochs": 1}],
        "gates": {"min_auc": 0.5},
    }


@contextlib.contextmanager
def together(pid: int) -> Iterator[dict[str, int]]:
    """Yields the most bytes that processes had at one time, by log of a stage, and of all."""
    most: dict[str, int] = defaultdict(int)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SECONDS):
            now: dict[str, int] = defaultdict(int)
            _add(psutil.Process(pid), "", now)
            for name, size in now.items():
                most[name] = max(most[name], size)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def _add(process: psutil.Process, stage: str, to: dict[str, int]) -> None:
    """Adds what a process and those that it started have, to a stage and to all."""
    with contextlib.suppress(psutil.Error, OSError):
        # A stage's process is known by where it logs; what it starts may log elsewhere.
        log = pathlib.Path(os.readlink(f"/proc/{process.pid}/fd/2"))
        stage = log.stem if log.suffix == ".log" else stage
        lines = pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        size = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        to[ALL] += size
        to[stage] += size
    children: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        children = process.children()
    for child in children:
        _add(child, stage, to)


def figures(folder: pathlib.Path, ids: int, rows: int, embedding_dim: int) -> list[Figure]:
    """Those of a run."""
    write_log(folder, ids, rows)
    path = folder / "many_ids.yaml"
    path.write_text(yaml.safe_dump(configuration(embedding_dim)), encoding="utf-8")
    arguments = [sys.executable, "-c", SOURCE, str(path), str(folder), str(folder / "runs"), "1"]
    with (
        subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process,
        together(process.pid) as most,
    ):
        printed, _ = process.communicate()
    if process.returncode:
        sys.exit(f"the run of {ids:,} users and items failed")
    made = json.loads(printed.splitlines()[-1])
    by_stage = {name.partition("-")[2]: size for name, size in most.items()}
    rows_of: list[Figure] = []
    for stage, peak in made["peaks"].items():
        rows_of += [
            Figure(stage, made["seconds"][stage], None, None, "s"),
            Figure(f"{stage}, one process", peak / 1e9, None, None, "GB", "<= 4 GB"),
            Figure(f"{stage}, together", by_stage.get(stage, 0) / 1e9, None, None, "GB", "<= 4 GB"),
        ]
    rows_of.append(Figure("the run", made["seconds"]["total"], None, None, "s"))
    rows_of.append(Figure(ALL, most[ALL] / 1e9, None, None, "GB"))
    return rows_of


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ids", type=int, default=2_000_000, help="users, and items")
    parser.add_argument("--rows", type=int, help="of the log; twice the ids unless given")
    parser.add_argument("--embedding-dim", type=int, default=16)
    parser.add_argument("--folder", help="keep log and run there")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args()
    rows = arguments.rows or 2 * arguments.ids
    with contextlib.ExitStack() as stack:
        name = arguments.folder or stack.enter_context(tempfile.TemporaryDirectory())
        made = figures(pathlib.Path(name), arguments.ids, rows, arguments.embedding_dim)
    print(show(made))
    if arguments.json:
        write(arguments.json, "many_ids", made)


if __name__ == "__main__":
    main()
