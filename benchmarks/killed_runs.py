"""Runs that are killed at moments of a stage, or as files appear; and a reader meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from ranklite.models.serving.metadata_file import DamagedFile
from ranklite.models.serving.versions import check_version, latest_version, versions
from ranklite.pipeline.runs import verify
from ranklite.pipeline.runs.folders import Folders

ROOT = pathlib.Path(__file__).parents[1]
NAME = "kills"  # of the pipeline
LONG = 0.5  # seconds of a stage that can be met halfway
SHARES = (0.9, 0.1, 0.7, 0.3)  # of the time that a stage took undisturbed, where there is room
# Files that appear below the pipeline's folder, the stage that makes them, and how many of them.
FILES = (
    ("SettingsSearch", "artifacts/.search-*/*/trial-????????????????", 1),
    ("SettingsSearch", "artifacts/.search-*/*/trial-????????????????", 2),
    ("BudgetSearch", "artifacts/.search/*/*-????????????????", 1),
    ("BudgetSearch", "artifacts/.search/*/*-????????????????", 3),
    ("Pusher", "pushed/.pushing-*", 1),
    ("Pusher", "pushed/[0-9]*", 1),
)
PATIENCE = 900.0  # seconds that a run may take
_LINE = re.compile(r"^\[ *\d+/\d+\] (\S+) +(\.\.\.$|cached|\d+\.\d s)")


@dataclasses.dataclass(frozen=True)
class Moment:
    """When a run is killed.

    Attributes:
      stage: Name of the stage.
      seconds: After it began.
      share: The same as a share of the time that it took undisturbed.
      files: Pattern below the pipeline's folder; empty where the clock says when.
      count: How many files it matches by then.
    """

    stage: str
    seconds: float = 0.0
    share: float = 0.0
    files: str = ""
    count: int = 0

    def __str__(self) -> str:
        if self.files:
            return f"{self.count} of {self.files.rpartition('/')[2]}"
        return f"{self.share:.0%}" if self.share else "as it began"


def moments(took: Mapping[str, float], number: int) -> list[Moment]:
    """So many moments over all stages, in their order.

    Every stage is there once, halfway or, where it is short, as it begins; so is every file. What
    is left goes to further shares of the stages that take longest.

    Args:
      took: Seconds of each stage, in order.
      number: How many moments.

    Raises:
      ValueError: There are more stages and files than that.
    """
    long = {stage: seconds for stage, seconds in took.items() if seconds >= LONG}
    longest = sorted(long, key=long.__getitem__, reverse=True)

    def at(stage: str, share: float) -> Moment:
        return Moment(stage, share * took[stage], share)

    made = [at(stage, 0.5 if stage in long else 0.0) for stage in took]
    made += [Moment(s, files=files, count=count) for s, files, count in FILES if s in took]
    if len(made) > number:
        raise ValueError(f"{number} kills are too few for {len(took)} stages: {len(made)}")
    made += [at(stage, share) for share in SHARES for stage in longest]
    order = list(took)
    return sorted(made[:number], key=lambda m: (order.index(m.stage), m.seconds or m.count))


class Run:
    """A run as a group of processes of its own, and the stages that it says it begins and ends.

    Args:
      command: Its command line.

    Attributes:
      begun: When each stage began, by name, in order.
      ended: Seconds of each that ended, by name; 0 of one that the cache served.
      printed: Its lines.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.begun: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.printed: list[str] = []
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.printed.append(line.rstrip())
            if found := _LINE.match(self.printed[-1]):
                stage, words = found.groups()
                now = time.monotonic()
                if words == "...":
                    self.begun.setdefault(stage, now)
                else:
                    self.ended[stage] = 0.0 if words == "cached" else now - self.begun[stage]

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended and all of its words are read; None before that."""
        if self._process.poll() is not None:
            self._reader.join()
        return self._process.returncode

    @property
    def running(self) -> list[str]:
        """Stages that have begun and not ended."""
        return [stage for stage in list(self.begun) if stage not in self.ended]

    def kill(self) -> None:
        """Ends all of its processes at once; there is nothing to kill where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()


class Chain:
    """Runs in one folder, each killed at the next moment.

    Args:
      folder: With `config.yaml` and the log's folder `data`.
      runs: Name of the folder for its runs.

    Attributes:
      wrong: What did not hold, in words.
      looks: How often the folder of versions was looked into.
    """

    def __init__(self, folder: pathlib.Path, runs: str) -> None:
        self.wrong: list[str] = []
        self.looks = 0
        self._folders = Folders(str(folder / runs), NAME)
        self._command = [sys.executable, "-m", "ranklite", "run"]
        for option, value in (("config", "config.yaml"), ("data", "data"), ("runs", runs)):
            self._command += [f"--{option}", str(folder / value)]

    @property
    def version(self) -> str:
        """Folder of the version that was pushed last."""
        return latest_version(self._folders.pushed) or ""

    def until(self, moment: Moment) -> Run:
        """A run that was killed at a moment, or that ended before it."""
        run = Run(self._command)
        for _ in self._watched(run):
            began = run.begun.get(moment.stage)
            if began is not None and self._is_there(moment, began, moment.stage in run.ended):
                break
        run.kill()
        self._look()
        return run

    def to_the_end(self) -> Run:
        """A run that nothing disturbs, which has to push, and what it made looked at."""
        run = Run(self._command)
        for _ in self._watched(run):
            pass
        if run.code != 0:
            tail = "\n".join(run.printed[-20:])
            self.wrong.append(f"the run ended with {run.code}:\n{tail}")
            return run
        if len(versions(self._folders.pushed)) != 1:
            self.wrong.append(f"versions {versions(self._folders.pushed)} were pushed, and not 1")
        self.wrong += [line for each in verify.of_pipeline(self._folders) for line in each.wrong]
        return run

    def _watched(self, run: Run) -> Iterator[None]:
        """While a run goes on, a few hundred times a second; the push folder is looked into."""
        started = time.monotonic()
        while run.code is None:
            if time.monotonic() - started > PATIENCE:
                self.wrong.append(f"{run.running} took longer than {PATIENCE:.0f} s")
                run.kill()
                return
            self._look()
            yield
            time.sleep(0.001 if "Pusher" in run.begun else 0.01)

    def _is_there(self, moment: Moment, began: float, ended: bool) -> bool:
        """Whether it has come; a stage that was faster this time is met as it ends."""
        if not moment.files:
            return ended or time.monotonic() - began >= moment.seconds
        found = pathlib.Path(self._folders.pushed).parent.glob(moment.files)
        return len(list(found)) >= moment.count

    def _look(self) -> None:
        """What a reader of the folder of versions sees has to be whole."""
        self.looks += 1
        for number in versions(self._folders.pushed):
            try:
                check_version(os.path.join(self._folders.pushed, str(number)))
            except (DamagedFile, OSError, ValueError) as error:
                self.wrong.append(f"a reader saw a version that is not whole: {error}")
