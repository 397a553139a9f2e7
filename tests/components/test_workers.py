"""Processes of a training on this machine: started, heard, and ended together."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import time
from typing import Any

import pytest

from ranklite.components.trainer import workers
from ranklite.models import progress


def work(given: dict[str, Any]) -> None:
    """What the processes do."""
    cluster = json.loads(os.environ[workers.CLUSTER])
    rank = cluster["task"]["index"]
    pathlib.Path(given["folder"], f"{rank}.json").write_text(json.dumps([os.getpid(), cluster]))
    if given["does"] == "report":
        progress.report("epoch 1/2", 0.5, figures={"auc": 0.7})
        time.sleep(0.2)
        progress.report(f"rank {rank}", 1.0)
    elif rank != given.get("rank", rank):
        time.sleep(100)
    elif given["does"] == "fail":
        raise ValueError("the loss became nan")
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def run(folder: pathlib.Path, does: str, **given: Any) -> None:
    workers.together(f"{__name__}:work", {"folder": str(folder), "does": does, **given}, 2)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE_SECONDS", 0.5)
    monkeypatch.setenv("PYTHONPATH", os.getcwd())


def test_each_knows_the_others_and_the_first_is_heard(tmp_path: pathlib.Path) -> None:
    heard: list[progress.Report] = []
    with progress.listening(heard.append):
        run(tmp_path, "report")
    known = [json.loads((tmp_path / f"{rank}.json").read_text())[1] for rank in (0, 1)]
    assert known[0]["cluster"] == known[1]["cluster"]
    assert len(set(known[0]["cluster"]["worker"])) == 2
    assert [report.where for report in heard] == ["epoch 1/2", "rank 0"]
    assert heard[0] == progress.Report("epoch 1/2", 0.5, None, {"auc": 0.7}, False)


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("fail", "^the loss became nan$"),
        ("die", r"^worker 1 of 2 .* without a word \(ended by SIGKILL\)"),
    ],
)
def test_one_that_fails_ends_all(tmp_path: pathlib.Path, does: str, message: str) -> None:
    with pytest.raises(workers.WorkerFailed, match=message):
        run(tmp_path, does, rank=1)
    for rank in (0, 1):
        pid = json.loads((tmp_path / f"{rank}.json").read_text())[0]
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
