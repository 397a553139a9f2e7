"""Queries over a log in parts: those that are row by row, and why the others are refused."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from ranklite.components.log_example_gen import IngestError, log_rows
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.keyed_query import keeps_order
from ranklite.components.log_example_gen.parts import divide
from ranklite.components.log_example_gen.query_shape import shape
from ranklite.components.log_example_gen.source import SourceConfig
from tests.divided_logs import InProcess, same, same_error, written

QUERY = """
SELECT c.user, c.item, upper(i.genre) AS genre, c.ts, c.rating >= 3 AS y,
  coalesce(i.price, -1) AS price
FROM clicks AS c LEFT JOIN items AS i ON c.item = i.item JOIN users USING (user)
WHERE c.kind != 'view';  -- of purchases
"""
BASE: dict[str, Any] = {
    "source": {
        "tables": {"clicks": "clicks-*.csv", "items": "items.jsonl", "users": "users.csv"},
        "query": QUERY,
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
            {"name": "price", "kind": "numeric"},
        ],
        "user": "user",
        "item": "item",
    },
}


def config(**changes: Any) -> IngestConfig:
    source = BASE["source"] | changes.pop("source", {})
    return IngestConfig.model_validate({**BASE, "source": source, **changes})


def write(folder: pathlib.Path) -> None:
    """Types that one file alone would not show, and rows that cannot be read."""
    rng = np.random.default_rng(4)
    for file in range(4):
        lines = ["user,item,kind,ts,rating"]
        for _ in range(30):
            item = str(rng.integers(8)) if file else f"00{rng.integers(8)}"
            when = 1_700_000_000 + int(rng.integers(50))
            kind = ["buy", "view", "like"][int(rng.integers(3))]
            lines.append(f"u{rng.integers(6)},{item},{kind},{when},{rng.integers(1, 6)}")
        if file in (1, 3):
            lines += ["u1,2,buy,never,3", "u1,2", "u2,5,buy,1700000001,4"]
        (folder / f"clicks-{file}.csv").write_text("\n".join(lines) + "\n")
    items = [{"item": str(k), "genre": f"g{k % 3}ü", "price": k / 2} for k in range(200)]
    text = "".join(json.dumps(item) + "\n" for item in items)
    (folder / "items.jsonl").write_text(text + '{"item": \n' + '{"item": null, "price": 3}\n')
    users = "".join(f"u{k},{k}\n" for k in range(5))
    (folder / "users.csv").write_text("user,age\n" + users)


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder)
    return folder


def test_a_log_with_lookups(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    files, report = same(config(), data, tmp_path, [InProcess(workers=n) for n in (1, 2, 4)])
    assert report["rejected"]["ts"] == 2
    assert report["rejected"]["not a JSON object"] == 1
    rejects = files["rejects/rejects.csv"].decode().splitlines()
    assert sum(line.startswith("(row of the result),") for line in rejects) == 2
    assert sum(line.startswith("items.jsonl,") for line in rejects) == 1
    assert b'"file": ""' in files["state/log_rows.jsonl"]


def test_rows_of_a_long_result(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all are kept, and which ones does not depend on where a part begins."""
    monkeypatch.setattr(log_rows, "MOST", 12)
    made = config(split={"by": "hash", "eval": 0.2, "test": 0.5})
    files, report = same(made, data, tmp_path, [InProcess(workers=3)])
    rows = len(files["state/log_rows.jsonl"].splitlines())
    assert 3 < rows <= 12 < report["splits"]["test"]["rows"]


def test_a_table_alone(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    query = "SELECT * EXCLUDE (kind) FROM (SELECT *, rating > 2 AS y FROM clicks) WHERE y OR true"
    features = {"features": [{"name": "user", "kind": "categorical"}]}
    source = {"tables": {"clicks": "clicks-*.csv"}, "query": query}
    same(config(source=source, features=features), data, tmp_path, [InProcess(workers=3)])


def test_a_split_by_files(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    source = {
        "query": QUERY.replace("clicks", "logs"),
        "tables": {"items": "items.jsonl", "users": "users.csv"},
        "max_bad_rows": 0.5,
    }
    split = {"by": "files", "train": "clicks-[01].csv", "eval": "clicks-2.csv"}
    split["test"] = "clicks-3.csv"
    made = config(source=source, split=split)
    same(made, data, tmp_path, [InProcess(workers=n) for n in (1, 4)])


def test_errors_are_the_same(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    made = config(source={"query": QUERY.replace("upper(i.genre)", "genres")})
    assert 'Referenced column "genres" not found' in same_error(made, data, tmp_path, IngestError)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT DISTINCT * FROM clicks", "DISTINCT over 'clicks'"),
        ("SELECT * FROM clicks ORDER BY ts", "ORDER BY over 'clicks'"),
        ("SELECT * FROM clicks LIMIT 5", "LIMIT over 'clicks'"),
        ("SELECT user FROM clicks GROUP BY user", "GROUP BY over 'clicks'"),
        ("SELECT user, y FROM clicks GROUP BY ALL", "GROUP BY ALL over 'clicks'"),
        ("SELECT max(ts) FROM clicks", r"max\(\) over 'clicks'"),
        ("SELECT geomean(ts) FROM clicks", r"\(\) over 'clicks'"),
        ("SELECT *, lag(ts) OVER (ORDER BY ts) FROM clicks", r"function lag\(\) over 'clicks'"),
        ("SELECT * FROM clicks QUALIFY row_number() OVER () = 1", "QUALIFY over 'clicks'"),
        ("SELECT * FROM clicks UNION ALL SELECT * FROM clicks", "UNION"),
        ("SELECT * FROM clicks AS a JOIN clicks AS b USING (user)", "'clicks' with itself"),
        ("SELECT * FROM clicks WHERE item IN (SELECT item FROM items)", "a subquery"),
        ("SELECT * FROM clicks JOIN (SELECT user FROM clicks) USING (user)", "with itself"),
        ("WITH c AS (SELECT * FROM clicks) SELECT * FROM c", "WITH c reads"),
        ("SELECT * FROM (SELECT * FROM clicks ORDER BY ts)", "ORDER BY over 'clicks'"),
        ("SELECT * FROM clicks RIGHT JOIN items USING (item)", "a RIGHT JOIN"),
        ("SELECT * FROM clicks NATURAL JOIN items", "a NATURAL JOIN"),
        ("SELECT * FROM clicks, items", "a CROSS JOIN"),
        ("SELECT * FROM clicks JOIN items ON clicks.item < items.item", "no equality"),
        ("SELECT * FROM clicks JOIN items ON items.item = items.code", "no equality"),
        ("SELECT *, random() AS r FROM clicks", r"random\(\) differs"),
        ("SELECT *, current_date AS d FROM clicks", "differs from worker"),
        ("SELECT * FROM clicks TABLESAMPLE 10%", "SAMPLE"),
        ("SELECT * FROM range(5)", "does not begin with a table"),
        ("FROM items JOIN clicks USING (item)", ""),
    ],
)
def test_what_is_refused(query: str, reason: str) -> None:
    if not reason:  # the first table is the one that is divided
        assert shape(query).table == "items"
        return
    with pytest.raises(IngestError, match=reason):
        shape(query)
    assert not keeps_order(SourceConfig(files="x", query=query))


def test_a_refusal_says_what_to_do(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    made = config(source={"query": "SELECT max(ts) AS ts, user FROM clicks GROUP BY user"})
    with pytest.raises(
        IngestError,
        match=r"GROUP BY over 'clicks' needs all its rows\. With an "
        r"`engine`.*run that step beforehand.*or leave `engine` out",
    ):
        written(made, data, tmp_path / "out", InProcess(workers=2))


def test_a_key_with_several_rows(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with open(data / "users.csv", "a", encoding="utf-8") as file:
        file.write("u3,99\n")
    with pytest.raises(IngestError, match=r"JOIN of 'users' finds several rows of user = 'u3'"):
        written(config(), data, tmp_path / "out", InProcess(workers=2))
    semi = QUERY.replace("JOIN users", "SEMI JOIN users")
    same(config(source={"query": semi}), data, tmp_path, [InProcess(workers=3)])


def test_a_lookup_in_a_query(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with open(data / "users.csv", "a", encoding="utf-8") as file:
        file.write("u3,99\n")
    ages = "WITH old AS (SELECT user, max(age) AS age FROM users GROUP BY user) "
    query = ages + QUERY.replace("JOIN users", "JOIN (SELECT * FROM old WHERE age > 0)")
    same(config(source={"query": query}), data, tmp_path, [InProcess(workers=3)])


def test_large_lookups_and_other_first_tables(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(divide, "LOOKUP_BYTES", 1000)
    with pytest.raises(IngestError, match=r"besides 'clicks' have 0 MB.*every worker reads them"):
        written(config(), data, tmp_path / "out", InProcess(workers=2))
    made = config(source={"query": "SELECT * FROM other JOIN clicks USING (item)"})
    with pytest.raises(IngestError, match="begins with 'other', which is no table"):
        divide.check_divisible(made)
    source = {"tables": {"items": "items.jsonl"}, "max_bad_rows": 0.5}
    source["query"] = "SELECT * FROM items JOIN logs USING (item)"
    split = {"by": "files", "train": "clicks-0.csv", "eval": "clicks-1.csv"}
    with pytest.raises(IngestError, match="it has to begin with 'logs'"):
        divide.check_divisible(config(source=source, split=split))
