"""Logs with a past: what each row may know, computed row by row as the definition says."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.models.features.examples import raw_inputs, read_records
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.past import DAY, NEVER, SECOND, Past, state_time

START = 1_600_000_000
LOGGED: list[dict[str, Any]] = [
    {"name": "item", "kind": "categorical"},
    {"name": "shop", "kind": "categorical", "dtype": "int64"},
    {"name": "tags", "kind": "multi_categorical", "max_length": 3, "separator": "|"},
    {"name": "price", "kind": "numeric"},
]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a log; its fields are columns of the file."""

    user: str
    item: str
    shop: str
    tags: str
    price: str
    paid: str
    ts: int
    label: int


def config(features: Sequence[dict[str, Any]], **changes: Any) -> IngestConfig:
    """The configuration of such a log."""
    feature_set = {
        "features": [*LOGGED, *features],
        "user": "user",
        "item": "item",
        "session_gap": changes.pop("session_gap", 30),
    }
    return IngestConfig.model_validate(
        {
            "source": {"files": "log.csv", "max_bad_rows": 0.9},
            "label": "label",
            "timestamp": "ts",
            "split": {"by": "time", "eval": 0.2, "test": 0.2},
            "features": feature_set,
            **changes,
        }
    )


def one_file(row: Row) -> str:
    """All rows stand in one file."""
    return "log.csv"


def by_day(row: Row) -> str:
    """A file a day."""
    return f"log-{datetime.datetime.fromtimestamp(row.ts, datetime.timezone.utc):%Y-%m-%d}.csv"


def write(
    rows: Sequence[Row], folder: pathlib.Path, file_of: Callable[[Row], str] = one_file
) -> None:
    """Writes the log."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(map(file_of, rows)):
        with open(folder / name, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([field.name for field in dataclasses.fields(Row)])
            writer.writerows(dataclasses.astuple(row) for row in rows if file_of(row) == name)


def ingested(
    rows: Sequence[Row],
    settings: IngestConfig,
    folder: pathlib.Path,
    file_of: Callable[[Row], str] = one_file,
) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """The columns of the past as the Examples have them, in the order of the log, and the report.

    Lists come without their padding.
    """
    write(rows, folder / "data", file_of)
    report = ingest(
        settings,
        str(folder / "data"),
        str(folder / "rejects"),
        lambda split: str(folder / split),
        state_dir=str(folder),
    )
    columns = settings.features.past_columns
    result: dict[str, list[Any]] = {column.name: [] for column in columns}
    for split in settings.split_names:
        records = read_records([str(path) for path in (folder / split).glob("*")])
        raw = raw_inputs(records, columns)
        for column in columns:
            result[column.name] += [_plain(value, column) for value in raw[column.name]]
    return result, report


def _plain(value: Any, column: Any) -> Any:
    if not column.is_list:
        return None if math.isnan(value) else float(value)
    kept = [v for v in value.tolist() if v != column.missing and v == v]
    return [v.decode() if isinstance(v, bytes) else v for v in kept]


def expected(
    rows: Sequence[Row], features: FeatureSet, means: Mapping[str, float]
) -> dict[str, list[Any]]:
    """The columns of the past by their definition: for each row, a look at all others."""
    result: dict[str, list[Any]] = {}
    for column in features.past_columns:
        assert column.past is not None
        result[column.name] = [
            _value(k, rows, column.past, column.length, means, features) for k in range(len(rows))
        ]
    return result


def _value(
    index: int,
    rows: Sequence[Row],
    of: Past,
    length: int | None,
    means: Mapping[str, float],
    features: FeatureSet,
) -> Any:
    row = rows[index]
    state = state_time(
        row.ts * SECOND, of.as_of, of.delay, _session_start(index, rows, features.session_gap)
    )
    keys = _keys(row, of.by)
    events = [
        (event.ts, k, event)
        for k, event in enumerate(rows)
        for key in _keys(event, of.by)
        if key in keys and event.ts * SECOND < state
    ]
    if of.window is not None:
        first = state - round(of.window * DAY)
        events = [event for event in events if event[0] * SECOND >= first]
    events.sort(key=lambda event: event[:2])
    if of.is_list:
        listed = next(
            c.past.of
            for c in features.past_columns
            if c.past and c.past.feature == of.feature and c.past.stat == "last"
        )
        newest = [event for *_, event in reversed(events) if _of(event, listed) is not None]
        newest = newest[:length]
        if of.stat == "outcome":
            return [float(event.label) for event in newest]
        return [_of(event, of.of) for event in newest]
    if not keys:
        return None
    if of.stat == "count":
        return float(len(events))
    if of.stat == "recency":
        return _float32((state - events[-1][0] * SECOND) / DAY) if events else NEVER
    if of.stat == "distinct":
        # Of a multi-valued key each value counts on its own.
        pairs = {
            (key, _of(event, of.of))
            for *_, event in events
            for key in _keys(event, of.by)
            if key in keys and _of(event, of.of) is not None
        }
        return float(len(pairs))
    values = [_number(event, of.of) for *_, event in events]
    present = [value for value in values if value is not None]
    if of.stat == "sum":
        return _float32(sum(present))
    if of.stat == "mean":
        return _float32(sum(present) / len(present)) if present else None
    return _float32((sum(present) + of.prior * means[of.of]) / (len(present) + of.prior))


def _keys(row: Row, by: Sequence[str]) -> list[tuple[Any, ...]]:
    keys: list[tuple[Any, ...]] = [()]
    for column in by:
        if column == "tags":
            values = list(dict.fromkeys(v for v in row.tags.split("|") if v))[:3]
        else:
            value = _of(row, column)
            values = [] if value is None else [value]
        keys = [(*key, value) for key in keys for value in values]
    return keys


def _of(row: Row, column: str) -> Any:
    value = getattr(row, column)
    if value == "":
        return None
    if column in ("price", "paid"):
        return float(np.float32(float(value)))
    return int(value) if column == "shop" else value


def _number(row: Row, column: str) -> float | None:
    return float(row.label) if column == "label" else _of(row, column)


def _session_start(index: int, rows: Sequence[Row], gap: float) -> int:
    row = rows[index]
    if row.user == "":
        return row.ts * SECOND
    own = sorted({other.ts for other in rows if other.user == row.user and other.ts <= row.ts})
    start = own[-1]
    for earlier, later in zip(own[-2::-1], own[::-1], strict=False):
        if later - earlier > gap * 60:
            break
        start = earlier
    return start * SECOND


def _float32(value: float) -> float:
    return float(np.float32(value))


def without_past(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a configuration that read nothing but their row."""
    return [f for f in features if f["kind"] not in ("history", "aggregate")]
