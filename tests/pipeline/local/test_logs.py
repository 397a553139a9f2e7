"""What is logged lands in the file of the stage that runs, whoever logs it."""

from __future__ import annotations

import datetime
import io
import logging
import os
import pathlib
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from absl import logging as absl_logging

from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.local import runner as local_runner
from ranklite.pipeline.runs import logs
from ranklite.pipeline.runs.logs import KEPT, new_folder, newest, stage_logs
from ranklite.pipeline.runs.store import Run


def everywhere(stage: str) -> None:
    """Logs as Python, TFX, TensorFlow, a thread of Beam's and native code do."""
    logging.getLogger("ranklite.models.training.fit").info("python in %s", stage)
    absl_logging.info("absl in %s", stage)
    logging.getLogger("tensorflow").warning("tensorflow in %s", stage)
    thread = threading.Thread(target=logging.getLogger("apache_beam").info, args=("beam",))
    thread.start()
    thread.join()
    os.write(2, f"native in {stage}\n".encode())


WORDS = ("python in", "absl in", "tensorflow in", "beam", "native in")


def words(path: pathlib.Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if any(word in line for word in WORDS)]


@pytest.mark.parametrize("verbose", [False, True])
def test_every_stage_has_its_file(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], verbose: bool
) -> None:
    with stage_logs(str(tmp_path), verbose=verbose) as switching:
        for stage in ("", "01-StatisticsGen", "02-Trainer", ""):
            switching.switch(stage)
            everywhere(stage or "none")
    os.write(2, b"afterwards\n")
    shown = capfd.readouterr().err
    for file, stage, times in (
        ("00-run", "none", 2),
        ("01-StatisticsGen", "01-StatisticsGen", 1),
        ("02-Trainer", "02-Trainer", 1),
    ):
        result = words(tmp_path / f"{file}.log")
        assert len(result) == times * len(WORDS), result
        assert not [line for line in result if "beam" not in line and stage not in line]
        assert [line for line in result if line in shown] == (result if verbose else [])
    assert shown.endswith("afterwards\n")
    assert not [path for path in tmp_path.iterdir() if "afterwards" in path.read_text()]


def test_a_copy_for_the_terminal_ends_with_its_stage(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            copying.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    with stage_logs(str(tmp_path), verbose=True) as switching:
        for stage in ("01-StatisticsGen", "02-Trainer"):
            switching.switch(stage)
            # Each was waited for, and none was held open by the one after it.
            assert [process.returncode for process in copying[:-1]] == [0] * (len(copying) - 1)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_loggers_are_as_before_afterwards(
    tmp_path: pathlib.Path, error: type[BaseException]
) -> None:
    root, tensorflow = logging.getLogger(), logging.getLogger("tensorflow")

    def state() -> Any:
        levels = root.level, absl_logging.get_verbosity(), tensorflow.propagate
        return list(root.handlers), list(tensorflow.handlers), levels, os.fstat(2).st_ino

    with stage_logs(str(tmp_path), verbose=False):
        pass  # absl's handler may be new
    before, open_files = state(), len(os.listdir("/proc/self/fd"))
    with pytest.raises(error), stage_logs(str(tmp_path), verbose=True) as switching:  # noqa: PT012
        switching.switch("01-Trainer")
        raise error
    assert state() == before
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_old_folders_make_room_for_new_ones(tmp_path: pathlib.Path) -> None:
    assert newest(str(tmp_path / "none")) == str(tmp_path / "none")
    for day in range(1, KEPT + 3):
        (tmp_path / f"2026-01-{day:02}T00-00-00").mkdir()
    folder = pathlib.Path(new_folder(str(tmp_path)))
    assert folder.is_dir()
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == KEPT
    assert kept[0] == "2026-01-04T00-00-00"
    assert newest(str(tmp_path)) == str(folder)


def test_a_failure_names_the_file_of_its_stage(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Runner:
        def __init__(
            self, stages: Any, enter: Any, processes: Any, jobs: int, alone: tuple[str, ...]
        ) -> None:
            assert (processes, jobs) == (None, 0)
            self.stages, self.enter = stages, enter

        def run(self, dag: Any) -> None:
            self.enter(self.stages.begin("StatisticsGen"))
            self.stages.end("StatisticsGen")
            self.enter(log := self.stages.begin("Trainer"))
            self.stages.fail("Trainer", log)
            raise RuntimeError("the loss became nan [while running 'Map']")

    module = "ranklite.pipeline.local.dag_runner"
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(DagRunner=Runner, execute=None))
    monkeypatch.setattr(
        local_runner, "build", lambda *args: SimpleNamespace(components=["StatisticsGen"] * 3)
    )
    monkeypatch.setattr(logs, "time", SimpleNamespace(strftime=lambda form: "now"))
    config: Any = load_config(str(pathlib.Path(__file__).parents[3] / "configs/synthetic.yaml"))
    folders, out = local_runner.Folders(str(tmp_path), "shop"), io.StringIO()
    new = Run("shop", 1, datetime.datetime.now(datetime.timezone.utc), {})
    with pytest.raises(local_runner.StageFailed) as failure:
        local_runner._run(config, folders, new, "data", "", False, True, 0, out)
    file = tmp_path / "shop/logs/now/02-Trainer.log"
    assert str(failure.value).splitlines() == [
        "Trainer failed: the loss became nan",
        f"The log is {file}. Rerun the command to resume from the last completed stage.",
    ]
    assert "Traceback" in file.read_text()
    assert "the loss became nan" in file.read_text()
    assert out.getvalue().splitlines()[-1] == "[ 2/3] Trainer ..."
    assert (file.parent / "01-StatisticsGen.log").exists()
