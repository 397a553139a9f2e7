"""The local runner: stages at once, the cache, a failure that stops the others."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import textwrap

import pytest

SOURCE = """
import io, logging, os, pathlib, sys, time
from absl import logging as absl_logging
import ranklite.models
from tfx import types
from tfx.dsl.component.experimental.annotations import OutputArtifact, InputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import Model
from ranklite.pipeline.local.dag_runner import DagRunner, execute
from ranklite.pipeline.local.progress import Display
from ranklite.pipeline.local.stage_processes import StageProcesses
from ranklite.pipeline.local.stages import Stages

absl_logging.use_absl_handler()
logging.getLogger().setLevel(logging.INFO)
absl_logging.set_verbosity(absl_logging.INFO)
folder, jobs, mode = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def meet(own, other):
    (folder / own).write_text(str(os.getpid()))
    until = time.monotonic() + 30
    if mode == "alone":
        time.sleep(1)
        assert not (folder / other).exists() or (folder / f"{other}.ended").exists()
        (folder / f"{own}.ended").touch()
    while jobs and mode != "alone" and not (folder / other).exists():
        assert time.monotonic() < until, "nobody else runs"
        time.sleep(0.01)


@component
def First(out: OutputArtifact[Model]):
    pathlib.Path(out.uri).mkdir(parents=True, exist_ok=True)
    pathlib.Path(out.uri, "weights").write_bytes(bytes(1000))


@component
def Left(given: InputArtifact[Model]):
    meet("left", "right")


@component
def Right(given: InputArtifact[Model], mode: Parameter[str]):
    meet("right", "left")
    if mode == "fail":
        raise ValueError("no good")
    if mode == "crash":
        os.abort()


def pipeline():
    first = First()
    given = first.outputs["out"]
    return Pipeline(
        pipeline_name="small", pipeline_root=str(folder / "root"), enable_cache=True,
        components=[first, Left(given=given), Right(given=given, mode=mode)],
        metadata_connection_config=sqlite_metadata_connection_config(str(folder / "store")),
    )

out = io.StringIO()
stages = Stages(3, Display(out, live=False))
compiled = pipeline()
try:
    if jobs:
        with StageProcesses(execute, lambda log: None, lambda: None) as processes:
            with stages.watching():
                alone = ["Right"] if mode == "alone" else []
                DagRunner(stages, print, processes, jobs, alone).run(compiled)
    else:
        with stages.watching():
            DagRunner(stages, print).run(compiled)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
print(out.getvalue(), stages.failed, os.getpid())
"""


def ran(folder: pathlib.Path, jobs: int, mode: str = "pass") -> list[str]:
    """What a small pipeline prints."""
    path = folder / "small.py"
    path.write_text(textwrap.dedent(SOURCE))
    command = [sys.executable, str(path), str(folder), str(jobs), mode]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.slow
def test_stages_that_do_not_wait_for_each_other_run_at_once(tmp_path: pathlib.Path) -> None:
    printed = ran(tmp_path, 2)
    pids = {(tmp_path / side).read_text() for side in ("left", "right")}
    assert len({*pids, printed[-1].split()[-1]}) == 3
    assert printed[0] == "[ 1/3] First ..."
    assert sum(line.endswith(" s") for line in printed) == 3
    printed = ran(tmp_path, 0)
    assert sum(line.endswith("cached") for line in printed) == 3  # in one process or in several


@pytest.mark.slow
def test_what_times_something_runs_alone(tmp_path: pathlib.Path) -> None:
    printed = ran(tmp_path, 2, "alone")
    assert sum(line.endswith(" s") for line in printed) == 3, printed


@pytest.mark.slow
def test_one_process_runs_them_one_after_the_other(tmp_path: pathlib.Path) -> None:
    printed = ran(tmp_path, 0)
    assert "01-First" in printed
    pids = {(tmp_path / side).read_text() for side in ("left", "right")}
    assert pids == {printed[-1].split()[-1]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "words"), [("fail", "no good"), ("crash", "its process was ended by SIGABRT")]
)
@pytest.mark.fault("a stage raises or aborts", "told with its cause")
def test_the_stage_that_fails_is_named(tmp_path: pathlib.Path, mode: str, words: str) -> None:
    printed = ran(tmp_path, 2, mode)
    assert printed[0] == f"ExecutorFailed: {words}"
    assert "('Right', '03-Right')" in printed[-1] or "('Right', '02-Right')" in printed[-1]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [0, 2])
@pytest.mark.fault(
    "an artifact that the cache would serve is damaged or gone",
    "put aside and made again by the same command",
)
def test_what_is_damaged_is_put_aside_and_made_again(tmp_path: pathlib.Path, jobs: int) -> None:
    ran(tmp_path, jobs)
    (weights,) = (tmp_path / "root").glob("First/out/*/weights")
    weights.write_bytes(bytes(999) + b"1")
    printed = ran(tmp_path, jobs)
    aside = weights.parent.with_name(weights.parent.name + ".damaged")
    (line,) = (line for line in printed if "damaged:" in line)
    assert line.strip() == (
        f"{weights} is damaged: it has 1000 bytes as it should, but others; "
        f"it was put aside as {aside}; made again"
    )
    assert (aside / "weights").read_bytes()[-1:] == b"1"
    assert sum(line.endswith(" s") for line in printed) == 3, "nothing was made of it"
    printed = ran(tmp_path, jobs)
    assert sum(line.endswith("cached") for line in printed) == 3
    (again,) = (tmp_path / "root").glob("First/out/[0-9]/weights")
    again.parent.rename(tmp_path / "lost")
    printed = ran(tmp_path, jobs)
    assert sum(line.endswith(" s") for line in printed) == 3
