"""Tables are scored as the same rows are, and prepared candidates ranked as candidates are."""

from __future__ import annotations

import datetime
import itertools
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.models.export import tflite_graph
from ranklite.models.export.onnx_convert import from_tflite
from ranklite.models.export.target import SERVING_RAW
from ranklite.models.export.tflite_halves import LiteHalves
from ranklite.models.serving import scorer as scoring
from ranklite.models.serving.prepared import best
from ranklite.models.serving.scorer import Scorer
from ranklite.models.serving.tables import Table
from ranklite.models.serving.versions import write_version
from tests.pushed_model import ROW, push

Rows = list[dict[str, Any]]
VALUES = st.fixed_dictionaries(
    {
        "user": st.sampled_from(["u0", "u1", "u2", "?", "", None]),
        "item": st.one_of(st.none(), st.integers(-3, 5), st.integers(-(2**62), 2**62)),
        "tags": st.one_of(
            st.none(), st.lists(st.sampled_from(["a", "b", "c", "", " "]), max_size=4)
        ),
        "price": st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan"))),
    }
)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(push(tmp_path_factory.mktemp("pushed")))


@pytest.fixture(scope="module")
def scorer(pushed: str) -> Scorer:
    return Scorer(pushed)


def lists(rows: Rows) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


SCHEMA = pa.schema(
    {
        "user": pa.string(),
        "item": pa.int64(),
        "tags": pa.list_(pa.string()),
        "price": pa.float64(),
    }
)


def arrow(rows: Rows) -> pa.Table:
    return pa.table(lists(rows), SCHEMA)


def numpy(rows: Rows) -> dict[str, Any]:
    columns = lists(rows)
    whole = np.array([np.nan if v is None else v for v in columns["item"]], np.float64)
    is_exact = all(v is None or abs(v) < 2**53 for v in columns["item"])
    return {
        "user": np.array(["" if v is None else v for v in columns["user"]]),
        "item": whole if is_exact else columns["item"],
        "tags": columns["tags"],
        "price": np.array(columns["price"], np.float64),
    }


TABLES: dict[str, Callable[[Rows], Any]] = {
    "lists": lists,
    "numpy": numpy,
    "Arrow": arrow,
    "a record batch": lambda rows: arrow(rows).combine_chunks().to_batches()[0],
    "Arrow in chunks": lambda rows: pa.concat_tables(
        [arrow(rows).slice(0, 1), arrow(rows).slice(1)]
    ),
    "Arrow with large types": lambda rows: arrow(rows).cast(
        pa.schema(
            {
                "user": pa.large_string(),
                "item": pa.int64(),
                "tags": pa.large_list(pa.large_string()),
                "price": pa.float64(),
            }
        )
    ),
    "Arrow with a dictionary": lambda rows: pa.table(
        {
            **{name: arrow(rows)[name] for name in ("item", "tags", "price")},
            "user": arrow(rows)["user"].dictionary_encode(),
        }
    ),
    "pandas": lambda rows: pd.DataFrame(lists(rows)),
    "pandas, nullable": lambda rows: pd.DataFrame(
        {
            "user": pd.array(lists(rows)["user"], "string"),
            "item": pd.array(lists(rows)["item"], "Int64"),
            "tags": lists(rows)["tags"],
            "price": pd.array(lists(rows)["price"], "Float64"),
        }
    ),
    "pandas of Arrow": lambda rows: pd.DataFrame(
        {
            **{name: pd.Series(lists(rows)[name], dtype="object") for name in rows[0]},
            "user": pd.array(lists(rows)["user"], "string[pyarrow]"),
        }
    ),
    "pandas with categories": lambda rows: pd.DataFrame(
        {
            **{name: pd.Series(lists(rows)[name], dtype="object") for name in rows[0]},
            "user": pd.Series(lists(rows)["user"], dtype="category"),
        }
    ),
}


@settings(max_examples=25, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=7))
def test_tables_are_scored_as_their_rows(scorer: Scorer, rows: Rows) -> None:
    expected = scorer.score(rows)
    for name, made in TABLES.items():
        if name == "pandas" and any(v is None or abs(v) >= 2**53 for v in lists(rows)["item"]):
            continue  # pandas itself makes a float of it
        scores = scorer.score_columns(made(rows))
        np.testing.assert_allclose(scores, expected, rtol=2e-6, err_msg=name)


@pytest.mark.parametrize("kind", TABLES)
def test_long_tables_are_scored_in_parts(
    scorer: Scorer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{**ROW, "item": k % 5, "user": f"u{k % 4}"} for k in range(20)]
    expected = scorer.score(rows)
    monkeypatch.setattr(scoring, "_OF_TABLE", 6)
    np.testing.assert_allclose(scorer.score_columns(TABLES[kind](rows)), expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("item", ["1", "many"], "row 1: item = 'many' is not of type int64"),
        ("item", np.array([1.0, 1.5]), "row 1: item = 1.5 is not of type int64"),
        ("item", np.array([1.0, np.inf]), "row 1: item = inf is not of type int64"),
        ("item", np.array([1.0, 2.0**53]), "row 1: item = 9007199254740992.0 is not of type"),
        ("item", np.array([1, 2**63], np.uint64), "row 1: item = 9223372036854775808 is not"),
        ("price", np.array([1.0, 1e39]), r"row 1: price = 1e\+39 is not of type float32"),
        ("price", pa.array([1.0, float("inf")]), "row 1: price = inf is not of type float32"),
        ("price", pd.Series(["1.5", "dear"]), "row 1: price = 'dear' is not of type float32"),
        ("user", np.array([1.0, 1.5]), "row 1: user = 1.5 is not of type string"),
        ("user", pa.array([1.0, 1.5]), "row 1: user = 1.5 is not of type string"),
        (
            "user",
            np.array(["2026-01-01", "2026-01-02"], "datetime64[ns]"),
            "row 0: user = .*is not of type string",
        ),
        ("tags", np.array([1.5, 2.5]), "row 0: tags = 1.5 is no list"),
        ("tags", [["a"], [1.5]], "row 1: tags = 1.5 is not of type string"),
        ("tags", pa.array([[1.0], [1.5]]), "row 1: tags = 1.5 is not of type string"),
    ],
)
def test_wrong_values_are_named_as_in_rows(
    scorer: Scorer, name: str, values: Any, message: str
) -> None:
    columns = {**lists([ROW, ROW]), name: values}
    with pytest.raises(ValueError, match=message):
        scorer.score_columns(columns)


def test_values_of_other_types_mean_what_they_mean_in_rows(scorer: Scorer) -> None:
    day = datetime.date(2026, 1, 5)
    others: list[dict[str, Any]] = [
        {"item": np.array([2, 3], np.int8)},
        {"item": np.array([True, False])},
        {"item": pa.array([True, None])},
        {"item": pa.array([2, None], pa.uint8())},
        {"price": np.array([1, 2], np.uint64)},
        {"price": pa.array([1.5, None], pa.float32())},
        {"user": np.array([7, 8])},
        {"user": pa.array([day, None])},
        {"user": np.array([True, False])},
        {"tags": np.array([["a", "b"], ["c", ""]])},
        {"tags": pa.array(["a|b", None])},
        {"tags": pa.array(["a|b", None]).dictionary_encode()},
        {"tags": pd.Series(["a|b", None])},
        {"tags": np.array([[1, 2, 3], [4, 5, 6]])},
        {"tags": pa.array([["a", None, "b"], None], pa.list_(pa.string()))},
        {"price": np.ma.masked_array([1.5, 2.5], [True, False])},
    ]
    for changed in others:
        ((name, values),) = changed.items()
        listed = values.to_pylist() if isinstance(values, pa.Array) else list(values)
        if isinstance(values, np.ma.MaskedArray):
            listed = values.tolist()
        rows = [{**ROW, name: value} for value in listed]
        scores = scorer.score_columns({**lists([ROW, ROW]), **changed})
        np.testing.assert_array_equal(scores, scorer.score(rows), err_msg=str(changed))


def test_what_is_no_table_is_refused(scorer: Scorer) -> None:
    columns = lists([ROW, ROW])
    with pytest.raises(KeyError, match="the table has no column 'item'"):
        scorer.score_columns({n: v for n, v in columns.items() if n != "item"})
    with pytest.raises(ValueError, match="differ in length"):
        scorer.score_columns({**columns, "item": [1]})
    with pytest.raises(TypeError, match="'u1' is no column"):
        scorer.score_columns({**columns, "user": "u1"})
    with pytest.raises(TypeError, match="list is no table"):
        scorer.score_columns([ROW])
    twice = pd.DataFrame([[1, 2]], columns=["item", "item"])
    with pytest.raises(ValueError, match="two columns item"):
        Table(twice)
    empty = {name: values[:0] for name, values in columns.items()}
    assert scorer.score_columns(empty).shape == (0,)


def test_a_server_without_pandas_scores_columns(pushed: str) -> None:
    code = f"""
import sys
for name in ("pandas", "pyarrow", "polars", "tensorflow"):
    sys.modules[name] = None
import numpy as np
from ranklite import Scorer
scorer = Scorer({pushed!r})
columns = {{"user": ["u1", None], "item": np.array([2, 3]), "tags": [["a"], []], "price": [1, 2]}}
print(len(scorer.score_columns(columns)), len(scorer.prepare(columns)))
class Stream:
    def __arrow_c_stream__(self, schema=None): ...
try:
    scorer.score_columns(Stream())
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    expected = "2 2\nreading a Stream needs pyarrow 15 or later: pip install pyarrow\n"
    assert (done.stdout, done.stderr) == (expected, "")


ITEMS = [{"item": k % 7, "tags": ["a"] * (k % 3), "price": float(k % 5)} for k in range(1500)]
USER = {"user": "u1"}


def test_prepared_items_are_ranked_as_items(scorer: Scorer) -> None:
    expected = scorer.top_k({"user": "u1"}, ITEMS, 20)
    for items in (ITEMS, lists(ITEMS), pd.DataFrame(ITEMS), tuple(ITEMS)):
        prepared = scorer.prepare(items)
        assert len(prepared) == len(ITEMS)
        assert scorer.top_k({"user": "u1"}, prepared, 20) == expected
        assert scorer.top_k({"user": "u2"}, prepared, 20) == scorer.top_k({"user": "u2"}, ITEMS, 20)
    assert scorer.top_k({"user": "u1"}, scorer.prepare([]), 3) == []


@pytest.mark.parametrize("own", itertools.product([False, True], repeat=len(ROW)))
def test_any_features_may_be_the_candidates(scorer: Scorer, own: tuple[bool, ...]) -> None:
    names = list(itertools.compress(ROW, own))
    rows = list(itertools.islice(some_rows(), 20))
    user = {name: value for name, value in rows[3].items() if name not in names}
    items = [{name: row[name] for name in names} for row in rows]
    expected = scorer.top_k(user, items, 20)
    assert scorer.top_k(user, scorer.prepare(items), 20) == expected
    alone = scorer.prepare(items[7:8])  # of which there is one
    assert scorer.top_k(user, alone, 1) == scorer.top_k(user, items[7:8], 1)


@pytest.mark.parametrize("target", ["tflite_strings", "onnx"])
def test_other_targets_rank_prepared_items(target: str, tmp_path: pathlib.Path) -> None:
    version = push(tmp_path, strings=True)
    if target == "onnx":
        content = from_tflite((version / "model.tflite").read_bytes())
        about = json.loads((version / "model.json").read_text())
        about |= {"target": target, "targets": {target: {}}}
        version = pathlib.Path(
            write_version(str(tmp_path), {"model.onnx": content}, {"model": about})
        )
    scorer = Scorer(str(version), target)
    prepared = scorer.prepare(ITEMS)
    assert prepared.parts is None
    assert scorer.top_k(USER, prepared, 20) == scorer.top_k(USER, ITEMS, 20)


def test_a_second_half_looks_nothing_up(scorer: Scorer) -> None:
    """Counted in operators: what a candidate costs that was prepared."""
    prepared = scorer.prepare(ITEMS)
    halves = scorer._model.halves(prepared.inputs.keys(), ())
    assert isinstance(halves, LiteHalves)
    graph = tflite_graph.read(scorer._model.content).graphs[SERVING_RAW]
    names = [graph.operators[place].name for place in halves.cut.second]
    assert not {"GATHER", "FLOOR_MOD", "SELECT_V2"} & set(names)
    assert len(names) < 0.4 * len(graph.operators)
    scorer.top_k(USER, prepared, 3)
    assert python_calls(lambda: scorer.top_k(USER, prepared, 3)) < 160  # of 1,500 candidates


def test_prepared_items_do_not_follow_their_source(scorer: Scorer) -> None:
    prices = np.array([1.0, 2.0], np.float32)
    prepared = scorer.prepare({"item": [1, 2], "tags": [["a"], []], "price": prices})
    before = scorer.top_k({"user": "u1"}, prepared, 2)
    prices[:] = 1e3
    assert scorer.top_k({"user": "u1"}, prepared, 2) == before
    with pytest.raises(ValueError, match="read-only"):
        prepared.inputs["price"][0] = 1
    with pytest.raises(AttributeError):
        prepared.rows = 1  # type: ignore[misc]


def test_what_cannot_be_prepared_is_refused(scorer: Scorer, tmp_path: pathlib.Path) -> None:
    with pytest.raises(KeyError, match="row 1 has no feature 'price'"):
        scorer.prepare([ITEMS[0], {"item": 1, "tags": []}])
    with pytest.raises(ValueError, match="row 1: item = 'x'"):
        scorer.prepare([ITEMS[0], {**ITEMS[1], "item": "x"}])
    with pytest.raises(KeyError, match="row 0 has no feature 'user'"):
        scorer.top_k({}, scorer.prepare(ITEMS), 1)
    other = Scorer(str(push(tmp_path)))
    with pytest.raises(ValueError, match="prepare them by the scorer that ranks them"):
        other.top_k({"user": "u1"}, scorer.prepare(ITEMS), 1)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=30), st.integers(0, 31))
def test_the_best_of_equal_scores_are_the_first(scores: list[float], k: int) -> None:
    values = np.array(scores, np.float32)
    assert best(values, k).tolist() == np.argsort(-values, kind="stable")[:k].tolist()


def python_calls(call: Callable[[], object]) -> int:
    """How many functions of Python run; the runtime's and numpy's own are not counted."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


def some_rows() -> Iterator[dict[str, Any]]:
    for k in range(512):
        yield {**ROW, "user": f"u{k % 9}", "item": k, "price": None if k % 7 == 0 else k / 8}


def test_rows_and_columns_take_few_calls(scorer: Scorer) -> None:
    rows = list(some_rows())
    scorer.score(rows)
    assert python_calls(lambda: scorer.score(rows)) / len(rows) < 0.5
    columns = lists(rows)
    assert python_calls(lambda: scorer.score_columns(columns)) / len(rows) < 0.5
    scorer.score([ROW])
    assert python_calls(lambda: scorer.score([ROW])) < 30


def test_memory_is_set_up_once_for_as_many_rows(pushed: str) -> None:
    scorer = Scorer(pushed)
    prepared = scorer.prepare(ITEMS)  # 1,500 of them are three times 500

    def resized() -> int:
        return sum(call.resized for call in scorer._model._calls.values())  # type: ignore[attr-defined]

    halves = scorer._model.halves(prepared.inputs.keys(), ())
    assert isinstance(halves, LiteHalves)
    before = halves._first.resized
    scorer.top_k({"user": "u1"}, prepared, 3)
    scorer.top_k({"user": "u2"}, prepared, 3)
    assert (halves._first.resized - before, halves._second.resized, resized()) == (1, 1, 0)
    scorer.score([{**ROW, **item} for item in ITEMS])
    assert resized() == 1
    for _ in range(3):
        scorer.score([ROW])
    assert resized() == 2
