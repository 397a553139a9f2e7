"""Ingestion in parts against ingestion in one piece: rows a second, and memory of a process.

    python -m benchmarks.parts [--rows 1000000] [--files 8] [--workers 1 2] [--past] [--keyed]
        [--repeat 3]

The log has 100,000 users and 50,000 items, in CSV files. Each run is a process of its own, and its
memory that of the largest of its processes, workers included. N workers have N cores, and one
piece has all that are used. Runs take turns, and ratios are of the fastest ones. `--keyed` asks a
query with a window by user, of shares by `source.partition_by` or of the whole log.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import pathlib
import tempfile
import time
from typing import Any

from benchmarks import past_ingest, report
from benchmarks.ingest import peak_megabytes
from benchmarks.report import Figure
from benchmarks.scale import largest
from ranklite.models.reporting.tables import table

QUERY = "FROM logs QUALIFY row_number() OVER (PARTITION BY user ORDER BY time DESC, item) <= 200"


def write_log(folder: pathlib.Path, rows: int, files: int) -> None:
    """Writes the log of `past_ingest` in files of one size, in the order of time."""
    past_ingest.write_log(folder / "whole", rows)
    with open(folder / "whole", encoding="utf-8") as whole:
        header = next(whole)
        for number in range(files):
            count = rows // files + (number < rows % files)
            with open(folder / f"log-{number:03d}.csv", "w", encoding="utf-8") as file:
                file.write(header)
                file.writelines(next(whole) for _ in range(count))
    (folder / "whole").unlink()


def _measure(
    data: str, out: str, features: list[dict[str, Any]], workers: int, cores: int, keyed: bool
) -> tuple[float, float]:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    from ranklite.components.engines.local import Local
    from ranklite.components.log_example_gen.config import IngestConfig
    from ranklite.components.log_example_gen.ingest import ingest

    config = past_ingest.config(features).model_dump()
    config["source"]["files"] = "log-*.csv"
    if keyed:
        config["source"] |= {"query": QUERY, "partition_by": "user" if workers else None}
    engine = Local(workers=workers) if workers else None
    start = time.perf_counter()
    with largest(os.getpid()) as peaks:
        ingest(
            IngestConfig.model_validate(config),
            data,
            f"{out}/rejects",
            lambda split: f"{out}/{split}",
            log_rows_file=f"{out}/log_rows.jsonl",
            state_dir=out,
            engine=engine,
        )
    seconds = time.perf_counter() - start
    return seconds, max(peak_megabytes(), max(peaks, default=0) / 1e6)


def measured(
    data: pathlib.Path, features: list[dict[str, Any]], workers: int, cores: int, keyed: bool
) -> tuple[float, float]:
    """Seconds and peak megabytes of one ingestion on some cores; without workers, in one piece."""
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(dir=data.parent) as out,
        concurrent.futures.ProcessPoolExecutor(1, spawn) as process,
    ):
        return process.submit(_measure, str(data), out, features, workers, cores, keyed).result()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--past", action="store_true", help="with features of the past")
    parser.add_argument("--keyed", action="store_true", help="with a query by a key")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    features = past_ingest.LOGGED + past_ingest.PAST * arguments.past
    with tempfile.TemporaryDirectory() as name:
        data = pathlib.Path(name, "data")
        data.mkdir()
        write_log(data, arguments.rows, arguments.files)
        runs: dict[int, list[tuple[float, float]]] = {n: [] for n in (0, *arguments.workers)}
        for _ in range(arguments.repeat):
            for workers, results in runs.items():
                cores = workers or max(arguments.workers)
                results.append(measured(data, features, workers, cores, arguments.keyed))
    fastest = {workers: min(seconds for seconds, _ in each) for workers, each in runs.items()}
    shown, figures = [], []
    for workers, each in runs.items():
        what = f"{workers} workers" if workers else "in one piece"
        ratio = fastest[0] / fastest[workers]
        megabytes = max(peak for _, peak in each)
        rate = arguments.rows / fastest[workers]
        shown.append([what, f"{rate:,.0f}", f"{ratio:.2f}", f"{megabytes:,.0f}"])
        if workers:
            figures.append(Figure(what, rate, arguments.rows / fastest[0], ratio, "rows/s"))
    print(table([f"{arguments.rows:,} rows", "rows/s", "ratio", "peak MB"], shown))
    if arguments.json:
        report.write(arguments.json, "parts", figures)


if __name__ == "__main__":
    main()
