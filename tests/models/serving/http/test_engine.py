"""The threads that score: what goes together, and what a failure leaves alone."""

from __future__ import annotations

import asyncio
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import numpy as np
import pytest

from ranklite.models.export.target import UnreadableModel
from ranklite.models.serving.http.app import make_app
from ranklite.models.serving.http.endpoints import PATHS, Endpoints
from ranklite.models.serving.http.engine import Engine
from ranklite.models.serving.http.jobs import Answer, ScoreJob
from ranklite.models.serving.http.metrics import Metrics
from ranklite.models.serving.http.problems import Problem
from ranklite.models.serving.http.settings import Limits
from tests.running_server import SECONDS

FEATURES = [{"name": "x", "dtype": "float32"}]


class Halves:
    """A scorer whose score is half of `x`; it waits until it is let go."""

    metadata = {"features": FEATURES}

    def __init__(self) -> None:
        self.entered, self.go = threading.Semaphore(0), threading.Event()

    def score(self, rows: Sequence[dict[str, Any]]) -> np.ndarray[Any, Any]:
        self.entered.release()
        assert self.go.wait(SECONDS)
        values = [row["x"] for row in rows]
        if None in values:
            raise UnreadableModel("/secret/path: the kernel failed")
        return np.array([float(value) / 2 for value in values], np.float32)


def version(name: str, scorer: Halves) -> Any:
    return types.SimpleNamespace(name=name, scorers=[scorer], metadata=Halves.metadata)


@pytest.fixture
def batches() -> list[int]:
    return []


@pytest.fixture
def engine(batches: list[int]) -> Iterator[Engine]:
    engine = Engine(Limits(batch=4), batches.append)
    yield engine
    engine.close(SECONDS)


async def outcomes(
    engine: Engine, scorer: Halves, asked: Sequence[tuple[Any, list[Any]]], gone: int = -1
) -> list[Any]:
    """What comes of rows that wait while the thread is busy with a first one."""
    loop = asyncio.get_running_loop()

    def job(of: Any, values: list[Any]) -> ScoreJob:
        return ScoreJob(of, loop.create_future(), [{"x": value} for value in values])

    first = job(asked[0][0], [0])
    engine.submit(first)
    assert await asyncio.to_thread(scorer.entered.acquire, timeout=SECONDS)
    jobs = [job(of, values) for of, values in asked]
    for each in jobs:
        engine.submit(each)
    assert engine.waiting == len(jobs)
    if gone >= 0:
        jobs[gone].future.cancel()
    scorer.go.set()
    futures: list[asyncio.Future[Answer]] = [each.future for each in (first, *jobs)]
    result = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), SECONDS)
    return result[1:]


def test_what_waits_goes_together(engine: Engine, batches: list[int]) -> None:
    scorer = Halves()
    one = version("1", scorer)
    answers = asyncio.run(outcomes(engine, scorer, [(one, [1, 2]), (one, [3]), (one, [4, 5])]))
    assert [answer["scores"] for answer in answers] == [[0.5, 1.0], [1.5], [2.0, 2.5]]
    assert batches == [1, 3, 2]  # two rows more would not fit in a batch of 4


def test_a_smaller_one_behind_fills_the_batch(engine: Engine, batches: list[int]) -> None:
    scorer = Halves()
    one = version("1", scorer)
    asyncio.run(outcomes(engine, scorer, [(one, [1, 2, 3]), (one, [4, 5]), (one, [6])]))
    assert batches == [1, 4, 2]


def test_versions_are_not_mixed(engine: Engine, batches: list[int]) -> None:
    scorer = Halves()
    old, new = version("1", scorer), version("2", scorer)
    answers = asyncio.run(outcomes(engine, scorer, [(old, [1]), (new, [2]), (old, [3])]))
    assert [answer["version"] for answer in answers] == ["1", "2", "1"]
    assert batches == [1, 2, 1]


@pytest.mark.fault("one row of a batch of requests is wrong", "its request alone fails")
def test_a_bad_row_fails_its_own_request_alone(engine: Engine) -> None:
    scorer = Halves()
    one = version("1", scorer)
    good, bad, broken, last = asyncio.run(
        outcomes(engine, scorer, [(one, [1]), (one, ["x"]), (one, [None]), (one, [4])])
    )
    assert (good["scores"], last["scores"]) == ([0.5], [2.0])
    assert isinstance(bad, Problem)
    assert bad.errors[0]["pointer"] == "/rows/0/x"
    assert isinstance(broken, UnreadableModel)


def test_nobody_is_scored_who_left(engine: Engine, batches: list[int]) -> None:
    scorer = Halves()
    one = version("1", scorer)
    answers = asyncio.run(outcomes(engine, scorer, [(one, [1]), (one, [2]), (one, [3])], gone=1))
    assert answers[2]["scores"] == [1.5]
    assert batches == [1, 2]


def test_a_closed_engine_ends_its_threads(batches: list[int]) -> None:
    engine = Engine(Limits(threads=3), batches.append)
    engine.close(SECONDS)
    assert not any(thread.name.startswith("scorer-") for thread in threading.enumerate())


def asked(scorer: Halves, rows: list[dict[str, Any]], limits: Limits) -> httpx.Response:
    """The answer of a server whose version is this scorer."""
    metrics = Metrics(PATHS)
    engine = Engine(limits, metrics.batch)
    releases: Any = types.SimpleNamespace(current=version("1", scorer))
    app = make_app(Endpoints(releases, engine, metrics, limits), metrics)

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/score", json={"rows": rows})

    try:
        return asyncio.run(post())
    finally:
        scorer.go.set()
        engine.close(SECONDS)


def test_a_failure_shows_nothing_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    scorer = Halves()
    scorer.go.set()
    answer = asked(scorer, [{"x": None}], Limits())
    assert answer.status_code == 500
    assert answer.json()["detail"] == "the server failed; its log says how"
    assert "secret" not in answer.text
    assert "/secret/path: the kernel failed" in caplog.text


def test_scores_are_not_waited_for_forever() -> None:
    answer = asked(Halves(), [{"x": 1}], Limits(timeout=0.05))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["detail"] == "there were no scores within 0.05 s"
