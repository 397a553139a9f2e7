"""Ingestion against TFX's CsvExampleGen, both from one CSV file to the gzipped TFRecords TFX reads.

    python -m benchmarks.ingest [--rows 1000000] [--repeat 3]

Prints a table: seconds, rows a second, size of the result, and the ratio. The CSV file has a label
and ten columns: four categorical ones, an integer id, four numbers with gaps, and a time.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import time

import numpy as np

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.models.reporting.tables import table

TEXTS = ("a", "b", "c", "d")
NUMBERS = ("w", "x", "y", "z")


def write_log(path: pathlib.Path, rows: int) -> None:
    """Writes the CSV file, seeded."""
    rng = np.random.default_rng(1)
    columns = {"label": rng.integers(0, 2, rows).astype(str)}
    for name, size in zip(TEXTS, (10, 100, 1000, 100_000), strict=True):
        columns[name] = np.char.add(name, rng.integers(0, size, rows).astype(str))
    columns["item"] = rng.integers(0, 50_000, rows).astype(str)
    for name in NUMBERS:
        texts = np.char.mod("%.4f", rng.normal(0, 10, rows))
        columns[name] = np.where(rng.random(rows) < 0.1, "", texts)
    columns["time"] = np.sort(rng.integers(1_700_000_000, 1_710_000_000, rows)).astype(str)
    with open(path, "w", encoding="utf-8") as file:
        file.write(",".join(columns) + "\n")
        file.writelines(map("{}\n".format, map(",".join, zip(*columns.values(), strict=True))))


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


def size(folder: pathlib.Path) -> int:
    """Bytes of the TFRecords below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.gz"))


def ours(data: pathlib.Path, out: pathlib.Path) -> float:
    """Seconds of LogExampleGen's work."""
    start = time.perf_counter()
    ingest(config(), str(data), str(out / "rejects"), lambda split: str(out / split))
    return time.perf_counter() - start


def theirs(data: pathlib.Path, out: pathlib.Path) -> float:
    """Seconds of CsvExampleGen in TFX's local runner."""
    from tfx.components.example_gen.csv_example_gen.component import CsvExampleGen
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.metadata import sqlite_metadata_connection_config
    from tfx.orchestration.pipeline import Pipeline

    pipeline = Pipeline(
        pipeline_name="csv",
        pipeline_root=str(out / "root"),
        components=[CsvExampleGen(input_base=str(data))],
        metadata_connection_config=sqlite_metadata_connection_config(str(out / "m.sqlite")),
        beam_pipeline_args=["--direct_num_workers=1"],
    )
    start = time.perf_counter()
    LocalDagRunner().run(pipeline)
    return time.perf_counter() - start


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs of ours; theirs runs once")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = folder / "data"
        data.mkdir()
        write_log(data / "log.csv", arguments.rows)
        seconds = statistics.median(
            ours(data, folder / f"ours{k}") for k in range(arguments.repeat)
        )
        theirs_seconds = theirs(data, folder / "theirs")
        rows = [
            [label, f"{s:.1f}", f"{arguments.rows / s:,.0f}", f"{size(out):,}"]
            for label, s, out in (
                ("CsvExampleGen", theirs_seconds, folder / "theirs"),
                ("LogExampleGen", seconds, folder / "ours0"),
            )
        ]
        print(table(["1 CSV file", "seconds", "rows/s", "bytes"], rows))
        print(f"ratio {theirs_seconds / seconds:.1f}")


if __name__ == "__main__":
    main()
