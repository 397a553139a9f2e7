"""LogExampleGen, and TFX's own ExampleGen where the log outgrew one machine."""

from __future__ import annotations

from typing import TypeAlias

from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components.artifact_types import IngestReport
from ranklite.components.log_example_gen import beam_executor
from ranklite.components.log_example_gen.config import NEWEST, FileSplit, HashSplit, IngestConfig
from ranklite.components.log_example_gen.driver import Driver
from ranklite.components.log_example_gen.executor import Executor

Span: TypeAlias = str | data_types.RuntimeParameter  # known when a run starts, at the latest
_BUCKETS = 1000  # resolution of the shares of a split by hash under Beam


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
    """Ingests interaction logs on one machine with DuckDB.

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


def make_example_gen(
    config: IngestConfig,
    *,
    data_root: str,
    rejects_dir: str,
    code_digest: str,
    span: Span = NEWEST,
) -> BaseNode:
    """The ExampleGen of a configuration: LogExampleGen, or for `engine: beam` TFX's own.

    Raises:
      ValueError: The Beam engine cannot do what the configuration asks for.
    """
    if config.source.engine == "duckdb":
        return LogExampleGen(config, data_root, rejects_dir, code_digest, span)
    return _beam_example_gen(config, data_root, code_digest)


def _beam_example_gen(
    config: IngestConfig, data_root: str, code_digest: str
) -> FileBasedExampleGen:
    """TFX's ExampleGen over Parquet files, which runs wherever `beam.pipeline_args` send it."""
    source, split = config.source, config.split
    refused = {
        "source.query": source.query is not None,
        "source.tables": source.tables is not None,
        f"source.format: {source.format}": source.format not in (None, "parquet"),
        "spans in file names": config.has_spans,
        "negatives": config.sampled_negatives is not None,
        "item_label": config.item_label is not None,
        "split.by: time": split.by == "time",
        f"label: {config.label}": config.label != config.features.label,
        "features computed from earlier rows": bool(config.features.past_columns),
    }
    wrong = [key for key, is_wrong in refused.items() if is_wrong]
    if wrong:
        raise ValueError(
            f"source.engine: beam does not support {', '.join(wrong)}. It reads Parquet files that "
            f"hold the features and a float column {config.features.label!r} of 0 and 1, split by "
            "hash or by files; prepare them so, or use engine: duckdb"
        )
    pattern = example_gen_pb2.Input.Split
    if isinstance(split, FileSplit):
        inputs = [pattern(name=s, pattern=getattr(split, s)) for s in config.split_names]
        output = None
    else:
        assert isinstance(split, HashSplit)
        ((_, globs),) = source.globs().items()
        if len(globs) != 1:
            raise ValueError("source.engine: beam takes one glob in source.files")
        inputs = [pattern(name="all", pattern=globs[0])]
        shares = {"eval": split.eval, "test": split.test or 0.0}
        shares["train"] = 1.0 - sum(shares.values())
        output = example_gen_pb2.Output(
            split_config=example_gen_pb2.SplitConfig(
                splits=[
                    example_gen_pb2.SplitConfig.Split(
                        name=s, hash_buckets=round(shares[s] * _BUCKETS)
                    )
                    for s in config.split_names
                ],
                partition_feature_name=split.key or "",
            )
        )
    return FileBasedExampleGen(
        input_base=data_root,
        input_config=example_gen_pb2.Input(splits=inputs),
        output_config=output,
        custom_config=beam_executor.custom_config(config, code_digest),
        custom_executor_spec=executor_spec.BeamExecutorSpec(beam_executor.Executor),
    )
