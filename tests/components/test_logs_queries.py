"""Queries: what type a column has, and what becomes of the result."""

from __future__ import annotations

import pathlib
from typing import Any

import pyarrow as pa
import pytest

from ranklite.components.log_example_gen.source import SourceConfig
from tests.small_logs import FORMATS, Log, check, config, logs

U = {"u": "string"}


def asked(name: str, content: Any, query: str, examples: Any = (), *, features: Any = U,
          kind: str = "csv", types: Any = None, error: str = "", rejects: Any = (),
          **changes: Any) -> Log:  # fmt: skip
    """A log of one file and a query over it."""
    changes["source"] = {"query": query, **changes.get("source", {})}
    if types:
        changes["source"]["types"] = types
    return Log(name, {f"log.{kind}": content}, features, examples, rejects, error, changes)


def u(*values: Any) -> list[dict[str, Any]]:
    return [{"id": value, "n": number} for number, value in enumerate(values)]


ID = "SELECT id AS u FROM logs"
TYPES = [
    asked("leading zeros", u("001", "2", "3"), ID, ["001", "2", "3"]),
    asked("integers", u("1", "20", "-3"), ID, ["1", "20", "-3"]),
    asked("integers that are added", u("1", "20"), "SELECT id + 1 AS u FROM logs", ["2", "21"]),
    asked("a text that comes late", u(*["1"] * 20_500, "a"), ID, ["1"] * 20_500 + ["a"]),
    asked("versions", u("1.1", "1.10"), ID, ["1.1", "1.10"]),
    asked("dates are dates", u("2026-01-05", "2026-02-05"),
          "SELECT strftime(id, '%A') AS u FROM logs", ["Monday", "Thursday"]),
    asked("short dates are text", u("2026-1-5"), ID, ["2026-1-5"]),
    asked("booleans", u("true", "false"), "SELECT NOT id AS u FROM logs", ["false", "true"]),
    asked("booleans in capitals are text", u("TRUE", "false"), ID, ["TRUE", "false"]),
    asked("an integer beyond 64 bits", u(str(2**64), "1"), ID, [str(2**64), "1"]),
    asked("UUIDs", u("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), "SELECT lower(id) AS u FROM logs",
          ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    asked("JSON ids of two types", u(5, "5", "a"), ID, ["5", "5", "a"], kind="jsonl"),
    asked("JSON numbers", u(5, 6), "SELECT id * 2 AS u FROM logs", ["10", "12"], kind="jsonl"),
    asked("JSON text", u("A1", None), ID, ["A1", None], kind="jsonl"),
    asked("JSON lists", [{"id": ["a", "b"]}, {"id": []}],
          "SELECT unnest(id) AS u FROM logs", ["a", "b"], kind="jsonl"),
    asked("JSON objects", [{"id": {"a": "x", "b": 1}}], "SELECT id.a AS u FROM logs", ["x"],
          kind="jsonl"),
    asked("Parquet", u(7, 8), "SELECT id + 1 AS u FROM logs", ["8", "9"], kind="parquet"),
    asked("a type that is said", u("001", "2"), ID, ["1", "2"], types={"id": "BIGINT"}),
    asked("text that is said", u("1", "2"), "SELECT id || 'x' AS u FROM logs", ["1x", "2x"],
          types={"id": "VARCHAR"}),
    asked("a type that does not hold", u("1", "x", "y"), ID, types={"id": "BIGINT"},
          error="source.types: id: 2 values are no BIGINT, such as 'x': leave the type out"),
    asked("decimals of an integer that is said", u("7.5"), ID, types={"id": "BIGINT"},
          error="1 values are no BIGINT, such as '7.5'"),
    asked("text against a number", u("1", "x"), "SELECT id AS u FROM logs WHERE id > 3",
          error="source.query: .*(?s:.*)cast it in the query, or give its type in `source.types`"),
    asked("a float for a category", u("1.5", "2.5"), "SELECT id AS u FROM logs",
          error="'u' is DOUBLE in the query's result, and a category is text or an integer"),
    asked("a cast of it", u("1.5"), "SELECT id::DOUBLE::INT AS u FROM logs", ["2"]),
]  # fmt: skip
FORMS = [
    asked("a semicolon", u("a"), ID + ";", ["a"]),
    asked("semicolons and blanks", u("a"), ID + " ;\n;\n ", ["a"]),
    asked("a comment behind", u("a"), ID + " -- the end", ["a"]),
    asked("a comment behind a semicolon", u("a"), ID + "; -- the end\n", ["a"]),
    asked("a semicolon in a text", u("a"), "SELECT id || ';' AS u FROM logs", ["a;"]),
    asked("a comment of several lines", u("a"), "/* ids; */ " + ID, ["a"]),
    asked("common tables", u("a"), "WITH x AS (SELECT * FROM logs) SELECT id AS u FROM x", ["a"]),
    asked("an order", u("b", "a"), ID + " ORDER BY id", ["a", "b"]),
    asked("FROM first", u("a"), "FROM logs SELECT id AS u", ["a"]),
    asked("capitals", u("a"), "SELECT ID AS u FROM LOGS", ["a"]),
    asked("a column of ours", u("a"), 'SELECT id AS u, n AS "ranklite row" FROM logs', ["a"]),
    asked("columns called like ours", u("a"),
          "SELECT id AS u, n AS split, n AS label, n AS record FROM logs", ["a"]),
    asked("two statements", u("a"), f"{ID}; {ID}",
          error="source.query is to be one SELECT statement: there are several"),
    asked("no statement", u("a"), " ", error="source.query is to be one SELECT statement"),
    asked("no query", u("a"), "DROP TABLE logs",
          error="source.query is to be one SELECT statement: Only SELECT"),
    asked("no SQL", u("a"), "SELEC id", error="source.query is to be one SELECT statement: syntax"),
    asked("no such table", u("a"), "SELECT id AS u FROM clicks",
          error="source.query reads 'clicks', and a run knows logs alone: name the files"),
    asked("no such column", u("a"), "SELECT name AS u FROM logs",
          error='(?s)source.query: .*"name" not found.*id'),
    asked("a result without a feature", u("a"), "SELECT id FROM logs",
          error="the log has no column 'u'; it has id"),
    asked("a name twice", u("a"), "SELECT id AS u, n AS u FROM logs",
          error="source.query: its result has u twice"),
    asked("a file", u("a"), "SELECT * FROM '/etc/passwd'",
          error="source.query reads '/etc/passwd', and a run knows logs alone"),
    asked("a file by a function", u("a"), "SELECT * FROM logs, read_csv('prices.csv')",
          error=r"source.query reads read_csv\(\), and a run knows logs alone"),
    asked("files inside of an expression", u("a"),
          "SELECT * FROM logs WHERE id IN (SELECT file FROM glob('*'))",
          error=r"source.query reads glob\(\), and"),
    asked("functions of no file, and WITH", u("a", "b"),
          "WITH twice AS (FROM logs) SELECT id AS u FROM TWICE, range(1), (SELECT unnest([1]))",
          ["a", "b"]),
    asked("no rows", u("a"), ID + " WHERE id = 'b'", error="the log has no rows"),
    asked("a value that is none", u("7", "x"), ID, [7], features={"u": "int64"},
          rejects=[("(row of the result)", 2, "u", "not an integer", "x")]),
    asked("a label of the result", [{"id": "a", "r": 5}, {"id": "b", "r": 3}],
          "SELECT id AS u, r + 1 AS rating FROM logs", ["a", "b"], label="rating >= 5"),
]  # fmt: skip


@logs(TYPES)
def test_types(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@logs(FORMS)
def test_forms(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


def test_lines_that_the_query_does_not_see_are_rejects(tmp_path: pathlib.Path) -> None:
    text = '{"id": "a"}\nnone\n{"id": "b"}\n'
    rejects = [("log.jsonl", 2, "", "not a JSON object", "none")]
    check(tmp_path, asked("lines", text, ID, ["a", "b"], kind="jsonl", rejects=rejects))
    rejects = [("log.csv", 3, "", "Expected Number of Columns: 2 Found: 1", "x")]
    (tmp_path / "log.jsonl").unlink()
    check(tmp_path, asked("rows", "id,n\na,1\nx\nb,2\n", ID, ["a", "b"], rejects=rejects))


@pytest.mark.parametrize("kind", FORMATS)
def test_joined_tables(tmp_path: pathlib.Path, kind: str) -> None:
    """An id is the same text in both tables, or both are numbers."""
    files = {
        f"clicks1.{kind}": [{"id": "001", "item": "7"}],
        f"clicks2.{kind}": [{"id": "A1", "item": "8"}],
        "items.csv": 'item;genre\n7;\'90s\n8;"a;b"\n',
    }
    tables = {
        "clicks": f"clicks*.{kind}",
        "items": {"files": "items.csv", "csv": {"delimiter": ";"}, "encoding": "utf-8"},
    }
    query = "SELECT id AS u, genre FROM clicks JOIN items USING (item) ORDER BY item"
    changes = {"source": {"tables": tables, "query": query}}
    log = Log("join", files, {"u": "string", "genre": "string"},
              [("001", "'90s"), ("A1", "a;b")], changes=changes)  # fmt: skip
    if kind == "csv":
        check(tmp_path, log)
        return
    number = "item::BIGINT = items.item" if kind == "jsonl" else "clicks.item::BIGINT = items.item"
    del number
    changes["source"]["types"] = {"item": "VARCHAR"}
    check(tmp_path, log)


def test_types_of_a_table_that_differ_between_files(tmp_path: pathlib.Path) -> None:
    files = {
        "log1.parquet": pa.table({"id": pa.array([7], pa.int32())}),
        "log2.parquet": pa.table({"id": pa.array([8], pa.int64())}),
    }
    changes = {"source": {"query": ID}}
    check(tmp_path, Log("integers", files, examples=["7", "8"], changes=changes))
    files["log3.parquet"] = pa.table({"id": ["a"]})
    error = "column 'id' is INTEGER in .*, VARCHAR in .*: write it alike in all files"
    check(tmp_path, Log("mixed", files, error=error, changes=changes))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"files": "x.csv", "types": {"id": "BIGINT"}}, "`types` is for the columns that a"),
        ({"files": "x.csv", "query": ID, "types": {"id": "UUID"}}, "'VARCHAR', 'BIGINT'"),
        ({"tables": {"a": "x.csv"}}, "`tables` needs a `query`"),
        ({"files": "x.csv", "tables": {"a": "x.csv"}, "query": ID}, "not both"),
    ],
)
def test_settings_that_do_not_fit(source: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SourceConfig.model_validate(source)


def test_a_split_by_time_of_a_query(tmp_path: pathlib.Path) -> None:
    changes = {"timestamp": "at", "split": {"by": "time", "eval": 0.3}}
    rows = [{"id": f"u{n}", "at": 1_767_607_200 - n} for n in range(4)]
    log = asked("time", rows, 'SELECT id AS u, "at" FROM logs', ["u1", "u2", "u3", "u0"], **changes)
    log = Log(log.name, log.files, log.features, ["u1", "u2", "u3", "u0"], changes=log.changes)
    assert config(log).split_names == ("train", "eval")
    arrived = check(tmp_path, log)
    assert arrived
    assert [(row["line"], row["row"]["u"]) for row in arrived.sampled] == [(1, "u0")]
