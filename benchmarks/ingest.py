"""Ingestion of a CSV file: rows a second on one core and on two, and memory by rows.

    python -m benchmarks.ingest [--rows 1000000 2000000 4000000] [--repeat 3] [--tfx] [--json FILE]

The CSV file has a label and ten columns: four categorical ones, an integer id, four numbers with
gaps, and a time. Speeds are of the first size. The limit does what has to be done and no more:
DuckDB reads the columns as their types, TFX's encoder makes Examples of them, isal compresses
these; no value is checked, no row is rejected, digested, counted or put into a split. Each
measurement is a process of its own, and those that are compared take turns. `--tfx` measures TFX's
CsvExampleGen once as well, which takes minutes.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import pathlib
import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks import report
from benchmarks.report import Figure
from ranklite.components.log_example_gen.config import IngestConfig

TEXTS = ("a", "b", "c", "d")
NUMBERS = ("w", "x", "y", "z")


def write_log(path: pathlib.Path, rows: int) -> None:
    """Writes the CSV file, seeded, a million rows at a time."""
    rng = np.random.default_rng(1)
    with open(path, "w", encoding="utf-8") as file:
        file.write(",".join(("label", *TEXTS, "item", *NUMBERS, "time")) + "\n")
        for first in range(0, rows, 1_000_000):
            count = min(1_000_000, rows - first)
            columns = [rng.integers(0, 2, count).astype(str)]
            for name, size in zip(TEXTS, (10, 100, 1000, 100_000), strict=True):
                columns.append(np.char.add(name, rng.integers(0, size, count).astype(str)))
            columns.append(rng.integers(0, 50_000, count).astype(str))
            for _ in NUMBERS:
                texts = np.char.mod("%.4f", rng.normal(0, 10, count))
                columns.append(np.where(rng.random(count) < 0.1, "", texts))
            columns.append(
                (1_700_000_000 + (first + np.arange(count)) * 10_000_000 // rows).astype(str)
            )
            file.writelines(map("{}\n".format, map(",".join, zip(*columns, strict=True))))


def config() -> IngestConfig:
    """The configuration of LogExampleGen for that file."""
    features = [{"kind": "categorical", "name": name} for name in TEXTS]
    features += [{"kind": "categorical", "name": "item", "dtype": "int64"}]
    features += [{"kind": "numeric", "name": name} for name in NUMBERS]
    return IngestConfig.model_validate(
        {
            "source": {"files": "log.csv"},
            "label": "label",
            "timestamp": "time",
            "split": {"by": "hash", "eval": 1 / 3},
            "features": {"features": features},
        }
    )


def ours(data: str, out: str) -> None:
    """LogExampleGen's work."""
    from ranklite.components.log_example_gen.ingest import ingest

    ingest(config(), data, f"{out}/rejects", lambda split: f"{out}/{split}")


def limit(data: str, out: str) -> None:
    """What any way of doing it with these libraries takes."""
    import duckdb
    import pyarrow as pa
    from isal import igzip
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    from ranklite.models.features.arrow import as_lists

    types = {"label": "FLOAT", **dict.fromkeys(TEXTS, "VARCHAR"), "item": "BIGINT"}
    types |= {**dict.fromkeys(NUMBERS, "FLOAT"), "time": "BIGINT"}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    encoder = RecordBatchToExamplesEncoder(None)
    query = f"SELECT * FROM read_csv('{data}/log.csv', header = true, columns = {{{columns}}})"
    with duckdb.connect() as con, igzip.open(f"{out}/all.gz", "wb") as file:
        batch: pa.RecordBatch
        for batch in con.sql(query).to_arrow_reader(20_000):
            file.write(b"".join(encoder.encode(as_lists(batch))))


def theirs(data: str, out: str) -> None:
    """CsvExampleGen in TFX's local runner."""
    from tfx.components.example_gen.csv_example_gen.component import CsvExampleGen
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.metadata import sqlite_metadata_connection_config
    from tfx.orchestration.pipeline import Pipeline

    pipeline = Pipeline(
        pipeline_name="csv",
        pipeline_root=f"{out}/root",
        components=[CsvExampleGen(input_base=data)],
        metadata_connection_config=sqlite_metadata_connection_config(f"{out}/m.sqlite"),
        beam_pipeline_args=["--direct_num_workers=1"],
    )
    LocalDagRunner().run(pipeline)


def peak_megabytes() -> float:
    """The most memory that this process had; `ru_maxrss` begins with that of its parent."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1000


def _timed(
    way: Callable[[str, str], None], data: str, warm: str, cores: int
) -> tuple[float, float]:
    """Seconds, after the same on a few rows has loaded all libraries, and peak megabytes."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    with tempfile.TemporaryDirectory(dir=warm) as out:
        if way is not theirs:
            os.mkdir(f"{out}/warm")
            way(warm, f"{out}/warm")
        os.mkdir(f"{out}/all")
        start = time.perf_counter()
        way(data, f"{out}/all")
        seconds = time.perf_counter() - start
    return seconds, peak_megabytes()


def timed(way: Callable[[str, str], None], data: str, warm: str, cores: int) -> tuple[float, float]:
    """The same in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as process:
        return process.submit(_timed, way, data, warm, cores).result()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 2_000_000, 4_000_000])
    parser.add_argument("--repeat", type=int, default=3, help="runs of which the fastest counts")
    parser.add_argument("--tfx", action="store_true", help="measure TFX's CsvExampleGen too")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        logs = {rows: f"{folder}/{rows}" for rows in (1000, *arguments.rows)}
        for rows, log in logs.items():
            os.mkdir(log)
            write_log(pathlib.Path(log, "log.csv"), rows)
        first, warm = arguments.rows[0], logs[1000]
        seconds: dict[tuple[str, int], float] = {}
        for _ in range(arguments.repeat):
            for cores in (1, 2):
                for way in (ours, limit):
                    taken, _ = timed(way, logs[first], warm, cores)
                    key = way.__name__, cores
                    seconds[key] = min(taken, seconds.get(key, taken))
        speed = {key: first / taken for key, taken in seconds.items()}
        for cores, word in ((1, "one core"), (2, "two cores")):
            mine, most = speed["ours", cores], speed["limit", cores]
            reach = "0.9 of the limit" if cores == 1 else ""
            what = f"{first:,} rows on {word}; the peer is the limit"
            figures.append(Figure(what, mine, most, mine / most, "rows/s", reach))
        one, two = speed["ours", 1], speed["ours", 2]
        figures.append(Figure("two cores against one", two, one, two / one, "rows/s", "1.7"))
        if arguments.tfx:
            taken, _ = timed(theirs, logs[first], warm, 2)
            mine = seconds["ours", 2]
            what = f"{first:,} rows; the peer is CsvExampleGen"
            figures.append(Figure(what, mine, taken, taken / mine, "s"))
        for cores, word in ((1, "one core"), (2, "two cores")):
            peaks = [timed(ours, logs[rows], warm, cores)[1] for rows in arguments.rows]
            for rows, peak in zip(arguments.rows, peaks, strict=True):
                what = f"peak memory, {rows:,} rows on {word}; the peer is that of {first:,}"
                figures.append(Figure(what, peak, peaks[0], peaks[0] / peak, "MB", "0.91"))
    print(report.show(figures))
    if arguments.json:
        report.write(arguments.json, "ingest", figures)


if __name__ == "__main__":
    main()
