"""Whatever rows are scored, the command line ends with words about it and 1, or with scores."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import io
import json
import os
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ranklite.models.serving.scorer import Scorer
from ranklite.pipeline.cli.main import main
from tests.pushed_model import ROW, push

EXAMPLES = int(os.environ.get("RANKLITE_FUZZ", "60"))  # thousands were tried; these are quick
CSV = b'user,item,tags,price,other\nu1,2,a|b,1.5,x\n,,,,\nu2,3,b,,"a, b"\n'
JSONL = b"".join(
    json.dumps(row).encode() + b"\n"
    for row in ({**ROW, "other": 1}, dict.fromkeys(ROW), {**ROW, "tags": "a|b", "item": "3"})
)
BYTES = st.sampled_from(
    b"""\x00|\xff|"|""|\n|\r|\r\n|,|;|\t|{|}|null|NaN|Infinity|-1e999|1e400|0x1f|nan|inf|-0|1_000|true
    |PAR1|BZh|1.0|2.5| |9223372036854775808|user|score|\\ud800|\\u0000|\\""".split(b"|")
    + [
        b"|",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        b"[" * 2000,
        b"9" * 5000,
    ]
)


class Odd:
    """A value of no type that a scorer knows, which raises where it is looked at."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        raise RuntimeError("no length")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=6)
    | st.sampled_from(
        [10**400, 2**63, -(2**63), 1e39, -0.0, "\ud800", "nan", "1e400", "1_0", " 2 ", "2.0",
         decimal.Decimal("1.5"), decimal.Decimal("NaN"), decimal.Decimal("1e5000"), 1 + 2j,
         datetime.date(2026, 1, 2), datetime.timedelta(1), np.int8(3), np.uint64(2**64 - 1),
         np.float16(2), np.datetime64("NaT"), np.str_("u1"), np.bytes_(b"u1"), np.array(3)]
        + [np.void(b"x"), 10**5000, decimal.Decimal("1e99999999")]
    )
)  # fmt: skip
VALUES = (
    SCALARS
    | st.lists(SCALARS, max_size=4)
    | st.tuples(SCALARS, SCALARS)
    | st.dictionaries(st.text(max_size=2), SCALARS, max_size=2)
    | st.sets(st.integers() | st.text(max_size=3), max_size=3)
    | st.lists(st.lists(SCALARS, max_size=2), max_size=2)
    | st.sampled_from([np.zeros((2, 2)), np.array([]), np.array(["a", None], object), range(3)])
)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("hostile")
    push(folder)
    return str(folder)


@pytest.fixture(scope="module")
def scorer(pushed: str) -> Scorer:
    return Scorer(pushed)


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 12)))
        content = content[:start] + draw(BYTES | st.binary(max_size=4)) + content[end:]
    return content


def scored(pushed: str, name: str, content: bytes) -> None:
    folder = pathlib.Path(pushed).parent
    source, target = folder / f"in{name}", folder / f"out{name}"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    told = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        code = main(["score", pushed, str(source), "-o", str(target)])
    assert code in (0, 1)
    assert target.exists() == (code == 0)
    assert not list(folder.glob(".out*"))
    if code:
        assert source.name in told.getvalue(), "the file is named"


@settings(max_examples=EXAMPLES, deadline=None)
@given(content=broken(CSV), name=st.sampled_from([".csv", ".tsv", ".csv.gz", ".txt"]))
@pytest.mark.fault("a CSV file to score is broken (60 times)", "scores, or words that name it")
def test_no_csv_file_is_a_traceback(pushed: str, content: bytes, name: str) -> None:
    scored(pushed, name, content)


@settings(max_examples=EXAMPLES, deadline=None)
@given(content=broken(JSONL))
@pytest.mark.fault("a JSONL file to score is broken (60 times)", "scores, or words that name it")
def test_no_lines_of_json_are_a_traceback(pushed: str, content: bytes) -> None:
    scored(pushed, ".jsonl", content)


@st.composite
def columns(draw: st.DrawFn) -> dict[str, pa.Array]:
    rows = draw(st.integers(0, 4))

    def of(kind: pa.DataType, values: st.SearchStrategy[Any]) -> st.SearchStrategy[pa.Array]:
        some = st.lists(st.none() | values, min_size=rows, max_size=rows)
        return some.map(lambda listed: pa.array(listed, kind))

    texts, numbers = st.text(st.characters(codec="utf-8"), max_size=5), st.integers(-9, 9)
    kinds = [
        of(pa.string(), texts),
        of(pa.large_string(), texts),
        of(pa.binary(), st.binary(max_size=4)),
        of(pa.binary(16), st.binary(min_size=16, max_size=16)),
        of(pa.int8(), numbers),
        of(pa.int64(), st.integers(-(2**63), 2**63 - 1)),
        of(pa.uint64(), st.integers(0, 2**64 - 1)),
        of(pa.float32(), st.floats(width=32)),
        of(pa.float64(), st.floats()),
        of(pa.bool_(), st.booleans()),
        of(pa.null(), st.none()),
        of(pa.decimal128(38, 9), numbers.map(decimal.Decimal)),
        of(pa.timestamp("us", "UTC"), st.integers(0, 2**60)),
        of(pa.date32(), st.integers(-(2**31), 2**31 - 1)),
        of(pa.time64("us"), st.integers(0, 86_399_999_999)),
        of(pa.duration("ns"), st.integers(-(2**62), 2**62)),
        of(pa.list_(pa.string()), st.lists(st.none() | texts, max_size=4)),
        of(pa.list_(pa.int64()), st.lists(numbers, max_size=4)),
        of(pa.list_(pa.float64()), st.lists(st.floats(), max_size=4)),
        of(pa.list_(pa.list_(pa.string())), st.lists(st.lists(texts, max_size=2), max_size=2)),
        of(pa.struct({"a": pa.int64()}), st.fixed_dictionaries({"a": numbers})),
        of(pa.map_(pa.string(), pa.int64()), st.lists(st.tuples(texts, numbers), max_size=2)),
        of(pa.string(), texts).map(lambda values: values.dictionary_encode()),
    ]
    names = draw(st.permutations([*ROW, "other", "score"]))[: draw(st.integers(1, 6))]
    return {name: draw(st.one_of(kinds)) for name in names}


GOOD: dict[str, list[Any]] = {"user": ["u1"], "item": [2], "tags": [["a"]], "price": [1.5]}


@settings(max_examples=EXAMPLES, deadline=None)
@given(drawn=columns(), cut=st.none() | st.floats(0, 1))
@pytest.mark.fault(
    "a Parquet file to score has other types, or is cut (60 times)",
    "scores, or words that name it",
)
def test_no_parquet_file_is_a_traceback(
    pushed: str, drawn: dict[str, pa.Array], cut: float | None
) -> None:
    rows = len(next(iter(drawn.values())))
    good = {name: pa.array(values * rows) for name, values in GOOD.items() if rows}
    file = io.BytesIO()
    pq.write_table(pa.table({**good, **drawn}), file)
    content = file.getvalue()
    scored(pushed, ".parquet", content if cut is None else content[: int(cut * len(content))])


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    changes=st.dictionaries(st.sampled_from(list(ROW)), VALUES, min_size=1), rows=st.integers(1, 3)
)
@example(changes={"tags": np.array(3)}, rows=1)
@example(changes={"user": decimal.Decimal("1e5000")}, rows=2)
@example(changes={"item": 10**5000}, rows=1)
@pytest.mark.fault(
    "a row of Python's has odd values (60 of them)", "a score, or words that name it"
)
def test_no_value_of_a_row_is_a_traceback(
    scorer: Scorer, changes: dict[str, Any], rows: int
) -> None:
    scores, why = np.zeros(rows), ""
    try:
        scores = scorer.score([{**ROW, **changes}] * rows)
    except ValueError as error:
        why = str(error)
    assert not why or any(name in why for name in changes), "the feature is named"
    assert scores.shape == (rows,)
    assert np.isfinite(scores).all()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    changes=st.dictionaries(st.sampled_from(list(ROW)), VALUES, min_size=1), k=st.integers(-1, 5)
)
def test_no_value_of_a_candidate_is_a_traceback(
    scorer: Scorer, changes: dict[str, Any], k: int
) -> None:
    user = {"user": "u1", "tags": ["a"], **{n: v for n, v in changes.items() if n != "item"}}
    with contextlib.suppress(ValueError):
        best = scorer.top_k(
            user, [{"item": 1, "price": 1.0, **changes}, {"item": 2, "price": 2.0}], k
        )
        assert len(best) == min(k, 2)


TABLES = st.lists(VALUES, min_size=2, max_size=2)


@settings(max_examples=EXAMPLES, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(list(ROW)), TABLES, min_size=1))
def test_no_column_is_a_traceback(scorer: Scorer, changes: dict[str, Any]) -> None:
    table = {"user": ["u1", "u2"], "item": [1, 2], "tags": [["a"], []], "price": [1.0, None]}
    with contextlib.suppress(ValueError, TypeError):
        assert np.isfinite(scorer.score_columns({**table, **changes})).all()


@pytest.mark.parametrize("name", list(ROW))
def test_a_value_that_raises_is_named(scorer: Scorer, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        scorer.score([{**ROW, name: Odd()}])
