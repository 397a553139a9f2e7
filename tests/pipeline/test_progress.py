"""One line a stage, whatever the terminal; the logs go to the file."""

from __future__ import annotations

import io
import logging
import pathlib

import pytest
from absl import logging as absl_logging

from pipeline.progress import StageProgress, quiet_logs


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def play(out: io.StringIO, path: pathlib.Path) -> StageProgress:
    """Says what the local runner says while it runs two stages and fails in the third."""
    progress = StageProgress(3, out)
    with quiet_logs(str(path), progress, verbose=False):
        absl_logging.info("Component %s is running.", "StatisticsGen")
        logging.getLogger("tensorflow").info("Epoch 1")
        absl_logging.info("Component %s is finished.", "StatisticsGen")
        absl_logging.info("Component %s is running.", "Trainer")
        absl_logging.info("A cached execution %d is used.", 7)
        absl_logging.info("Component %s is finished.", "Trainer")
        absl_logging.info("Component %s is running.", "Pusher")
    return progress


def test_plain_lines_where_there_is_no_terminal(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = io.StringIO()
    progress = play(out, tmp_path / "run.log")
    lines = out.getvalue().splitlines()
    assert lines[0] == "[ 1/3] StatisticsGen ..."
    assert lines[1].startswith("[ 1/3] StatisticsGen")
    assert lines[1].endswith(" s")
    assert lines[3].split() == ["[", "2/3]", "Trainer", "cached"]
    assert lines[4] == "[ 3/3] Pusher ..."
    assert progress.current == "Pusher"
    assert set(progress.seconds) == {"StatisticsGen", "Trainer"}
    assert "Epoch 1" in (tmp_path / "run.log").read_text()
    captured = capfd.readouterr()
    assert "Epoch 1" not in captured.out + captured.err


def test_a_terminal_overwrites_the_line(tmp_path: pathlib.Path) -> None:
    out = Terminal()
    play(out, tmp_path / "run.log")
    assert "[ 1/3] StatisticsGen ...\r[ 1/3] StatisticsGen" in out.getvalue()


def test_the_loggers_are_as_before_afterwards(tmp_path: pathlib.Path) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, absl_logging.get_verbosity())
    with (
        pytest.raises(RuntimeError, match="stop"),
        quiet_logs(str(tmp_path / "run.log"), StageProgress(1, io.StringIO()), verbose=False),
    ):
        raise RuntimeError("stop")
    assert (list(root.handlers), root.level, absl_logging.get_verbosity()) == before


def test_trials_of_a_search_are_shown_as_they_come(tmp_path: pathlib.Path) -> None:
    out = io.StringIO()
    progress = StageProgress(1, out)
    with quiet_logs(str(tmp_path / "run.log"), progress, verbose=False):
        absl_logging.info("Component %s is running.", "BudgetSearch")
        logging.getLogger("models.search").info("trial %d, %s", 1, "narrow: AUC 0.8")
    assert out.getvalue().splitlines()[-1] == "        trial 1, narrow: AUC 0.8"
