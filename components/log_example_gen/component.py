"""LogExampleGen."""

from __future__ import annotations

from typing import TypeAlias

from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components.artifact_types import IngestReport
from ranklite.components.log_example_gen.config import NEWEST, IngestConfig
from ranklite.components.log_example_gen.driver import Driver
from ranklite.components.log_example_gen.executor import Executor

Span: TypeAlias = str | data_types.RuntimeParameter  # known when a run starts, at the latest


class LogExampleGenSpec(ComponentSpec):
    """Specification of LogExampleGen."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "data_root": ExecutionParameter(type=str),
        "rejects_dir": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "report": ChannelParameter(type=IngestReport),
    }


class LogExampleGen(base_component.BaseComponent):
    """Ingests interaction logs with DuckDB, on the engine of the run where there is one.

    Args:
      config: What to read and how.
      data_root: Folder that file names are relative to.
      rejects_dir: Folder for `rejects.csv`.
      code_digest: Digest of the executor's code.
      span: The newest span to read.
    """

    SPEC_CLASS = LogExampleGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        config: IngestConfig,
        data_root: str,
        rejects_dir: str,
        code_digest: str,
        span: Span = NEWEST,
    ) -> None:
        super().__init__(
            LogExampleGenSpec(
                # Of a seed that draws nothing, every value is served by the same cache.
                config=config.model_dump_json(exclude=None if config.draws else {"seed"}),
                data_root=data_root,
                rejects_dir=rejects_dir,
                span=span,
                code_digest=code_digest,
                examples=channel.Channel(type=standard_artifacts.Examples),
                report=channel.Channel(type=IngestReport),
            )
        )
