"""A new version is taken while requests go on, and a bad one is not."""

from __future__ import annotations

import collections
import json
import os
import pathlib
import shutil
import threading
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ranklite.models.serving import trial
from ranklite.models.serving.http.loaded import Refused, tried
from ranklite.models.serving.http.metrics import Metrics
from ranklite.models.serving.http.releases import Releases
from ranklite.models.serving.http.settings import Limits
from ranklite.models.serving.scorer import Scorer
from ranklite.models.serving.versions import write_version
from tests.pushed_model import ROW
from tests.running_server import RunningServer, running, until

BODY = {"rows": [ROW, {**ROW, "item": None}]}
RANK = {"user": {"user": "u1", "price": 1.5}, "candidates": [{"item": 1, "tags": "a"}] * 9}


def add(folder: pathlib.Path, version: pathlib.Path, keep: int | None = None) -> str:
    """Pushes a copy of a version; returns its name."""
    model = (version / "model.tflite").read_bytes()
    about = json.loads((version / "model.json").read_text())
    made = write_version(str(folder), {"model.tflite": model}, {"model": about}, keep)
    return os.path.basename(made)


class Load:
    """Clients that ask without a pause, and what they were told."""

    def __init__(self, server: RunningServer, clients: int = 4) -> None:
        self.answers: list[tuple[str, int, Any]] = []
        self._server, self._ends = server, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(k,)) for k in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        path, body = ("/rank", RANK) if number % 2 else ("/score", BODY)
        while not self._ends.is_set():
            answer = self._server.client.post(path, json=body)
            self.answers.append((path, answer.status_code, answer.json()))

    def hears(self, version: str) -> None:
        """Waits until a version has answered both kinds of requests."""
        begin = len(self.answers)

        def answered() -> bool:
            new = [a for a in self.answers[begin:] if a[2].get("version") == version]
            return {path for path, _, _ in new} == {"/score", "/rank"}

        until(answered)


@pytest.mark.fault("versions change while requests come", "no request fails")
def test_no_request_fails_while_versions_change(
    pushed: pathlib.Path, other: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    add(tmp_path, pushed)
    with running(str(tmp_path), "--poll", "0.05") as server, Load(server) as load:
        load.hears("1")
        assert add(tmp_path, other) == "2"
        assert server.event("swapped")["before"] == "1"
        load.hears("2")
        assert write_version(str(tmp_path), {"model.tflite": b"damaged"}, {"model": {}})[-1] == "3"
        refused = server.event("refused")
        assert refused["version"] == "3"
        load.hears("2")
        add(tmp_path, pushed)
        server.event("swapped")
        load.hears("4")
        # The version served is taken back: the one before it follows.
        (tmp_path / "4").rename(tmp_path / ".gone")
        server.event("swapped")
        load.hears("2")
        text = server.client.get("/metrics").text
    statuses = collections.Counter(status for _, status, _ in load.answers)
    assert set(statuses) == {200}
    assert statuses[200] > 50
    assert [line["version"] for line in server.log if line["event"] == "refused"] == ["3"]
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["ranklite_swaps_total", "swapped"] == 3
    assert values["ranklite_swaps_total", "refused"] == 1
    assert values["ranklite_model_info", "2"] == 1
    assert ("ranklite_model_info", "1") not in values
    # Each answer is that of the version which it names.
    expected = {"1": pushed, "2": other, "4": pushed}
    scores = {name: Scorer(str(path)).score(BODY["rows"]) for name, path in expected.items()}
    assert abs(scores["1"] - scores["2"]).max() > 1e-3
    for path, _, document in load.answers:
        if path == "/score":
            np.testing.assert_allclose(
                document["scores"], scores[document["version"]], rtol=1e-6, atol=0
            )


@pytest.mark.slow
def test_many_swaps_under_load_while_old_versions_are_removed(
    pushed: pathlib.Path, other: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    add(tmp_path, other)
    options = ("--poll", "0.02", "--threads", "2")
    with running(str(tmp_path), *options) as server, Load(server, clients=8) as load:
        for number in range(2, 17):
            add(tmp_path, other if number % 2 else pushed, keep=1)
            assert server.event("swapped")["version"] == str(number)
            load.hears(str(number))
        assert os.listdir(tmp_path / "16")
        assert not (tmp_path / "15").exists()
    assert {status for _, status, _ in load.answers} == {200}
    assert {document["version"] for _, _, document in load.answers} >= {
        str(k) for k in range(2, 17)
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(())


def test_the_newest_that_loads_is_served_from_the_start(
    pushed: pathlib.Path, tmp_path: pathlib.Path, metrics: Metrics
) -> None:
    add(tmp_path, pushed)
    write_version(str(tmp_path), {"model.tflite": b"damaged"}, {"model": {"features": []}})
    releases = Releases(str(tmp_path), Limits(), metrics)
    assert releases.current.name == "1"
    releases.look()
    assert releases.current.name == "1"


def test_a_version_that_was_replaced_is_another(
    pushed: pathlib.Path, other: pathlib.Path, tmp_path: pathlib.Path, metrics: Metrics
) -> None:
    add(tmp_path, pushed)
    releases = Releases(str(tmp_path), Limits(), metrics)
    before = releases.current
    releases.look()
    assert releases.current is before
    shutil.rmtree(tmp_path / "1")
    releases.look()
    assert releases.current is before  # it goes on without its folder
    add(tmp_path, other)
    releases.look()
    assert releases.current.name == "1"
    assert releases.current.scorers[0].score([ROW]) != before.scorers[0].score([ROW])


def test_one_version_is_not_watched(
    pushed: pathlib.Path, tmp_path: pathlib.Path, metrics: Metrics
) -> None:
    add(tmp_path, pushed)
    releases = Releases(str(tmp_path / "1"), Limits(threads=2), metrics)
    assert (releases.current.name, len(releases.current.scorers)) == ("1", 2)
    releases.look()
    assert releases.current.name == "1"


def test_without_a_version_there_is_no_server(tmp_path: pathlib.Path, metrics: Metrics) -> None:
    with pytest.raises(FileNotFoundError, match="no pushed model in"):
        Releases(str(tmp_path), Limits(), metrics)
    write_version(str(tmp_path), {"model.tflite": b"damaged"}, {"model": {"features": []}})
    with pytest.raises(Refused, match=r"no version in .* can be served: 1: UnreadableModel"):
        Releases(str(tmp_path), Limits(), metrics)


def test_a_version_has_to_score_in_time(
    pushed: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_SECONDS", 0.001)
    with pytest.raises(Refused, match=r"takes more than 0\.001 s"):
        tried(str(pushed), Limits())


def test_a_file_that_ends_its_process_does_not_end_the_server(
    pushed: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(  # only a new process runs it
        "import os\nfrom ranklite.models.export.tflite_runtime import LiteModel\n"
        "LiteModel.__init__ = lambda *arguments: os.abort()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Refused, match=r"crashes the tflite runtime \(SIGABRT\)"):
        tried(str(pushed), Limits())
