"""The command that kills runs: when it does, what it looks at, and what it calls the same."""

from __future__ import annotations

import pathlib
import signal
import sys
import time
from typing import Any

import pytest

from benchmarks import kills
from benchmarks.killed_runs import Chain, Moment, Run, moments
from benchmarks.kills import Kill, differences, document, write
from ranklite.models.serving.versions import write_version

TOOK = {"LogExampleGen": 2.0, "Gate": 0.1, "SettingsSearch": 9.0, "Pusher": 0.2}
SCRIPT = """
import time
print("[ 1/3] First ...", flush=True)
print("[ 1/3] First        cached", flush=True)
print("[ 2/3] Second ...", flush=True)
print("[ 2/3] Second       1.5 s  rows 3", flush=True)
print("[ 3/3] Third ...", flush=True)
time.sleep(60)
"""


def test_every_stage_and_every_file_has_its_moment() -> None:
    made = moments(TOOK, 14)
    assert len(made) == 14
    assert list(dict.fromkeys(moment.stage for moment in made)) == list(TOOK)
    assert {(m.stage, m.share) for m in made if not m.files} >= {
        ("LogExampleGen", 0.5),
        ("Gate", 0.0),
        ("SettingsSearch", 0.5),
        ("SettingsSearch", 0.9),
        ("Pusher", 0.0),
    }
    assert sum(bool(moment.files) for moment in made) == 4  # two trials, a push, a version
    assert all(m.seconds == pytest.approx(m.share * TOOK[m.stage]) for m in made)
    with pytest.raises(ValueError, match="7 kills are too few for 4 stages: 8"):
        moments(TOOK, 7)


def test_a_run_tells_its_stages_and_is_killed() -> None:
    run = Run([sys.executable, "-c", SCRIPT])
    until = time.monotonic() + 60
    while "Third" not in run.begun and time.monotonic() < until:
        time.sleep(0.01)
    assert run.code is None
    run.kill()
    assert run.code == -signal.SIGKILL
    assert list(run.begun) == ["First", "Second", "Third"]
    assert list(run.ended) == ["First", "Second"]
    assert run.ended["First"] == 0
    assert run.running == ["Third"]


def version(folder: pathlib.Path, **changes: Any) -> str:
    """Pushes a version that looks like one of a run."""
    model = {"created": "today", "lineage": {"execution": 7}, "auc": 0.7} | changes
    report = {"stages": {"shipped": {"latency_1_us": 3.0, "auc": 0.7}}} | changes.pop("report", {})
    files = {"report.html": b"run 7", "clients/a.js": changes.pop("client", b"code")}
    content = changes.pop("content", b"weights")
    documents = {"model": {k: v for k, v in model.items() if k in ("created", "lineage", "auc")}}
    return write_version(
        str(folder), {"model.tflite": content}, documents | {"report": report}, files=files
    )


def test_clocks_and_counters_may_differ_and_nothing_else(tmp_path: pathlib.Path) -> None:
    first = version(tmp_path / "a")
    later = {"created": "tomorrow", "lineage": {"execution": 99}}
    slower = {"stages": {"shipped": {"latency_1_us": 9.0, "auc": 0.7}}}
    assert differences(first, version(tmp_path / "b", **later, report=slower)) == []
    worse = {"stages": {"shipped": {"latency_1_us": 3.0, "auc": 0.6}}}
    other = version(tmp_path / "c", auc=0.6, report=worse, client=b"other", content=b"w")
    assert differences(first, other) == [
        "clients/a.js differs",
        "model.json differs in auc",
        "model.tflite differs",
        "report.json differs in stages",
    ]
    pathlib.Path(other, "clients/a.js").unlink()
    assert "clients/a.js is in one of them only" in differences(first, other)


def test_a_reader_sees_what_is_not_whole(tmp_path: pathlib.Path) -> None:
    chain = Chain(tmp_path, "runs")
    folder = tmp_path / "runs" / kills.NAME / "pushed"
    pushed = version(folder)
    chain._look()
    assert (chain.wrong, chain.version) == ([], pushed)
    pathlib.Path(pushed, "model.tflite").write_bytes(b"weigh")
    chain._look()
    assert len(chain.wrong) == 1
    assert "a reader saw a version that is not whole" in chain.wrong[0]


def test_a_stage_that_is_faster_is_met_as_it_ends(tmp_path: pathlib.Path) -> None:
    chain, now = Chain(tmp_path, "runs"), time.monotonic()
    half = Moment("Trainer", seconds=30.0, share=0.5)
    assert not chain._is_there(half, now, ended=False)
    assert chain._is_there(half, now, ended=True)
    assert chain._is_there(half, now - 31, ended=False)
    pushing = Moment("Pusher", files="pushed/.pushing-*", count=1)
    assert not chain._is_there(pushing, now, ended=True)
    (tmp_path / "runs" / kills.NAME / "pushed" / ".pushing-x").mkdir(parents=True)
    assert chain._is_there(pushing, now, ended=False)


def test_the_table_takes_its_place(tmp_path: pathlib.Path) -> None:
    made = [
        Kill("settings", Moment("Trainer", 1.0, 0.5), ["Trainer"], 7),
        Kill("settings", Moment("Trainer", 1.8, 0.9), ["Trainer", "Exporter.float"], 7),
        Kill("settings", Moment("Pusher", files="pushed/[0-9]*", count=1), [], 19),
    ]
    table = document(made, [])
    assert "| settings | Trainer | 2 | 50%, 90% | Exporter.float, Trainer |" in table
    assert "| settings | Pusher | 1 | 1 of [0-9]* | none |" in table
    assert table.endswith("3 kills: every chain of restarts pushed one version, the same bytes.")
    assert "3 kills: lost." in document(made, ["lost"])
    path = tmp_path / "page.md"
    path.write_text(f"# Page\n\n{kills.BEFORE}old\n{kills.BEHIND}rest\n")
    for _ in range(2):
        write(str(path), table)
        text = path.read_text()
        assert text == f"# Page\n\n{kills.BEFORE}{table}\n{kills.BEHIND}rest\n"
    path.write_text("# Page\n")
    with pytest.raises(ValueError, match="lacks the lines"):
        write(str(path), table)
