"""Spans: which files of a growing log a run reads."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklite.components.log_example_gen import spans
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest, input_digest

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
