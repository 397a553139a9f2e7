"""Spans: which files of a growing log a run reads."""

from __future__ import annotations

import gzip
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklite.components.log_example_gen import IngestError, spans
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.components.log_example_gen.input_files import input_digest
from tests.divided_logs import same_error

FEATURES = {"features": [{"kind": "categorical", "name": "u"}]}
DATED = "logs/clicks-{YYYY}-{MM}-{DD}*.csv"


def config(files: Any = DATED, span: str = "", **source: Any) -> IngestConfig:
    return IngestConfig.model_validate(
        {
            "source": {"files": files, **source},
            "label": "y",
            "split": {"by": "hash", "eval": 0.3},
            "features": FEATURES,
        }
    ).at(span)


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "logs").mkdir()
    for name in ("2026-11-19", "2026-11-20", "2026-11-21a", "2026-11-21b", "2026-13-45", "notes"):
        rows = "".join(f"{k % 2},{name}{k}\n" for k in range(20))
        (tmp_path / f"logs/clicks-{name}.csv").write_text(f"y,u\n{rows}")
    return tmp_path


def names(settings: IngestConfig, data: pathlib.Path) -> list[str]:
    ((_, files),) = settings.matching_files(str(data)).items()
    return [pathlib.Path(path).stem.removeprefix("clicks-") for path in files]


def test_all_spans_are_read_unless_a_window_says_otherwise(data: pathlib.Path) -> None:
    assert names(config(), data) == ["2026-11-19", "2026-11-20", "2026-11-21a", "2026-11-21b"]
    assert names(config(window=2), data) == ["2026-11-20", "2026-11-21a", "2026-11-21b"]
    assert config(window=2).spans_read(str(data)) == ["2026-11-20", "2026-11-21"]


def test_a_span_in_the_past_is_the_newest_then(data: pathlib.Path) -> None:
    assert names(config(span="2026-11-20", window=1), data) == ["2026-11-20"]
    assert names(config(span="2026-11-20", window=9), data) == ["2026-11-19", "2026-11-20"]


def test_a_span_without_files_is_told_with_those_that_have_some(data: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no files of span 2026-11-22; .* 2026-11-21$"):
        config(span="2026-11-22").matching_files(str(data))
    with pytest.raises(ValueError, match="neither a date such as 2026-11-22 nor a number"):
        config(span="yesterday").matching_files(str(data))


def test_tables_without_spans_are_read_whole_and_others_need_the_same_spans(
    data: pathlib.Path,
) -> None:
    (data / "items.csv").write_text("u,v\n")
    tables = {"logs": DATED, "items": "items.csv"}
    source = {"files": None, "tables": tables, "query": "SELECT * FROM logs", "window": 1}
    matched = config(**source).matching_files(str(data))
    assert [len(files) for files in matched.values()] == [2, 1]
    (data / "prices-2026-11-19.csv").write_text("u,p\n")
    tables["items"] = "prices-{YYYY}-{MM}-{DD}.csv"
    with pytest.raises(FileNotFoundError, match="spans 2026-11-21; there are files of 2026-11-19"):
        config(**source).matching_files(str(data))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"files": "a-{SPAM}.csv"}, "a-{SPAM}.csv' has {SPAM}: a span is named by {SPAN}"),
        ({"files": "a-{YYYY}-{MM}.csv"}, "has {MM}, {YYYY}: a span"),
        ({"files": ["a-{SPAN}.csv", "b-{YYYY}{MM}{DD}.csv"]}, "name the span of every file alike"),
        ({"files": "a.csv", "window": 3}, "source.window counts spans, but no file name has"),
    ],
)
def test_wrong_patterns_are_refused(source: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        config(**source)


def test_a_span_is_refused_where_file_names_have_none(data: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="span 3: no file name of the configuration has a place"):
        config("logs/*.csv", span="3").matching_files(str(data))


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_are_found_again_and_ordered(first: int, second: int) -> None:
    pattern = "x/{SPAN}/part-*-{SPAN}.csv"
    assert spans.span_of(pattern, f"x/{first}/part-a-{first}.csv") == str(first)
    if first != second:
        assert spans.span_of(pattern, f"x/{first}/part-a-{second}.csv") is None
    before, chosen = spans.chosen([str(first), str(second)], None, 1)
    assert chosen == [str(max(first, second))]
    assert before == ([str(min(first, second))] if first != second else [])


@given(st.dates())
def test_dates_are_found_again(day: Any) -> None:
    for pattern in ("{YYYY}{MM}{DD}.csv", "**/d={YYYY}-{MM}-{DD}/*.csv"):
        text = pattern.replace("{YYYY}", f"{day.year:04}").replace("{MM}", f"{day.month:02}")
        path = text.replace("{DD}", f"{day.day:02}").replace("**", "a/b").replace("*", "part-0")
        assert spans.span_of(pattern, path) == day.isoformat()


@pytest.mark.parametrize(
    ("pattern", "glob"),
    [
        ("a-{YYYY}{MM}{DD}*.csv", "a-*.csv"),
        ("**/{SPAN}/*.csv", "**/*/*.csv"),
        ("d={YYYY}-{MM}-{DD}/x", "d=*-*-*/x"),
    ],
)
def test_globs(pattern: str, glob: str) -> None:
    assert spans.as_glob(pattern) == glob


def test_only_files_that_are_read_decide_about_the_cache(data: pathlib.Path) -> None:
    settings = config(window=1)
    before = input_digest(settings, str(data))
    (data / "logs/clicks-2026-11-19.csv").write_text("y,u\n1,changed\n")
    assert input_digest(settings, str(data)) == before
    (data / "logs/clicks-2026-11-22.csv").write_text("y,u\n1,new\n")
    assert input_digest(settings, str(data)) != before
    assert input_digest(settings.at("2026-11-21"), str(data)) == before


def test_the_report_names_the_spans(data: pathlib.Path) -> None:
    report = ingest(
        config(window=2), str(data), str(data / "rejects"), lambda split: str(data / "out" / split)
    )
    assert report["spans"] == ["2026-11-20", "2026-11-21"]
    assert json.loads(json.dumps(report))["splits"]["train"]["rows"] > 0
    assert spans.number("2026-11-21") == 20_778


# What a newest span that is empty may look like, and one of another format.
EMPTY: dict[str, Callable[[pathlib.Path], Any]] = {
    "2.csv": lambda path: path.write_text("y,u\n"),
    "2.jsonl": lambda path: path.write_text("\n"),
    "2.csv.gz": lambda path: path.write_bytes(gzip.compress(b"y,u\n\n")),
    "2.parquet": lambda path: pq.write_table(pa.table({"y": [1], "u": ["a"]})[:0], path),
    "2.tsv": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.fault("the newest span of a log is empty", "refused, though its window has rows")
def test_a_newest_span_without_rows_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "1.csv").write_text("y,u\n" + "".join(f"{k % 2},u{k}\n" for k in range(20)))
    EMPTY[name](data / name)
    settings = config("{SPAN}.*")
    told = same_error(settings, data, tmp_path, IngestError)
    assert told == (
        f"the newest span, 2, has no rows: {name} holds a header at the most. What else would be "
        "read is of 1. Write the span again, or read up to an earlier one by `--span`"
    )
    (data / "2.b.csv").write_text("y,u\n1,u1\n")  # one of its files has a row
    if not name.endswith(".tsv"):  # a file of no bytes is refused by itself
        ingest(settings, str(data), str(data / "rejects"), lambda split: str(data / "out" / split))
    ingest(settings.at("1"), str(data), str(data / "rejects"), lambda split: str(data / split))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.fault("the newest span of a log lacks a column", "refused, though its window has it")
def test_a_column_that_vanished_from_the_newest_span(tmp_path: pathlib.Path, kind: str) -> None:
    data = tmp_path / "data"
    data.mkdir()

    def write(name: str, *columns: str) -> None:
        table = pa.table({column: [str(k % 2) for k in range(20)] for column in columns})
        if kind == "parquet":
            pq.write_table(table, data / f"{name}.parquet")
        else:
            table.to_pandas().to_csv(data / f"{name}.csv", index=False)

    write("1", "y", "u")
    write("2a", "y")
    settings = config([f"{{SPAN}}.{kind}", f"{{SPAN}}a.{kind}"])
    told = same_error(settings, data, tmp_path, IngestError)
    assert told == (
        "no file of the newest span, 2, has the column 'u', which files of earlier spans have: "
        "write the span again, or take the column out of the configuration"
    )
    write("1", "y")  # none has it
    told = same_error(settings, data, tmp_path / "none", IngestError)
    assert told == "the log has no column 'u'; it has y"
    write("2a", "y", "u")  # the log grows a column
    ingest(settings, str(data), str(data / "rejects"), lambda split: str(data / "out" / split))
