"""A log that is divided by a key, and what ingestion writes of it beside that of the whole log."""

from __future__ import annotations

import collections
import gzip
import json
import pathlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from ranklite.components.log_example_gen.config import IngestConfig
from tests.divided_logs import InProcess, Written, written

SHARE_BYTES = 3000  # so that there are 5 of them
QUERY = """
WITH last AS (
  SELECT user, seen FROM views QUALIFY row_number() OVER (PARTITION BY user ORDER BY ts DESC) = 1
)
SELECT c.user, c.item, i.genre, c.ts, c.rating >= 3 AS y, last.seen,
  row_number() OVER (PARTITION BY c.user ORDER BY c.ts, c.item, c.rating, c.kind) AS nth,
  sum(c.rating) OVER (PARTITION BY c.user ORDER BY c.ts RANGE BETWEEN UNBOUNDED PRECEDING AND
    CURRENT ROW) AS so_far
FROM clicks AS c LEFT JOIN last ON c.user = last.user LEFT JOIN items AS i USING (item);
"""
BASE: dict[str, Any] = {
    "source": {
        "tables": {"clicks": "clicks-*.csv", "items": "items.jsonl", "views": "views.jsonl"},
        "query": QUERY,
        "partition_by": "user",
        "max_bad_rows": 0.5,
    },
    "label": "y",
    "timestamp": "ts",
    "split": {"by": "time", "eval": 0.2, "test": 0.2},
    "features": {
        "features": [
            {"name": "user", "kind": "categorical"},
            {"name": "item", "kind": "categorical"},
            {"name": "genre", "kind": "categorical"},
            {"name": "nth", "kind": "numeric"},
            {"name": "so_far", "kind": "numeric"},
            {"name": "seen", "kind": "numeric"},
        ],
        "user": "user",
        "item": "item",
    },
}
HASH = {"by": "hash", "key": "user", "eval": 0.5}  # of which the order has no part
NAMES = ("user", "item", "y")


def config(**changes: Any) -> IngestConfig:
    source = BASE["source"] | changes.pop("source", {})
    return IngestConfig.model_validate({**BASE, "source": source, **changes})


def asked(query: str, key: str | None = "user", **changes: Any) -> IngestConfig:
    """A configuration of a query whose result has user, item and y."""
    features = [{"name": name, "kind": "categorical"} for name in NAMES[:2]]
    given = {"features": {"features": features}, "split": HASH, "timestamp": None, **changes}
    return config(source={"query": query, "partition_by": key, **given.pop("source", {})}, **given)


def write(folder: pathlib.Path) -> None:
    """Rows of no user, rows that cannot be read, and a second log."""
    rng = np.random.default_rng(7)
    for file in range(4):
        lines = ["user,item,kind,ts,rating"]
        for _ in range(60):
            user = f"u{rng.integers(40)}" if rng.random() < 0.9 else ""
            when = 1_700_000_000 + int(rng.integers(50))
            kind = ["buy", "view", "like"][int(rng.integers(3))]
            lines.append(f"{user},{rng.integers(8)},{kind},{when},{rng.integers(1, 6)}")
        if file in (1, 3):
            lines += ["u1,2,buy,never,3", "u1,2", "u2,5,buy,1700000001,4"]
        (folder / f"clicks-{file}.csv").write_text("\n".join(lines) + "\n")
    items = [{"item": str(k), "genre": f"g{k % 3}ü"} for k in range(6)]
    text = "".join(json.dumps(item) + "\n" for item in items)
    (folder / "items.jsonl").write_text(text + '{"item": \n')
    views = [
        {"user": f"u{k % 27}" if k % 7 else None, "item": k % 5, "ts": 1_700_000_000 + k % 40,
         "seen": k % 13} for k in range(150)
    ]  # fmt: skip
    (folder / "views.jsonl").write_text("".join(json.dumps(v) + "\n" for v in views) + "[1]\n")


def records(files: Mapping[str, bytes]) -> dict[str, collections.Counter[bytes]]:
    """The Examples of each split, however often each."""
    result: dict[str, collections.Counter[bytes]] = {}
    for name, content in files.items():
        if name.endswith(".gz"):
            data, found = gzip.decompress(content), result.setdefault(name.split("/")[0], _none())
            while data:
                [length] = struct.unpack("<Q", data[:8])
                found[data[12 : 12 + length]] += 1
                data = data[16 + length :]
    return result


def _none() -> collections.Counter[bytes]:
    return collections.Counter()


def as_plain(made: IngestConfig, data: pathlib.Path, tmp_path: pathlib.Path) -> Written:
    """Ingests by key, and asks the whole log without: both have the same rows in each split."""
    divided = written(made, data, tmp_path / "divided", InProcess(workers=2))
    source = made.source.model_copy(update={"partition_by": None})
    plain = written(made.model_copy(update={"source": source}), data, tmp_path / "whole", None)
    assert records(divided[0]) == records(plain[0])
    assert divided[1]["rejected"] == plain[1]["rejected"]
    assert divided[1]["splits"] == plain[1]["splits"]
    return divided
