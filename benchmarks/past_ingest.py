"""Ingestion with features of the past against without, on one CSV file; memory and seconds.

    python -m benchmarks.past_ingest [--rows 1000000] [--repeat 3] [--json FILE]

The log has 100,000 users, of whom one has 5 % of all rows, and 50,000 items. The features are a
history of 20 items, counts and rates of items as of the day, and a user's rate. Each run is a
process of its own, so that the peak of its memory is told.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import pathlib
import statistics
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.ingest import peak_megabytes
from benchmarks.report import Figure
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.models.reporting.tables import table

LOGGED: list[dict[str, Any]] = [
    {"kind": "categorical", "name": "user"},
    {"kind": "categorical", "name": "item", "dtype": "int64"},
    {"kind": "numeric", "name": "price"},
]
PAST: list[dict[str, Any]] = [
    {"kind": "history", "name": "recent", "of": "item", "by": "user", "length": 20},
    {"kind": "aggregate", "name": "item_stats", "by": "item"},
    {"kind": "aggregate", "name": "user_stats", "by": "user", "as_of": "session"},
]


def write_log(path: pathlib.Path, rows: int) -> None:
    """Writes the CSV file, seeded, a million rows at a time."""
    rng = np.random.default_rng(1)
    with open(path, "w", encoding="utf-8") as file:
        file.write("label,user,item,price,time\n")
        for first in range(0, rows, 1_000_000):
            count = min(1_000_000, rows - first)
            user = np.where(rng.random(count) < 0.05, 0, rng.integers(0, 100_000, count))
            moment = 1_700_000_000 + (first + np.arange(count)) * 10_000_000 // rows
            columns = (
                rng.integers(0, 2, count).astype(str),
                np.char.add("u", user.astype(str)),
                rng.integers(0, 50_000, count).astype(str),
                np.char.mod("%.2f", rng.normal(0, 10, count)),
                moment.astype(str),
            )
            file.writelines(map("{}\n".format, map(",".join, zip(*columns, strict=True))))


def config(features: list[dict[str, Any]]) -> IngestConfig:
    """The configuration of LogExampleGen for that file."""
    return IngestConfig.model_validate(
        {
            "source": {"files": "log.csv"},
            "label": "label",
            "timestamp": "time",
            "split": {"by": "time", "eval": 0.1, "test": 0.1},
            "features": {"features": features, "user": "user", "item": "item"},
        }
    )


def _measure(data: str, out: str, features: list[dict[str, Any]]) -> tuple[float, float]:
    from ranklite.components.log_example_gen.ingest import ingest

    start = time.perf_counter()
    ingest(config(features), data, f"{out}/rejects", lambda s: f"{out}/{s}", state_dir=out)
    seconds = time.perf_counter() - start
    return seconds, peak_megabytes()


def measured(data: pathlib.Path, features: list[dict[str, Any]]) -> tuple[float, float]:
    """Seconds and peak megabytes of one ingestion."""
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(dir=data.parent) as out,
        concurrent.futures.ProcessPoolExecutor(1, spawn) as process,
    ):
        return process.submit(_measure, str(data), out, features).result()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data = pathlib.Path(name, "data")
        data.mkdir()
        write_log(data / "log.csv", arguments.rows)
        ways = {"without": LOGGED, "with the past": [*LOGGED, *PAST]}
        runs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(arguments.repeat):
            for way, features in ways.items():
                runs[way].append(measured(data, features))
        rows = []
        for way, results in runs.items():
            seconds = [one for one, _ in results]
            rows.append(
                [
                    way,
                    f"{statistics.median(seconds):.1f}",
                    f"{min(seconds):.1f} to {max(seconds):.1f}",
                    f"{max(megabytes for _, megabytes in results):,.0f}",
                ]
            )
        print(table([f"{arguments.rows:,} rows", "seconds", "range", "peak MB"], rows))
        without, past = (statistics.median(s for s, _ in runs[way]) for way in ways)
        print(f"ratio {past / without:.2f}")
        if arguments.json:
            what = f"{arguments.rows:,} rows with features of the past; the peer is without them"
            figures = [Figure(what, past, without, without / past, "s")]
            report.write(arguments.json, "past_ingest", figures)


if __name__ == "__main__":
    main()
