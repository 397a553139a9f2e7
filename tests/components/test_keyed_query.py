"""What is refused of a query over a log that is divided by a key, and why."""

from __future__ import annotations

import pytest

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.keyed_query import keeps_order, keyed, shape_of
from ranklite.components.log_example_gen.source import SourceConfig

GROUP, SELF = "GROUP BY over 'clicks' without 'user'", "'clicks' with itself without an equality"
# One reason, and the queries that are refused for it.
REFUSED = {
    GROUP: """
SELECT item, count(*) FROM clicks GROUP BY item
SELECT user FROM clicks GROUP BY ROLLUP (user)
SELECT user AS u FROM clicks GROUP BY u
SELECT *, user FROM clicks GROUP BY 2
SELECT user FROM clicks GROUP BY 5
SELECT item AS user, max(ts) FROM clicks GROUP BY user
SELECT user::INTEGER AS u FROM clicks GROUP BY user::INTEGER
SELECT max(ts) FROM (SELECT user, item FROM clicks) AS a(item, user) GROUP BY user
SELECT max(ts) FROM (SELECT i.*, c.* FROM clicks AS c JOIN items AS i USING (item)) GROUP BY user
SELECT max(ts) FROM (SELECT i.*, c.user FROM clicks AS c JOIN items AS i USING (item)) GROUP BY user
SELECT max(ts) FROM (SELECT item AS user, user, ts FROM clicks) GROUP BY user
SELECT max(ts) FROM (SELECT * RENAME (user AS u, item AS user) FROM clicks) GROUP BY user
SELECT max(ts) FROM (SELECT COLUMNS('user|item') FROM clicks) GROUP BY user
WITH c(item, user) AS (SELECT user, item FROM clicks) SELECT user FROM c GROUP BY user
SELECT i.user FROM clicks AS c JOIN items AS i ON c.item = i.item GROUP BY i.user
SELECT b.user FROM clicks AS a LEFT JOIN clicks AS b ON a.user = b.user AND a.ts < b.ts GROUP BY 1
SELECT a.user FROM clicks AS a RIGHT JOIN views AS v ON a.user = v.user GROUP BY a.user
SELECT a.user FROM clicks AS a FULL JOIN views AS v USING (user) GROUP BY a.user
""",
    "GROUP BY ALL over 'clicks' without 'user'": "SELECT count(*) FROM clicks GROUP BY ALL",
    r"max\(\) over 'clicks' without GROUP BY user": "SELECT max(ts) FROM clicks",
    "HAVING over 'clicks' without GROUP BY": "SELECT user FROM clicks HAVING true",
    r"the window function lag\(\) over 'clicks' without PARTITION BY user": """
SELECT lag(ts) OVER (ORDER BY ts) FROM clicks
SELECT lag(ts) OVER (PARTITION BY 1) FROM clicks
SELECT user FROM clicks QUALIFY lag(ts) OVER (PARTITION BY item) = 1
SELECT user, lag(max(ts)) OVER (ORDER BY user) FROM clicks GROUP BY user
SELECT user, lag(n) OVER w FROM (SELECT user, count(*) AS n FROM clicks GROUP BY 1) WINDOW w AS ()
""",
    "DISTINCT over 'clicks' without 'user'": """
SELECT DISTINCT item FROM clicks
SELECT DISTINCT * EXCLUDE (user) FROM clicks
SELECT DISTINCT * EXCLUDE (c.user) FROM clicks AS c
SELECT DISTINCT * REPLACE (item AS user) FROM clicks
SELECT DISTINCT upper(user) AS user FROM clicks
""",
    "DISTINCT ON over 'clicks' without 'user'": """
SELECT DISTINCT ON (item) * FROM clicks
SELECT DISTINCT ON (user) item AS user, ts FROM clicks
""",
    "ORDER BY over 'clicks'": """
SELECT * FROM clicks ORDER BY user
SELECT DISTINCT user FROM clicks ORDER BY user
SELECT user FROM (SELECT * FROM clicks ORDER BY ts)
""",
    "LIMIT over 'clicks'": "SELECT user FROM clicks GROUP BY user LIMIT 3",
    "USING SAMPLE over 'clicks'": "SELECT * FROM clicks USING SAMPLE 10",
    "TABLESAMPLE of 'clicks'": "SELECT * FROM clicks TABLESAMPLE 10%",
    "UNION, INTERSECT or EXCEPT": """
SELECT * FROM clicks UNION ALL SELECT * FROM clicks
SELECT * FROM clicks JOIN (SELECT user FROM clicks EXCEPT SELECT user FROM views) USING (user)
WITH RECURSIVE c AS (SELECT user FROM clicks UNION SELECT user FROM c) SELECT * FROM clicks
""",
    "a subquery in an expression over 'clicks'": """
SELECT * FROM clicks WHERE user IN (SELECT user FROM clicks)
SELECT *, (SELECT max(item) FROM items) AS m FROM clicks
SELECT * FROM clicks JOIN (FROM items WHERE item IN (SELECT item FROM clicks)) USING (item)
SELECT * FROM clicks JOIN (SELECT i.* FROM items i JOIN items j ON i.x IN (FROM clicks)) USING (x)
""",
    SELF: """
SELECT * FROM clicks JOIN clicks AS b USING (item)
SELECT * FROM clicks AS a, clicks AS b WHERE a.user = b.user
SELECT * FROM clicks AS a JOIN clicks AS b ON a.user = b.user OR a.ts < b.ts
SELECT * FROM clicks AS a JOIN clicks AS b ON a.user = upper(b.user)
SELECT * FROM clicks AS a JOIN clicks AS b ON a.user = b.item
SELECT * FROM clicks AS a ASOF JOIN clicks AS b USING (item, user)
SELECT * FROM clicks JOIN (SELECT item AS user FROM clicks) USING (user)
""",
    "a FULL JOIN of 'clicks'": """
SELECT * FROM clicks FULL JOIN items USING (item)
SELECT * FROM clicks FULL JOIN views USING (item)
""",
    "a NATURAL JOIN of 'clicks'": "SELECT * FROM clicks NATURAL JOIN views",
    "a POSITIONAL JOIN of 'clicks'": "SELECT * FROM clicks POSITIONAL JOIN views",
    "a JOIN that begins with another table than 'clicks'": """
SELECT * FROM clicks JOIN (SELECT c.user FROM items JOIN clicks AS c USING (item)) USING (user)
""",
    r"random\(\) differs": "SELECT user, max(random()) FROM clicks GROUP BY user",
    "current_date differs": "SELECT *, current_date AS d FROM clicks",
    r"age\(\) differs": "SELECT *, age(ts) AS d FROM clicks",
    "does not begin with a table": """
SELECT * FROM range(5)
SELECT * FROM (VALUES (1)) AS t(user) JOIN clicks USING (user)
""",
}
EVERY = [(reason, each) for reason, text in REFUSED.items() for each in text.strip().split("\n")]


@pytest.mark.parametrize(("reason", "query"), EVERY)
def test_what_is_refused(reason: str, query: str) -> None:
    with pytest.raises(IngestError, match=reason) as refused:
        keyed(query, "user")
    assert "do by 'user' what needs several rows" in str(refused.value)
    assert "leave both `partition_by` and `engine` out" in str(refused.value)
    assert not keeps_order(SourceConfig(files="x", query=query, partition_by="user"))


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("FROM clicks JOIN views USING (user)", {"views": "user"}),
        ("FROM clicks AS c JOIN views AS v ON v.uid = c.user", {"views": "uid"}),
        ("FROM Clicks AS c SEMI JOIN Views AS v ON c.User = V.Uid AND v.x > 1", {"views": "uid"}),
        ("WITH v AS (FROM views) FROM clicks JOIN v USING (user)", {"views": "user"}),
        ("FROM clicks JOIN (SELECT user, max(x) FROM views GROUP BY 1) USING (user)",
         {"views": "user"}),
        ("FROM clicks JOIN views USING (item)", {}),
        # What is joined by another column as well is looked up.
        ("FROM clicks JOIN views USING (user) JOIN views AS w ON w.item = clicks.item", {}),
        ("FROM clicks AS c JOIN views AS v ON v.a = c.user JOIN views AS w ON w.b = c.user", {}),
        ("FROM clicks JOIN (FROM views LIMIT 5) USING (user)", {}),
        ("FROM clicks JOIN (SELECT id AS user FROM views) USING (user)", {}),
        ("FROM clicks JOIN views USING (user) JOIN tags USING (tag)", {"views": "user"}),
        ("FROM clicks JOIN tags USING (user) JOIN (FROM views LIMIT 5) USING (user)",
         {"tags": "user"}),
        ("WITH clicks AS (FROM clicks) FROM clicks", {}),
        ("SELECT user, x + 1 AS y, year(ts) - 1970 AS z, age(ts, t) AS age FROM clicks", {}),
    ],
)  # fmt: skip
def test_tables_that_are_divided(query: str, keys: dict[str, str]) -> None:
    assert keyed(query, "User") == ("clicks", (), "JOIN" in query, {"clicks": "user", **keys})


def test_without_a_key_it_is_named_where_it_helps() -> None:
    def refused(query: str) -> str:
        with pytest.raises(IngestError) as error:
            shape_of(SourceConfig(files="x", query=query))
        return str(error.value)

    for query in (
        "SELECT user FROM clicks GROUP BY user",
        "SELECT user, y FROM clicks GROUP BY ALL",
        "SELECT DISTINCT user FROM clicks",
        "SELECT lag(ts) OVER (PARTITION BY user) FROM clicks",
        "FROM clicks QUALIFY row_number() OVER (PARTITION BY user) = 1",
        "FROM clicks JOIN clicks AS b USING (user)",
        "WITH c AS (FROM clicks) FROM clicks",
    ):
        assert "divide the log by the key of that step (source.partition_by), " in refused(query)
    for query in ("FROM clicks ORDER BY ts", "FROM clicks LIMIT 5", "SELECT random() FROM clicks"):
        assert "partition_by" not in refused(query)


def test_a_key_without_a_query() -> None:
    with pytest.raises(ValueError, match=r"`partition_by` divides what a `query` reads.*history"):
        SourceConfig(files="clicks-*.csv", partition_by="user")
