"""Clauses of a query by a key: the rows of the plain query, and errors that say what to do."""

from __future__ import annotations

import pathlib

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.parts import divide, keyed
from ranklite.components.log_example_gen.preview import preview
from tests.divided_logs import InProcess, written
from tests.keyed_logs import SHARE_BYTES, as_plain, asked, records, write


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder)
    return folder


@pytest.fixture(autouse=True)
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed, "SHARE_BYTES", SHARE_BYTES)


GROUPS = {
    "GROUP BY": "SELECT user, max(item) AS item, count(*) % 2 AS y FROM clicks GROUP BY user",
    "its place": "SELECT max(item) AS item, user, count(*) % 2 AS y FROM clicks GROUP BY 2",
    "two columns": "SELECT user, item, bool_or(rating > 3) AS y FROM clicks GROUP BY item, user "
    "HAVING count(*) > 1",
    "GROUP BY ALL": "SELECT user, item, max(rating > 3) AS y FROM clicks GROUP BY ALL",
    "rollup": "SELECT user, item, max(rating > 3) AS y FROM clicks GROUP BY user, ROLLUP (item)",
    "DISTINCT": "SELECT DISTINCT user, item, rating > 3 AS y FROM clicks",
    "DISTINCT *": "SELECT user, item, rating > 3 AS y FROM (SELECT DISTINCT * EXCLUDE (ts) FROM "
    "clicks)",
    "DISTINCT ON": "SELECT DISTINCT ON (user, item) user, item, rating > 3 AS y FROM clicks "
    "ORDER BY user, item, ts, rating, kind",
    "QUALIFY": "SELECT user, item, rating > 3 AS y FROM clicks QUALIFY "
    "dense_rank() OVER (PARTITION BY kind, user ORDER BY ts DESC) <= 2",
    "named windows": "SELECT user, item, lag(rating, 1, 0) OVER w > 2 AS y FROM clicks WINDOW w AS "
    "(PARTITION BY user ORDER BY ts, item, rating, kind)",
    "in a subquery": "SELECT u AS user, item, n > 6 AS y FROM (SELECT user AS u, item, count(*) "
    "OVER (PARTITION BY user) AS n FROM clicks) AS s WHERE n > 2",
    "self join": "SELECT a.user, b.item, a.rating > b.rating AS y FROM clicks AS a JOIN clicks AS "
    "b ON a.user = b.user AND a.ts < b.ts",
    "USING": "SELECT user, item, n > 6 AS y FROM clicks JOIN (SELECT user, count(*) AS n FROM "
    "clicks GROUP BY user) USING (user)",
    "groups of groups": "WITH c AS (SELECT user, kind, max(item) AS item FROM clicks GROUP BY ALL) "
    "SELECT user, max(item) AS item, count(*) > 2 AS y FROM c GROUP BY user",
    "LEFT JOIN": "SELECT a.user, a.item, v.user IS NULL AS y FROM clicks AS a LEFT JOIN views AS v "
    "ON v.user = a.user AND a.item = v.item",
    "FULL JOIN": "SELECT user, coalesce(a.item, v.item) AS item, count(*) > 2 AS y FROM clicks AS "
    "a FULL JOIN views AS v USING (user) GROUP BY 1, 2",
    "RIGHT JOIN": "SELECT v.user, v.item, count(*) OVER (PARTITION BY v.user) > 9 AS y FROM clicks "
    "AS a RIGHT JOIN views AS v ON a.user = v.user",
    "NULL joins": "SELECT a.user, v.item, a.rating > 3 AS y FROM clicks AS a JOIN views AS v ON "
    "a.user IS NOT DISTINCT FROM v.user",
    "ANTI JOIN": "SELECT user, item, rating > 3 AS y FROM clicks ANTI JOIN views USING (user)",
    "ASOF": "SELECT c.user, v.item, c.rating > 3 AS y FROM (SELECT user, rating, try_cast(ts AS "
    "BIGINT) AS ts FROM clicks WHERE ts != 'never') AS c ASOF JOIN (SELECT user, ts, max(item) AS "
    "item FROM views GROUP BY user, ts) AS v ON c.user = v.user AND c.ts >= v.ts",
    "lookups of several rows": "SELECT c.user, v.item, c.rating > 3 AS y FROM clicks AS c JOIN "
    "views AS v ON c.item = v.item",
    "row by row": "SELECT user, item, rating > 3 AS y FROM clicks WHERE kind != 'view'",
    "a macro": "SELECT user, max(item) AS item, geomean(rating) > 2 AS y FROM clicks GROUP BY user",
}


@pytest.mark.parametrize("what", GROUPS)
def test_what_needs_rows_of_a_key(what: str, data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    made = asked(GROUPS[what])
    divided = as_plain(made, data, tmp_path)
    assert written(made, data, tmp_path / "again", InProcess(workers=5)) == divided


def test_a_column_that_is_not_there(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    made = asked(GROUPS["row by row"], key="usr")
    said = r"table 'clicks' has no column 'usr'; it has user, item, kind, ts, rating"
    for engine in (None, InProcess(workers=2)):
        with pytest.raises(IngestError, match=said):
            written(made, data, tmp_path / str(engine), engine)
    with pytest.raises(IngestError, match=said):
        list(preview(made, str(data)))
    assert list(preview(asked(GROUPS["LEFT JOIN"]), str(data)))


def test_types_of_keys(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Integers are the same in files that declare other ones; what is written unalike is not."""
    query = "SELECT c.n AS user, o.m AS item, o.y FROM clicks AS c JOIN others AS o ON c.n = o.m"
    tables = {"clicks": "n.csv", "others": "m.parquet"}
    (data / "n.csv").write_text("n\n" + "".join(f"{k % 40}\n" for k in range(300)))
    rows = "SELECT (k % 50){} AS m, k % 2 AS y FROM range(80) AS t(k)"
    for number, kind in enumerate(("::UTINYINT", "::HUGEINT::DECIMAL(38, 0)", "::DOUBLE")):
        path = data / "m.parquet"
        duckdb.execute(f"COPY ({rows.format(kind)}) TO '{path}' (FORMAT parquet)")
        made = asked(query, key="n", source={"tables": tables})
        if not number:
            as_plain(made, data, tmp_path / str(number))
            continue
        with pytest.raises(IngestError, match=r"clicks\.n is an integer, others\.m is D.*: a key"):
            written(made, data, tmp_path / str(number), InProcess(workers=2))


def test_large_lookups(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is joined by the key may be large."""
    monkeypatch.setattr(divide, "LOOKUP_BYTES", 500)
    written(asked(GROUPS["LEFT JOIN"]), data, tmp_path / "out", InProcess(workers=2))
    by_item = asked(GROUPS["lookups of several rows"])
    with pytest.raises(IngestError, match=r"besides 'clicks' .*Join the large ones by 'user'"):
        written(by_item, data, tmp_path / "other", InProcess(workers=2))
    plain = asked(GROUPS["row by row"], key=None)
    with pytest.raises(IngestError, match=r"by the key of the log, which source\.partition_by"):
        written(plain, data, tmp_path / "plain", InProcess(workers=2))


def test_errors_of_the_query(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    made = asked(GROUPS["GROUP BY"].replace("max(item)", "max(thing)"))
    for engine in (None, InProcess(workers=3)):
        with pytest.raises(IngestError, match=r'source\.query: .*column "thing" not found'):
            written(made, data, tmp_path / str(engine), engine)


@settings(max_examples=10, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b", "A", "ä", "a b", "0", "00"]),
            st.integers(0, 4),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=40,
    ),
    shares=st.integers(1, 7),
    workers=st.integers(1, 6),
)
def test_any_rows(
    rows: list[tuple[str, int, int]],
    shares: int,
    workers: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Windows and groups of any users, those without a name among them, are those of the log."""
    folder = tmp_path_factory.mktemp("rows")
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        lines = [f'"{user}",{item},{ts},{ts % 2}' for user, item, ts in part]
        lines += ["x,1,2,0", "y,1,2,1"]  # each split has both labels
        (folder / f"logs-{number}.csv").write_text("\n".join(["user,item,ts,y", *lines]) + "\n")
    query = (
        "SELECT *, rank() OVER (PARTITION BY user ORDER BY ts) AS nth FROM (SELECT user, item, ts, "
        "max(y) AS y, count(*) AS n FROM logs GROUP BY user, item, ts)"
    )
    features = [{"name": name, "kind": "categorical"} for name in ("user", "item", "n", "nth")]
    made = asked(
        query,
        source={"tables": {}},
        features={"features": features},
        split={"by": "files", "train": "logs-0.csv", "eval": "logs-1.csv"},
    )
    with pytest.MonkeyPatch.context() as patch:
        size = max(file.stat().st_size for file in folder.iterdir())
        patch.setattr(keyed, "SHARE_BYTES", -(-size // shares))
        divided = written(made, folder, folder / "divided", InProcess(workers=workers))
        assert written(made, folder, folder / "here", None) == divided
    source = made.source.model_copy(update={"partition_by": None})
    plain = written(made.model_copy(update={"source": source}), folder, folder / "whole", None)
    assert records(divided[0]) == records(plain[0])
