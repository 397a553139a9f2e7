"""Exporter."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components.artifact_types import IngestReport
from ranklite.components.exporter.executor import Executor


class ExporterSpec(ComponentSpec):
    """Specification of Exporter."""

    PARAMETERS = {
        "features": ExecutionParameter(type=str),
        "stage": ExecutionParameter(type=str),
        "target": ExecutionParameter(type=str),
        "calibration": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "keras_model": ChannelParameter(type=standard_artifacts.Model),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "ingest_report": ChannelParameter(type=IngestReport, optional=True),
    }
    OUTPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}


class Exporter(base_component.BaseComponent):
    """Converts a Keras checkpoint to one file with two signatures.

    Args:
      keras_model: Channel of a Model with a checkpoint.
      transform_graph: Channel of the TransformGraph.
      transformed_examples: Channel of Examples, on whose split `eval` scores are calibrated.
      features: JSON of a FeatureSet.
      stage: What the checkpoint is, for reports: `float`, `pruned`, ...
      target: Name of the export target.
      calibration: How scores are calibrated.
      code_digest: Digest of the executor's code and of the target's.
      ingest_report: Channel of the IngestReport, where the file stores what it knows of the past.
    """

    SPEC_CLASS = ExporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        keras_model: channel.Channel,
        transform_graph: channel.Channel,
        transformed_examples: channel.BaseChannel,
        features: str,
        stage: str,
        target: str,
        calibration: str,
        code_digest: str,
        ingest_report: channel.Channel | None = None,
    ) -> None:
        super().__init__(
            ExporterSpec(
                keras_model=keras_model,
                transform_graph=transform_graph,
                transformed_examples=transformed_examples,
                ingest_report=ingest_report,
                features=features,
                stage=stage,
                target=target,
                calibration=calibration,
                code_digest=code_digest,
                model=channel.Channel(type=standard_artifacts.Model),
            )
        )
