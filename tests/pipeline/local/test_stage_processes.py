"""A stage's process: what it says, how it fails, crashes, is stopped, and ends with the first."""

from __future__ import annotations

import gc
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ranklite.models import progress
from ranklite.models.progress import Report
from ranklite.pipeline.local.stage_processes import (
    ExecutorFailed,
    StageProcesses,
    Stopped,
)

SECONDS = 20.0  # that something may take on a busy machine
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stages are forked on Linux alone")


def eventually(true: Callable[[], bool]) -> None:
    """Waits until something holds."""
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def work(given: Any) -> bytes:
    """What the tests have done."""
    kind, value = given
    if kind == "report":
        for step in range(1, value + 1):
            progress.report(f"step {step}/{value}", step / value)
    elif kind == "fail":
        raise ValueError(value)
    elif kind == "signal":
        os.kill(os.getpid(), value)
    elif kind == "exit":
        os._exit(value)
    elif kind == "wait":
        path = pathlib.Path(value)
        try:
            path.write_text("waiting")
            time.sleep(SECONDS)
        finally:
            path.write_text("tidied up")
    elif kind == "stubborn":
        pathlib.Path(value).write_text(str(os.getpid()))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        time.sleep(SECONDS)
    elif kind == "frozen":
        return str(gc.get_freeze_count()).encode()
    elif kind == "temporary":
        with tempfile.NamedTemporaryFile(delete=False) as file:
            return file.name.encode()
    return str(os.getpid()).encode()


def done(processes: StageProcesses, *given: Any) -> tuple[bytes, list[Report], list[str]]:
    """Its result, what was shown and what was said."""
    shown, said = list[Report](), list[str]()
    result = processes.run("01-Stage", given, shown.append, said.append)
    assert result.peak > 1e7
    return result.content, shown, said


@pytest.fixture
def entered(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "entered"


@pytest.fixture
def processes(entered: pathlib.Path) -> Iterator[StageProcesses]:
    with StageProcesses(work, lambda stage: entered.write_text(stage) and None, list) as made:
        yield made


def test_each_stage_has_a_process_and_a_log_of_its_own(
    processes: StageProcesses, entered: pathlib.Path
) -> None:
    first, _, _ = done(processes, "", None)
    second, _, _ = done(processes, "", None)
    assert len({first, second, str(os.getpid()).encode()}) == 3
    assert entered.read_text() == "01-Stage"


def test_a_stage_looks_for_no_garbage_in_what_all_share(processes: StageProcesses) -> None:
    count, _, _ = done(processes, "frozen", None)
    assert int(count) > len(gc.get_objects()) / 2


def test_temporary_files_go_with_a_stage(processes: StageProcesses) -> None:
    path, _, _ = done(processes, "temporary", None)
    assert path.startswith(tempfile.gettempdir().encode())
    assert not os.path.exists(path)


def test_the_last_report_arrives_however_many_there_are(processes: StageProcesses) -> None:
    _, shown, _ = done(processes, "report", 10_000)
    assert shown[-1] == Report("step 10000/10000", 1.0, None, {}, False)
    assert len(shown) < 1000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("fail", "the loss became nan"), "the loss became nan"),
        (("signal", signal.SIGSEGV), "its process was ended by SIGSEGV"),
        (("signal", signal.SIGKILL), "ended by SIGKILL: the system does so where memory runs out"),
        (("exit", 3), r"ended without a word \(exit status 3\)"),
    ],
)
@pytest.mark.fault(
    "the process of a stage fails, exits or is killed", "told as the stage's failure"
)
def test_what_goes_wrong_there_is_an_error_here(
    processes: StageProcesses, given: tuple[str, Any], message: str
) -> None:
    with pytest.raises(ExecutorFailed, match=message):
        done(processes, *given)
    assert done(processes, "", None)[0]  # the next one is none the worse


@pytest.mark.parametrize("kind", ["wait", "stubborn"])
def test_what_is_stopped_may_tidy_up_but_not_for_ever(
    processes: StageProcesses, tmp_path: pathlib.Path, kind: str
) -> None:
    path, raised = tmp_path / "state", list[BaseException]()

    def run() -> None:
        try:
            done(processes, kind, str(path))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: path.exists() and bool(path.read_text()))
    processes.stop()
    thread.join(SECONDS)
    assert [type(error) for error in raised] == [Stopped]
    assert kind == "stubborn" or path.read_text() == "tidied up"
    with pytest.raises(Stopped):
        done(processes, "", None)


@pytest.mark.fault("a run is killed by SIGKILL", "its stages end with it")
def test_a_killed_run_takes_its_stages_with_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pid"
    source = textwrap.dedent(
        f"""
        from ranklite.pipeline.local.stage_processes import StageProcesses
        from tests.pipeline.local.test_stage_processes import done, work
        with StageProcesses(work, print, list) as processes:
            done(processes, "stubborn", {str(path)!r})
        """
    )
    first = subprocess.Popen([sys.executable, "-c", source])
    eventually(lambda: path.exists() and bool(path.read_text()))
    first.kill()
    first.wait()
    pid = int(path.read_text())

    def ended() -> bool:
        try:
            status = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return True
        return status.rpartition(")")[2].split()[0] == "Z"

    eventually(ended)
