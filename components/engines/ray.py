"""A Ray cluster: each task is a remote task of Ray's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

import ranklite
from ranklite.components.engines.attempts import attempt, outcome
from ranklite.components.engines.engine import (
    ATTEMPTS,
    Engine,
    ResultT,
    TaskT,
    WorkerLost,
    check_importable,
    ignore,
)
from ranklite.components.engines.reachable import refused
from ranklite.extras import RAY, MissingExtra
from ranklite.models.config import Bytes


class Ray(Engine):
    """A Ray cluster, to which this process connects and stays connected.

    Attributes:
      address: `host:6379` of its head, `ray://host:10001`, or `auto` for the one that RAY_ADDRESS
        names or that this machine belongs to.
      cpus: CPUs that a task takes: a node with eight runs eight tasks of one at once.
      memory: What Ray reserves for a task, bytes or such as `2G`; None reserves none.
      options: What `ray.init` takes besides, such as `runtime_env`.
    """

    kind: Literal["ray"] = "ray"
    address: str = Field("auto", min_length=1)
    cpus: float = Field(1.0, gt=0.0)
    memory: Bytes | None = None
    options: dict[str, Any] = {}

    def check(self) -> None:
        """Raises MissingExtra without ray."""
        try:
            import ray  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtra("engine.kind: ray", error, RAY) from None

    def at_once(self) -> int:
        """The CPUs of its nodes, by what a task takes."""
        self._connect()
        import ray

        return max(1, int(ray.cluster_resources().get("CPU", 1.0) / self.cpus))

    def map(
        self,
        work: Callable[[TaskT], ResultT],
        tasks: Sequence[TaskT],
        done: Callable[[int], None] = ignore,
    ) -> list[ResultT]:
        """Runs a function on every task, as `Engine.map` says."""
        check_importable(work)
        self._connect()
        import ray

        reserved = {"memory": self.memory} if self.memory else {}
        remote: Any = ray.remote(num_cpus=self.cpus, max_retries=ATTEMPTS - 1, **reserved)(attempt)
        numbers = {
            remote.remote(work, ranklite.__version__, task): n for n, task in enumerate(tasks)
        }
        waiting = list(numbers)
        results: dict[int, Any] = {}
        try:
            while waiting:
                ended, waiting = ray.wait(waiting)
                for reference in ended:
                    number = numbers[reference]
                    results[number] = outcome(self._content(reference, number, len(tasks)))
                    done(number)
        except BaseException:
            for reference in waiting:
                ray.cancel(reference, force=True)
            raise
        return [results[number] for number in range(len(tasks))]

    def _content(self, reference: Any, number: int, count: int) -> bytes:
        import ray

        try:
            content: bytes = ray.get(reference)
        except ray.exceptions.RayError as error:
            if "No module named 'ranklite'" in str(error):
                raise WorkerLost(
                    f"the workers of Ray at {self.address} have no package ranklite: install "
                    f"version {ranklite.__version__} in their environment"
                ) from error
            why = " ".join(str(error).split())[:300]
            raise WorkerLost(f"task {number + 1} of {count}: {why}, {ATTEMPTS} times") from error
        return content

    def _connect(self) -> None:
        """Connects where this process is not connected.

        Raises:
          ConnectionError: No cluster answers there.
        """
        self.check()
        import ray

        address = self.address.removeprefix("ray://")
        try:
            if ":" in address and (error := refused(address)):
                raise error
            if not ray.is_initialized():
                ray.init(address=self.address, **self.options)
        except (OSError, RuntimeError) as error:
            why = " ".join(str(error).split())[:200]
            raise ConnectionError(
                f"engine.address: no Ray cluster answers at {self.address} ({why}): start one with "
                "`ray start --head`, and name the address that it shows"
            ) from error
