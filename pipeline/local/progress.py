"""Says which stages run, how long they have taken, how far they are, and what was cached."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TextIO

from ranklite.models import progress
from ranklite.models.progress import Report

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


@dataclasses.dataclass
class _Stage:
    """A stage that runs.

    Attributes:
      name: Its name, which may end in blanks.
      started: When it began.
      told: When a plain line was last written of it.
      seen: What it reported last.
    """

    name: str
    started: float
    told: float
    seen: _Seen | None = None


class Display:
    """Shows the stages that run; there may be several at once.

    On a terminal the one that has run longest has a line, drawn anew while it runs, which names the
    others; elsewhere a stage has a line when it begins, one when it ends, and one every
    `PLAIN_SECONDS`. Where no stage is named, the one that began last is meant.

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
        self._stages: list[_Stage] = []
        self._drawn = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Listens to what the stages of this process report, and ticks."""
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

    def show(self, report: Report, stage: str | None = None) -> None:
        """Remembers how far a stage is; called for every step, so nothing is drawn here."""
        if running := self._running(stage):
            running.seen = _Seen.after(running.seen, report, self._clock())

    def begin(self, stage: str) -> None:
        """Another stage runs; its name may end in blanks, which align what follows."""
        with self._lock:
            now = self._clock()
            self._stages.append(_Stage(stage, now, now))
            if self._live:
                self._draw()
            else:
                self._write(f"{stage.rstrip()} ...\n")

    def end(self, cached: bool = False, stage: str | None = None) -> float:
        """A stage is finished; returns its seconds."""
        with self._lock:
            running = self._running(stage)
            assert running is not None
            seconds = self._clock() - running.started
            took = "cached" if cached else f"{seconds:.1f} s"
            figures = _figures(running.seen.report) if running.seen and not cached else []
            self._stages.remove(running)
            self.say("  ".join([f"{running.name} {took:>8}", *figures]))
            return seconds

    def say(self, text: str) -> None:
        """Writes a line, above that of the stages that run."""
        with self._lock:
            self._write(self._over(text) + "\n")
            if self._live and self._stages:
                self._draw()

    def tick(self) -> None:
        """Shows how far the stages are, where that is due."""
        with self._lock:
            if self._live and self._stages:
                self._draw()
            now = self._clock()
            for stage in self._stages:
                if not self._live and now - stage.told >= PLAIN_SECONDS:
                    stage.told = now
                    self._write(self._line(stage, " ...", None) + "\n")

    def _running(self, name: str | None) -> _Stage | None:
        """A stage that runs, by its name."""
        named = [stage for stage in self._stages if name is None or stage.name == name]
        return named[-1] if named else None

    def _line(self, stage: _Stage, mark: str, columns: int | None) -> str:
        now = self._clock()
        others = [other.name.split()[-1] for other in self._stages if other is not stage]
        beside = f" + {', '.join(others)}" if others and self._live else ""
        head = f"{stage.name.rstrip()}{mark}{beside}  {_exact(now - stage.started)}"
        if stage.seen is None:
            return head[:columns]
        left = stage.seen.seconds_left(now)
        return fitted(head, stage.seen.report, left, columns)

    def _draw(self) -> None:
        columns = shutil.get_terminal_size().columns - 1  # the last one may start a new line
        line = self._line(self._stages[0], "", columns)
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
