"""What the server answers: scores, rankings, and the reason where there is none."""

from __future__ import annotations

import http
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from ranklite.models.serving.scorer import Scorer
from tests.models.serving.test_history import events, scorer  # noqa: F401
from tests.pushed_model import ROW
from tests.running_server import RunningServer, running

USER = {"user": "u1", "price": 1.5}
CANDIDATES = [{"item": k, "tags": ["a"] if k % 2 else "a|b"} for k in range(5)]
LIMITS = ("--max-rows", "600", "--max-body", "50000")


@pytest.fixture(scope="module")
def server(pushed: pathlib.Path) -> Iterator[RunningServer]:
    with running(str(pushed.parent), *LIMITS, "--access-log") as server:
        yield server


@pytest.fixture(scope="module")
def server_of_past(scorer: Scorer) -> Iterator[RunningServer]:  # noqa: F811
    with running(scorer.path) as server:
        yield server


def test_rows_get_the_scores_that_the_scorer_gives(
    server: RunningServer, pushed: pathlib.Path
) -> None:
    rows: list[dict[str, Any]] = [
        ROW,
        {"user": None, "item": "3", "tags": None, "price": None, "other": [1]},
        {"user": "ü\u00e9\u4e2d\U0001f600", "item": 2**63 - 1, "tags": [], "price": 1e30},
    ]
    answer = server.post("/score", {"rows": rows})
    assert answer["version"] == "1"
    np.testing.assert_array_equal(np.float32(answer["scores"]), Scorer(str(pushed)).score(rows))
    assert server.post("/score", {"rows": []})["scores"] == []
    many = server.post("/score", {"rows": [ROW] * 600})["scores"]
    np.testing.assert_allclose(many, answer["scores"][0], rtol=1e-6)


def test_candidates_are_ranked_as_the_scorer_ranks_them(
    server: RunningServer, pushed: pathlib.Path
) -> None:
    answer = server.post("/rank", {"user": USER, "candidates": CANDIDATES, "k": 3})
    best = Scorer(str(pushed)).top_k(USER, CANDIDATES, 3)
    assert [(place["index"], place["score"]) for place in answer["ranking"]] == best
    assert answer["version"] == "1"
    whole = server.post("/rank", {"user": USER, "candidates": CANDIDATES})["ranking"]
    assert len(whole) == len(CANDIDATES)
    assert server.post("/rank", {"user": {}, "candidates": []})["ranking"] == []


def test_a_history_is_sent_as_events(
    server_of_past: RunningServer,
    scorer: Scorer,  # noqa: F811
) -> None:
    history, time = scorer.history(), 1e9 + 4100
    events(history)
    candidates = [{"item": item, "tags": tags} for item in (1, 2, 5, 42) for tags in ("a", "b|a")]
    sent = [
        {"row": {"item": item, "tags": "a"}, "time": 1e9 + seconds, "outcome": outcome}
        for seconds, item, outcome in ((0, 1, 1), (10, 2, 0), (10, 5, 1), (4000, 70000, 0))
    ]
    body = {"user": {}, "candidates": candidates, "k": 8, "history": sent, "time": time}
    ranking = server_of_past.post("/rank", body)["ranking"]
    expected = scorer.top_k({}, candidates, 8, history=history, time=time)
    assert [(place["index"], place["score"]) for place in ranking] == expected
    plain = server_of_past.post("/rank", {**body, "history": None})["ranking"]
    assert plain != ranking


WHOLE = (
    "a whole number from -2^63 + 1 to 2^63 - 1, as a number or as text; null where it is missing"
)
NUMBER = "a finite number of float32, as a number or as text; null where it is missing"


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (
            [ROW, {**ROW, "item": "x"}],
            {"pointer": "/rows/1/item", "row": 1, "field": "item", "value": "x", "allowed": WHOLE},
        ),
        (
            [{**ROW, "item": "x"}, ROW, ROW],
            {"pointer": "/rows/0/item", "row": 0, "field": "item", "value": "x", "allowed": WHOLE},
        ),
        (
            [ROW] * 300 + [{**ROW, "item": 2**63}],
            {"pointer": "/rows/300/item", "row": 300, "field": "item"}
            | {"value": 2**63, "allowed": WHOLE},
        ),
        (
            [{**ROW, "price": [1]}],
            {"pointer": "/rows/0/price", "row": 0, "field": "price"}
            | {"value": "[1]", "allowed": NUMBER},
        ),
        (
            [{k: v for k, v in ROW.items() if k != "price"}],
            {"pointer": "/rows/0/price", "row": 0, "field": "price", "allowed": NUMBER},
        ),
        ([ROW, 3], {"pointer": "/rows/1", "row": 1, "value": 3, "allowed": "an object"}),
    ],
)
def test_a_bad_row_is_named(server: RunningServer, rows: list[Any], error: dict[str, Any]) -> None:
    answer = server.client.post("/score", json={"rows": rows})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"] == [error]
    assert (problem["status"], problem["title"]) == (422, http.HTTPStatus(422).phrase)
    assert error["pointer"] in problem["detail"]
    assert error["allowed"] in problem["detail"]


def test_a_number_that_is_none_is_named(server: RunningServer) -> None:
    body = '{"rows": [{"user": "a", "item": 1, "tags": null, "price": 1e999}]}'
    answer = server.client.post("/score", content=body, headers=JSON)
    [error] = answer.json()["errors"]
    assert (error["field"], error["value"]) == ("price", "inf")


@pytest.mark.parametrize(
    ("change", "pointer", "value"),
    [
        ({"user": {**USER, "price": "x"}}, "/user/price", "x"),
        ({"candidates": [{"item": 1, "tags": 3}]}, "/candidates/0/tags", 3),
        ({"candidates": [{"item": 1, "tags": "a"}, {"item": 1}]}, "/candidates/1/tags", None),
        ({"k": -1}, "/k", -1),
        ({"k": True}, "/k", True),
        ({"time": "now"}, "/time", "now"),
        ({"user": []}, "/user", "[]"),
        ({"candidates": {}}, "/candidates", "{}"),
        ({"items": []}, "/items", "[]"),
    ],
)
def test_what_is_wrong_in_a_ranking_is_named(
    server: RunningServer, change: dict[str, Any], pointer: str, value: Any
) -> None:
    body = {"user": USER, "candidates": CANDIDATES, **change}
    answer = server.client.post("/rank", json=body)
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert (error["pointer"], error.get("value")) == (pointer, value)


@pytest.mark.parametrize(
    ("history", "pointer"),
    [
        ([{"row": {"item": "x"}, "time": 1}], "/history/0/row/item"),
        ([{"row": {"item": 1}, "time": 2}, {"row": {"item": 1}, "time": 1}], "/history/1/time"),
        ([{"row": {"item": 1}, "time": 1e300}], "/history/0/time"),
        ([{"row": {"item": 1}, "time": 1, "outcome": 2}], "/history/0/outcome"),
        ([{"row": {"item": 1}}], "/history/0/time"),
        ([{"row": 1, "time": 1}], "/history/0/row"),
        ([{"row": {"item": 1}, "time": 1, "when": 1}], "/history/0/when"),
    ],
)
def test_a_bad_event_is_named(
    server_of_past: RunningServer, history: list[Any], pointer: str
) -> None:
    body = {"user": {}, "candidates": [{"item": 1, "tags": "a"}], "history": history}
    answer = server_of_past.client.post("/rank", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_model_without_a_past_takes_no_history(server: RunningServer) -> None:
    event = {"row": {"item": 1}, "time": 1}
    body = {"user": USER, "candidates": CANDIDATES, "history": [event]}
    answer = server.client.post("/rank", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "/history: the model reads nothing of the past"


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        ("{", JSON, 400, "the body is no JSON"),
        (b'{"rows": [{"user": "\xff"}]}', JSON, 400, "the body is no JSON"),
        ('{"rows": [NaN]}', JSON, 400, "NaN is no number of JSON"),
        ("[" * 40000, JSON, 400, "the body is nested too deeply"),
        ("1" * 5000, JSON, 400, "the body is no JSON"),
        ("[]", JSON, 422, "an object with rows"),
        ("{}", JSON, 422, "/rows is missing"),
        ('{"rows": 1}', JSON, 422, "a list of objects"),
        ("user,item", {"Content-Type": "text/csv"}, 415, "send application/json"),
        ("{}", {"Content-Type": ""}, 415, "the body is of no type"),
        ("{}", {**JSON, "Content-Encoding": "gzip"}, 415, "the body is compressed"),
        (" " * 50001, JSON, 413, "more than 50,000 bytes"),
        ((part for part in [b" " * 30000] * 2), JSON, 413, "more than 50,000 bytes"),
        ('{"rows": [' + ",".join(["{}"] * 601) + "]}", JSON, 413, "at most 600 are taken"),
    ],
)
def test_a_body_that_is_none_is_refused(
    server: RunningServer, content: Any, headers: dict[str, str], status: int, words: str
) -> None:
    answer = server.client.post("/score", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert (answer.headers.get("accept-post") is not None) == (
        "type" in words or "send app" in words
    )
    server.post("/score", {"rows": [ROW]})  # it goes on


def test_other_paths_and_methods(server: RunningServer) -> None:
    nowhere = server.client.get("/models")
    assert (nowhere.status_code, nowhere.json()["title"]) == (404, "Not Found")
    wrong = server.client.get("/score")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["detail"] == "this path takes POST"
    assert server.client.post("/healthz").status_code == 405


def test_it_says_that_it_runs_and_what_it_serves(server: RunningServer) -> None:
    assert server.client.get("/healthz").json() == {"status": "ok"}
    assert server.client.get("/readyz").json() == {"status": "ready", "version": "1"}


def samples(server: RunningServer) -> dict[tuple[str, ...], float]:
    """Metrics by name and the values of their labels."""
    text = server.client.get("/metrics").text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted(server: RunningServer) -> None:
    before = samples(server)
    server.post("/score", {"rows": [ROW] * 3})
    server.client.post("/score", json={"rows": [{}]})
    server.client.get("/a/path/that/nobody/knows")
    after = samples(server)

    def more(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert more("ranklite_requests_total", "/score", "200") == 1
    assert more("ranklite_requests_total", "/score", "422") == 1
    assert more("ranklite_requests_total", "other", "404") == 1
    assert more("ranklite_request_seconds_count", "/score") == 2
    assert more("ranklite_request_seconds_sum", "/score") > 0
    assert more("ranklite_batch_rows_sum") == 4
    assert after["ranklite_model_info", "1"] == 1
    assert after["ranklite_queue_length",] == after["ranklite_requests_in_flight",] == 0
    assert after["ranklite_swaps_total", "swapped"] == 0
    assert after["process_resident_memory_bytes",] > 1e6
    kind = server.client.get("/metrics").headers["content-type"]
    assert kind.startswith("text/plain; version=")
    assert kind.count("charset") == 1


def test_the_description_is_valid_and_is_of_the_model(
    server: RunningServer, server_of_past: RunningServer
) -> None:
    document = server.client.get("/openapi.json").json()
    openapi_spec_validator.validate(document)
    openapi_spec_validator.validate(server_of_past.client.get("/openapi.json").json())
    schemas = document["components"]["schemas"]
    assert schemas["Row"]["required"] == list(ROW)
    assert schemas["Row"]["properties"]["item"]["type"] == ["integer", "string", "null"]
    assert "required" not in schemas["Part"]
    past = server_of_past.client.get("/openapi.json").json()["components"]["schemas"]["Row"]
    assert past["required"] == ["item", "tags"]
    assert "may be left out" in past["properties"]["seen"]["description"]


@pytest.mark.parametrize(("path", "name"), [("/score", "Score"), ("/rank", "Rank")])
def test_the_examples_of_the_description_are_answered(
    server: RunningServer, path: str, name: str
) -> None:
    document = server.client.get("/openapi.json").json()
    [example] = document["components"]["schemas"][f"{name}Request"]["examples"]
    answer = server.post(path, example)
    for part, value in (("Request", example), ("Answer", answer)):
        reference = {"$ref": f"#/components/schemas/{name}{part}"}
        Draft202012Validator({**document, **reference}).validate(value)
    problem = server.client.post(path, json={}).json()
    Draft202012Validator({**document, "$ref": "#/components/schemas/Problem"}).validate(problem)


def test_the_access_log_says_nothing_of_who_asked(server: RunningServer) -> None:
    server.client.post("/score?token=secret", json={"rows": [ROW]})
    while (line := server.event("request"))["path"] != "/score" or line["status"] != 200:
        pass
    expected = {"time", "level", "event", "method", "path", "status", "ms", "rows", "version"}
    assert set(line) == expected
    assert "secret" not in str(server.log)
