"""Small logs of tests: what is written, and what has to arrive."""

from __future__ import annotations

import bz2
import contextlib
import csv
import dataclasses
import gzip
import io
import json
import pathlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ranklite.components.log_example_gen import log_rows, negatives, reader, rejects, splits, writer
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.connection import connect
from ranklite.models.features import raw_values
from ranklite.models.features.arrow import as_lists
from ranklite.models.features.raw_column import RawColumn

KINDS: dict[str, dict[str, Any]] = {
    "string": {"kind": "categorical"},
    "int64": {"kind": "categorical", "dtype": "int64"},
    "float32": {"kind": "numeric", "buckets": 2},
    "strings": {"kind": "multi_categorical", "max_length": 3},
    "strings|": {"kind": "multi_categorical", "max_length": 3, "separator": "|"},
    "int64s": {"kind": "multi_categorical", "max_length": 3, "dtype": "int64"},
    "int64s|": {
        "kind": "multi_categorical",
        "max_length": 3,
        "dtype": "int64",
        "separator": "|",
    },
}
FORMATS = ("csv", "jsonl", "parquet")
_NO_NUL = "\ue0ff"

Rejected = tuple[str, int, str, str, str]  # file, line, column, reason, value


@dataclasses.dataclass(frozen=True)
class Log:
    """A log and what has to become of it.

    Attributes:
      name: Of the case.
      files: What each file holds: text, bytes, or rows that are written by the file's suffix.
      features: Type of each feature by its name, a key of `KINDS`, or a feature's settings.
      examples: Values of the features of each Example, in order; of a single feature, its values.
      rejects: What is rejected.
      error: A regular expression, where there are no Examples.
      changes: Of the configuration.
    """

    name: str
    files: Mapping[str, Any]
    features: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"u": "string"})
    examples: Sequence[Any] = ()
    rejects: Sequence[Rejected] = ()
    error: str = ""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Arrived:
    """What ingestion made of a log.

    Attributes:
      examples: By split, the values of each Example by feature: a value, None, or a list.
      rejects: As in the rejects file.
      sampled: The last split's rows as `log_rows` brings them.
    """

    examples: dict[str, list[dict[str, Any]]]
    rejects: list[Rejected]
    sampled: list[dict[str, Any]]


def logs(cases: Sequence[Log]) -> Any:
    """Parametrizes a test by logs."""
    return pytest.mark.parametrize("log", cases, ids=[case.name for case in cases])


def config(log: Log) -> IngestConfig:
    """The configuration of a log; each row is a positive of the train split unless it says more."""
    names = [name for name in log.files if "." in name]
    features = [
        {"name": name, **(KINDS[kind] if isinstance(kind, str) else kind)}
        for name, kind in log.features.items()
    ]
    source = {"files": names, "max_bad_rows": 0.9} | log.changes.get("source", {})
    if "tables" in source:
        del source["files"]
    base: dict[str, Any] = {
        "label": "1 = 1",
        "split": {"by": "hash", "eval": 1e-9},
        **log.changes,
        "source": {key: value for key, value in source.items() if value is not None},
        "features": {"features": features} | log.changes.get("features", {}),
    }
    return IngestConfig.model_validate(base)


def arrive(folder: pathlib.Path, settings: IngestConfig) -> Arrived:
    """Ingests a folder of files, up to the Arrow batches of which Examples are made."""
    rejected = folder / ".rejects"
    arrived: dict[str, list[dict[str, Any]]] = {}
    with (
        tempfile.TemporaryDirectory() as work,
        contextlib.closing(connect(settings, str(folder), work)) as con,
    ):
        scans = reader.load(con, settings, str(folder), work)
        rejects.reject(con, settings, scans, str(rejected), str(folder))
        splits.assign(con, settings)
        if settings.sampled_negatives:
            negatives.add_negatives(con, settings, work)
        arrived |= {split: [] for split in settings.split_names}
        for split, batch in writer.by_split(con, settings):
            arrived[split] += _plain(settings, as_lists(batch).to_pylist())
        judged = next(s for s in reversed(settings.split_names) if arrived[s])
        sampled = log_rows.sample(con, settings, scans, judged)
        for row in sampled:
            row["split"] = judged
            row["file"] = pathlib.Path(row["file"]).name
    with open(rejected / "rejects.csv", newline="", encoding="utf-8") as file:
        every = csv.reader(line.replace("\0", _NO_NUL) for line in file)
        rows = [(r[0], int(r[1]), r[2], r[3], r[4].replace(_NO_NUL, "\0")) for r in list(every)[1:]]
    return Arrived(arrived, rows, sampled)


def check(folder: pathlib.Path, log: Log) -> Arrived | None:
    """Ingests a log and compares all that comes of it."""
    for name, content in log.files.items():
        write(folder / name, content)
    if log.error:
        with pytest.raises((ValueError, OSError)) as raised:
            arrive(folder, config(log))
        message = str(raised.value)
        assert re.search(log.error, message), message
        assert "auto_detect" not in message, message  # an option of DuckDB's, not of a log
        return None
    settings = config(log)
    arrived = arrive(folder, settings)
    names = list(log.features)
    kept = [row for split in settings.split_names for row in arrived.examples[split]]
    if len(names) == 1:
        shown: Any = [row[names[0]] for row in kept]
    else:
        shown = [tuple(row[name] for name in names) for row in kept]
    assert shown == list(log.examples)
    assert arrived.rejects == list(log.rejects)
    assert same_for_scorer(settings, arrived) == min(log_rows.MOST, len(_judged(arrived)))
    return arrived


def _judged(arrived: Arrived) -> list[dict[str, Any]]:
    return next(rows for rows in reversed(arrived.examples.values()) if rows)


def same_for_scorer(settings: IngestConfig, arrived: Arrived) -> int:
    """Compares Examples with what a scorer makes of the same rows; returns how many there are."""
    for row in arrived.sampled:
        example = arrived.examples[row["split"]][row["example"]]
        held = json.loads(json.dumps(row, default=str))["row"]  # it travels as a line of JSON
        for column in settings.features.raw_columns:
            value = raw_values.convert(column, held[column.source])
            expected = example[column.name]
            assert same(column, value, expected), (row, column.name, value, expected)
    assert len({row["example"] for row in arrived.sampled}) == len(arrived.sampled)
    return len(arrived.sampled)


def same(column: RawColumn, sent: Any, example: Any) -> bool:
    """Whether what a scorer sends is an Example's value."""
    sent = raw_values.array(column, [sent])[0]
    if column.length is None:
        return _scalar(column, sent) == example
    values = [_scalar(column, each) for each in sent]
    return [v for v in values if v is not None] == example[: column.length]


def _scalar(column: RawColumn, value: Any) -> Any:
    if value == column.missing or value != value:
        return None
    return value.decode() if isinstance(value, bytes) else value.item()


def _plain(settings: IngestConfig, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lists = {column.name for column in settings.features.raw_columns if column.is_list}
    return [
        {
            name: _values(values) if name in lists else next(iter(_values(values)), None)
            for name, values in row.items()
        }
        for row in rows
    ]


def _values(values: list[Any] | None) -> list[Any]:
    """An Example has no word for a list without values."""
    return [value.decode() if isinstance(value, bytes) else value for value in values or []]


def write(path: pathlib.Path, content: Any) -> None:
    """Writes a file: bytes and text as they are, rows as the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_bytes(content.encode())
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(content), path)
    else:
        text = as_csv(content) if ".csv" in path.name.lower() else as_jsonl(content)
        data = text.encode()
        if path.suffix == ".gz":
            data = gzip.compress(data)
        elif path.suffix == ".bz2":
            data = bz2.compress(data)
        path.write_bytes(data)


def as_csv(rows: Sequence[Mapping[str, Any]], **dialect: Any) -> str:
    """Rows as CSV; None is an empty field. Before Python 3.11 its writer refuses NUL."""
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, names, lineterminator="\n", **dialect)
    writer.writeheader()
    writer.writerows({k: _swapped(v, "\0", _NO_NUL) for k, v in row.items()} for row in rows)
    return str(_swapped(out.getvalue(), _NO_NUL, "\0"))


def _swapped(value: Any, one: str, other: str) -> Any:
    return value.replace(one, other) if isinstance(value, str) else value


def as_jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def float32(value: float) -> float:
    """A number as an Example holds it."""
    return float(np.float32(value))
