"""StatisticsGen."""

from __future__ import annotations

from typing import Any

from tfx.components.statistics_gen import component
from tfx.dsl.components.base import executor_spec

from ranklite.components.statistics_gen.executor import Executor


class StatisticsGen(component.StatisticsGen):
    """TFX's StatisticsGen, without Beam where one machine does the work.

    Args:
      code_digest: Digest of the executor's code, which only keys the cache.
      **arguments: Those of TFX's.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, *, code_digest: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.exec_properties["code_digest"] = code_digest
