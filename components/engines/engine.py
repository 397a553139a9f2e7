"""What an engine is: it runs one function on many tasks, each of them until it has succeeded."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter

from ranklite.components.engines import ENGINES
from ranklite.models.config import Strict
from ranklite.models.environment import cores
from ranklite.models.registered import Registered

ATTEMPTS = 4  # of a task whose worker dies, as of Spark's spark.task.maxFailures

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


class WorkerLost(RuntimeError):
    """The workers of a task died, every time that it was tried."""


def ignore(number: int) -> None:
    """Takes no notice of a task that has succeeded."""


class Engine(Strict, abc.ABC):
    """Settings of an engine, and how it works.

    Attributes:
      kind: Its name in the registry.
    """

    kind: str

    @property
    def on_this_machine(self) -> bool:
        """Whether all its workers see every folder that this process sees."""
        return False

    def at_once(self) -> int:
        """How many tasks it runs at the same time, as far as it knows: fewer leave workers idle.

        Raises:
          ConnectionError: The cluster cannot be reached.
          MissingExtra: A package that the engine needs is not installed.
        """
        return cores()

    def check(self) -> None:
        """Raises what is wrong before anything is started.

        Raises:
          MissingExtra: A package that it needs is not installed; the message names the extra.
        """

    @abc.abstractmethod
    def map(
        self,
        work: Callable[[TaskT], ResultT],
        tasks: Sequence[TaskT],
        done: Callable[[int], None] = ignore,
    ) -> list[ResultT]:
        """Runs a function on every task, several at once, in no order that can be relied on.

        What is large travels by files, in a folder that every worker and this process see under one
        path. A task may run more than once, even twice at the same time: whatever it writes, it
        writes under another name first and then renames, so that nothing half-written is seen.

        Args:
          work: A function of an installed module (a worker imports it by its name).
          tasks: Its arguments: small, and to be pickled.
          done: Called in this process, at times in another thread, once with the number of each
            task, from 0, that has succeeded.

        Returns:
          What it returned for each task, in the order of the tasks.

        Raises:
          ValueError: Workers cannot import the function.
          WorkerLost: The workers of a task died `ATTEMPTS` times.
          ConnectionError: The cluster cannot be reached.
          MissingExtra: A package that the engine needs is not installed.
          Exception: What `work` raised, the first of several, as it was raised; it is not tried
            again, since the same data would fail the same way.

        Example:
            >>> from ranklite.components.engines.local import Local
            >>> Local(workers=1).map(len, ["a", "bc"])
            [1, 2]
        """


AnyEngine = Annotated[Engine, Registered(ENGINES, "kind")]


def from_json(text: str) -> Engine:
    """The engine that some JSON is the settings of."""
    engine: Engine = TypeAdapter(AnyEngine).validate_json(text)
    return engine


def check_importable(work: Callable[..., Any]) -> None:
    """Raises ValueError where a worker could not import a function by its name."""
    module, name = getattr(work, "__module__", None), getattr(work, "__qualname__", "<unnamed>")
    if module in (None, "__main__") or "<" in name:
        raise ValueError(
            f"{module}.{name} cannot be imported by a worker: give a function that stands at the "
            "top of an installed module"
        )
