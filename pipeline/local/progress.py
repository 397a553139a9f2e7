"""Says which stage runs, how long it has taken, how far it is, and whether it was cached."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TextIO

from ranklite.models import progress
from ranklite.models.progress import Report
from ranklite.pipeline.local.beam_progress import counted

DRAW_SECONDS = 0.2  # how often the line on a terminal is drawn anew
PLAIN_SECONDS = 30.0  # how often a long stage says something where there is no terminal
EVIDENCE_SECONDS = 1.0  # an estimate from less would jump about
WORDS = 44  # columns that the words of a report keep before figures make room for them
FEWEST_WORDS = 12  # columns below which they say nothing


class _Seen(NamedTuple):
    """The last report, and what an estimate needs.

    Attributes:
      report: The last one.
      at: When `share` became what it is.
      base_at: When it was first heard of.
      base_share: What it was then.
    """

    report: Report
    at: float
    base_at: float
    base_share: float

    @classmethod
    def after(cls, before: _Seen | None, report: Report, now: float) -> _Seen:
        """Starts a new estimate where less is done than before: something else has begun."""
        share = report.share
        if before is None or before.report.share is None or share is None:
            return cls(report, now, now, share or 0.0)
        if share < before.report.share:
            return cls(report, now, now, share)
        at = before.at if share == before.report.share else now
        return cls(report, at, before.base_at, before.base_share)

    def seconds_left(self, now: float) -> float | None:
        """Time that is left if it goes on as it went, or None where that is not known."""
        share, took = self.report.share, self.at - self.base_at
        if share is None or share <= self.base_share or took < EVIDENCE_SECONDS:
            return None
        left = took * (1 - share) / (share - self.base_share) - (now - self.at)
        return left if left > 0 else None


class Display:
    """Shows one stage after the other.

    On a terminal the stage that runs has one line, drawn anew while it runs; elsewhere a stage has
    a line when it begins, one when it ends, and one every `PLAIN_SECONDS`.

    Args:
      out: Where the lines go.
      live: Whether that is a terminal to draw on.
      clock: Seconds that only ever grow.
    """

    def __init__(
        self, out: TextIO, *, live: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out, self._live, self._clock = out, live, clock
        self._lock = threading.RLock()  # stages end in one thread, the clock ticks in another
        self._stage: str | None = None
        self._started = self._told = 0.0
        self._seen: _Seen | None = None
        self._drawn = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Listens to what the stages report, and ticks."""
        stop = threading.Event()

        def tick() -> None:
            while not stop.wait(DRAW_SECONDS):
                self.tick()

        thread = threading.Thread(target=tick, name="progress", daemon=True)
        thread.start()
        try:
            with progress.listening(self.show):
                yield
        finally:
            stop.set()
            thread.join()
            if self._drawn:  # a stage that failed: how far it came stays
                self._write("\n")

    def show(self, report: Report) -> None:
        """Remembers how far the stage is; called for every step, so nothing is drawn here."""
        self._seen = _Seen.after(self._seen, report, self._clock())

    def begin(self, stage: str) -> None:
        """Another stage runs; its name may end in blanks, which align what follows."""
        with self._lock:
            self._stage, self._seen = stage, None
            self._started = self._told = self._clock()
            if self._live:
                self._draw()
            else:
                self._write(f"{stage.rstrip()} ...\n")

    def end(self, cached: bool = False) -> float:
        """The stage is finished; returns its seconds."""
        with self._lock:
            seconds = self._clock() - self._started
            took = "cached" if cached else f"{seconds:.1f} s"
            figures = _figures(self._seen.report) if self._seen and not cached else []
            self.say("  ".join([f"{self._stage} {took:>8}", *figures]), stays=False)
            self._stage = None
            return seconds

    def say(self, text: str, *, stays: bool = True) -> None:
        """Writes a line, above that of the stage if this one stays."""
        with self._lock:
            self._write(self._over(text) + "\n")
            if self._live and stays and self._stage is not None:
                self._draw()

    def tick(self) -> None:
        """Shows how far the stage is, if that is due."""
        with self._lock:
            if self._stage is None:
                return
            if self._live:
                self._draw()
            elif self._clock() - self._told >= PLAIN_SECONDS:
                self._told = self._clock()
                self._write(self._line(" ...", None) + "\n")

    def _line(self, mark: str, columns: int | None) -> str:
        now = self._clock()
        head = f"{(self._stage or '').rstrip()}{mark}  {_exact(now - self._started)}"
        if self._seen is None:
            return head[:columns]
        left = self._seen.seconds_left(now)
        return fitted(head, self._seen.report, left, columns)

    def _draw(self) -> None:
        columns = shutil.get_terminal_size().columns - 1  # the last one may start a new line
        line = self._line("", columns)
        if line != self._drawn:
            self._write(self._over(line, columns))
            self._drawn = line

    def _over(self, text: str, columns: int | None = None) -> str:
        """The text, and blanks over what is longer in the line that it replaces."""
        if not self._drawn:
            return text
        before, self._drawn = self._drawn, ""
        return "\r" + text.ljust(len(before[:columns]))

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:  # nobody reads any more; that is no reason to stop a run
            self._out = io.StringIO()


def fitted(head: str, report: Report, left: float | None, columns: int | None) -> str:
    """A line with what there is room for.

    Where it gets tight the speed goes first, then the middle of the words, then the figures.

    Args:
      head: Stage and time; always there.
      report: How far it is.
      left: Seconds left, where known.
      columns: Of the terminal; None for any number.
    """
    until = "at most" if report.at_most else "about"
    ending = [f"{until} {_rough(left)} left"] if left is not None else []
    speed = [f"{report.rows_per_second:,.0f} rows/s"] if report.rows_per_second else []
    figures = _figures(report)
    words = len(report.where)
    choices = [([*speed, *figures, *ending], words)]
    choices += [([*figures[first:], *ending], WORDS) for first in range(len(figures) + 1)]
    choices += [(ending, FEWEST_WORDS), ([], FEWEST_WORDS)]
    for details, least in choices:
        after = "".join(f"  {text}" for text in details)
        room = words if columns is None else columns - len(head) - len("  ") - len(after)
        if room >= min(words, least):
            where = _cut(report.where, room)
            return head + ("  " + where if where else "") + after
    return head[:columns]


def _cut(text: str, width: int) -> str:
    """The beginning and the end of a text, in at least four columns."""
    if len(text) <= width:
        return text
    kept = width - len("...")
    return f"{text[: kept // 2]}...{text[kept // 2 - kept :]}"


def _figures(report: Report) -> list[str]:
    return [
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.4f}"
        for name, value in report.figures.items()
    ]


def _exact(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    shown = [f"{hours} h"] * (hours > 0) + [f"{minute} min"] * (minutes > 0) + [f"{second} s"]
    return " ".join(shown)


def _rough(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


class StageProgress(logging.Handler):
    """Turns the local runner's log records into stages that begin and end.

    The runner offers no callbacks; its log messages are the one place where it tells what it does.
    A stage that it does not announce is left out, nothing else depends on them.

    Args:
      stages: How many stages there are.
      display: Shows them.
      on_stage: Told `06-Trainer` when that stage begins, and nothing when it has ended.
    """

    def __init__(self, stages: int, display: Display, on_stage: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._stages, self._display, self._on_stage = stages, display, on_stage
        self._number = 0
        self._cached = False
        self.current: str | None = None
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Sees all records, before any other handler of the root logger does."""
        root = logging.getLogger()
        root.handlers.insert(0, self)
        try:
            with self._display.running(), counted():
                yield
        finally:
            root.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        message = str(record.msg)
        if message == "Component %s is running.":
            self._begin(str(record.args[0]) if isinstance(record.args, tuple) else "?")
        elif message == "A cached execution %d is used.":
            self._cached = True
        elif message == "Component %s is finished." and self.current:
            self.seconds[self.current] = self._display.end(self._cached)
            self.current = None
            self._on_stage("")
        elif record.name == "ranklite.models.compression.search":
            self._display.say(f"        {record.getMessage()}")

    def _begin(self, name: str) -> None:
        self._number += 1
        self.current, self._cached = name, False
        self._on_stage(f"{self._number:02}-{name}")
        self._display.begin(f"[{self._number:2}/{self._stages}] {name:<28}")
