"""The stages of a run: which have begun and ended, and the files that their logs go to."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from ranklite.models.progress import Report
from ranklite.pipeline.local.progress import Display

SAID = (  # loggers whose lines stay on the terminal
    "ranklite.models.compression.search",  # trials as they end
    "ranklite.models.training.resume",  # where a training resumes from
    "ranklite.components.trainer.expected",  # files that will be large
)
_CACHED = "A cached execution %d is used."


class Stages(logging.Handler):
    """Counts the stages as they begin, and shows them.

    It is a handler of the root logger too: that a stage is served from the cache TFX says there
    alone.

    Args:
      total: How many stages there are.
      display: Shows them.
      on_first: Called when the first stage has ended: TFX registers a run with it.

    Attributes:
      seconds: Of the stages that ended, by name.
      peaks: The most memory, bytes, of the stages that had a process of their own, by name.
      failed: The stage that failed first, and the name of its log; None where none did.
    """

    def __init__(
        self, total: int, display: Display, on_first: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(logging.INFO)
        self._total, self._display, self._on_first = total, display, on_first
        self._heads: dict[str, str] = {}
        self._cached: set[int | None] = set()
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self.failed: tuple[str, str] | None = None

    def begin(self, stage: str) -> str:
        """A stage begins; returns the name of its log: `06-Trainer`."""
        number = len(self._heads) + 1
        self._heads[stage] = f"[{number:2}/{self._total}] {stage:<28}"
        self._display.begin(self._heads[stage])
        return f"{number:02}-{stage}"

    def end(self, stage: str) -> None:
        """A stage has ended; this is the thread whose words said whether the cache served it."""
        thread = threading.get_ident()
        cached = thread in self._cached
        self._cached.discard(thread)
        self.seconds[stage] = self._display.end(cached, self._heads[stage])
        if len(self.seconds) == 1:
            self._on_first()

    def fail(self, stage: str, log: str) -> None:
        """A stage failed; what stops because of it failed no more."""
        self.failed = self.failed or (stage, log)

    def show(self, stage: str, report: Report) -> None:
        """A stage says how far it is."""
        self._display.show(report, self._heads[stage])

    def say(self, line: str) -> None:
        """A stage has something to say that stays."""
        self._display.say(f"        {line}")

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Sees all records, before any other handler of the root logger does."""
        root = logging.getLogger()
        root.handlers.insert(0, self)
        try:
            with self._display.running():
                yield
        finally:
            root.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Reads what TFX says of the cache, and what is to stay on the terminal."""
        if str(record.msg) == _CACHED:
            self._cached.add(record.thread)
        elif record.name in SAID:
            self.say(record.getMessage())
