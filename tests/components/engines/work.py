"""What engines are given to work on in the tests; workers import it."""

from __future__ import annotations

import os
import pathlib
import signal
import time
from typing import Any

from ranklite.components.log_example_gen import IngestError
from ranklite.models.environment import cores


class Odd(Exception):
    """It cannot be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def square(number: int) -> int:
    return number * number


def slow_first(number: int) -> int:
    """The first task ends last."""
    time.sleep(0.3 if number == 0 else 0.0)
    return number


def where(folder: str) -> tuple[int, int]:
    """Process and cores of a task, once another one is under way as well."""
    pathlib.Path(folder, str(os.getpid())).touch()
    end = time.monotonic() + 60
    while len(os.listdir(folder)) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    return os.getpid(), cores()


def tried(task: tuple[str, int]) -> int:
    """Notes that it was tried; returns how often that was."""
    folder, number = task
    with open(os.path.join(folder, str(number)), "a", encoding="utf-8") as file:
        file.write(".")
    return os.path.getsize(os.path.join(folder, str(number)))


def fails(task: tuple[str, int]) -> int:
    """Task 2 raises."""
    tried(task)
    if task[1] == 2:
        raise IngestError("log.csv: line 7: no label")
    return task[1]


def raises_odd(number: int) -> int:
    raise Odd("this", "that")


def dies_once(task: tuple[str, int]) -> int:
    """The worker of task 1 is killed when it is tried first."""
    if tried(task) == 1 and task[1] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task[1]


def dies_if_second(task: tuple[str, int]) -> int:
    """The worker of task 1 is killed whenever it is tried."""
    tried(task)
    if task[1] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task[1]


def large(size: int) -> bytes:
    return bytes(size)


def sleeps(task: tuple[str, int]) -> Any:
    pathlib.Path(task[0], f"{os.getpid()}.pid").touch()
    time.sleep(600)


def has_workers() -> None:
    """Uses workers, and ends."""
    from ranklite.components.engines.local import Local

    assert Local(workers=2).map(square, [1, 2, 3]) == [1, 4, 9]
