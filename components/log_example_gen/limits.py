"""How long a query may run and how much it may spill; what DuckDB says at a limit, in our words."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import threading
import time
from collections.abc import Iterator

import duckdb

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen.source import SourceConfig

_DONE = b"\0"  # the number of no signal
_AGAIN = 0.5  # seconds to the next interrupt: one that meets no statement is lost
_INTERRUPTED = "Query interrupted"  # what DuckDB raises in place of KeyboardInterrupt


class QueryLimit:
    """The seconds that a configured query has, in all that is asked of it.

    Args:
      con: What runs it.
      source: With `query_seconds`; without a query there is no limit.

    Example:
        limit = QueryLimit(con, config.source)
        with limit.counting():
            con.execute(f"CREATE TABLE result AS {query}")
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, source: SourceConfig) -> None:
        self._con, self._source = con, source
        self._left = source.query_seconds

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Counts what runs inside, and interrupts it at the limit or at Ctrl-C.

        Raises:
          IngestError: The limit was reached; it names it, and the key that moves it.
          KeyboardInterrupt: As Python raises it, which DuckDB keeps from it for as long as it runs.
        """
        if not self._source.query:
            yield
            return
        started = time.monotonic()
        watch = _Watch(self._con, self._left)
        try:
            with watch:
                yield
        except (duckdb.Error, IngestError) as error:
            if watch.interrupted:
                raise KeyboardInterrupt from error
            if watch.reached:
                raise self._error() from error
            raise
        finally:
            self._left -= time.monotonic() - started

    def _error(self) -> IngestError:
        return IngestError(
            f"source.query ran longer than source.query_seconds = {self._source.query_seconds:g} "
            "and was stopped: look for a join without a condition or a recursion without an end, "
            "or give it more seconds"
        )


class _Watch:
    """A thread that interrupts a database at a time, or when SIGINT comes.

    Python's own handler runs between two of its instructions: not before DuckDB gives back what it
    was asked for. The system's part of it writes the number of a signal to a file at once.

    Args:
      con: The database.
      seconds: Until then.

    Attributes:
      reached: Whether the time came.
      interrupted: Whether the signal did.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, seconds: float) -> None:
        self._con, self._until = con, time.monotonic() + seconds
        self.reached = self.interrupted = False

    def __enter__(self) -> None:
        self._numbers, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._is_main:
            signal.set_wakeup_fd(self._before)
        os.write(self._write, _DONE)
        self._thread.join()
        os.close(self._write)
        os.close(self._numbers)

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._numbers, selectors.EVENT_READ)
            while True:
                stops = self.reached or self.interrupted
                wait = _AGAIN if stops else max(0.0, self._until - time.monotonic())
                numbers = os.read(self._numbers, 64) if selector.select(wait) else b""
                if _DONE in numbers:
                    return
                self.interrupted |= signal.SIGINT in numbers
                self.reached |= not self.interrupted and time.monotonic() >= self._until
                if self.reached or self.interrupted:
                    self._con.interrupt()


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turns what DuckDB raises where memory or disk ran out, or at Ctrl-C, into what is so.

    Raises:
      IngestError: Rows took more memory, or more of the disk, than there is.
      KeyboardInterrupt: DuckDB was interrupted; it raises an error of its own.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise IngestError(_out_of_memory(str(error))) from error
    except RuntimeError as error:
        if str(error) == _INTERRUPTED:
            raise KeyboardInterrupt from error
        raise


def _out_of_memory(message: str) -> str:
    first = message.partition("\n")[0].removeprefix("Out of Memory Error: ")
    if "max_temp_directory_size" in message:
        return (
            f"what does not fit into memory takes more of the disk than it may: {first}. Give "
            "source.spill_gigabytes more, free some of the disk, or have source.query join and "
            "sort fewer rows"
        )
    return (
        f"reading the log takes more memory than it may: {first}. Look for rows of many megabytes, "
        "or have source.query join, sort and gather fewer rows at once"
    )
