"""FileValidator."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components import repeated_inputs
from ranklite.components.artifact_types import IngestReport, StageReport, Trials
from ranklite.components.file_validator.executor import Executor
from ranklite.models.compression.techniques import TECHNIQUES
from ranklite.models.export import MOST_TARGETS

_Model = standard_artifacts.Model


class FileValidatorSpec(ComponentSpec):
    """Specification of FileValidator."""

    PARAMETERS = {
        "features": ExecutionParameter(type=str),
        "gates": ExecutionParameter(type=str),
        "split": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": ChannelParameter(type=_Model),
        "keras_model": ChannelParameter(type=_Model),
        "float_model": ChannelParameter(type=_Model),
        **repeated_inputs.parameters("stage_model", _Model, len(TECHNIQUES.names)),
        **repeated_inputs.parameters("further_model", _Model, MOST_TARGETS - 1),
        "control_model": ChannelParameter(type=_Model, optional=True),
        "blessed_model": ChannelParameter(type=_Model, optional=True),
        "last_report": ChannelParameter(type=StageReport, optional=True),
        "ingest_report": ChannelParameter(type=IngestReport, optional=True),
        "trials": ChannelParameter(type=Trials, optional=True),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {
        "blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "report": ChannelParameter(type=StageReport),
    }


class FileValidator(base_component.BaseComponent):
    """Judges the exported file that would ship, in the runtime that ships it.

    Args:
      model: Channel of the Model with the exported file.
      keras_model: Channel of the checkpoint it came from.
      float_model: Channel of the Model with the float parent's file.
      examples: Channel of raw Examples.
      transformed_examples: Channel of Examples.
      transform_graph: Channel of the TransformGraph.
      features: JSON of a FeatureSet.
      gates: JSON of a GatesConfig.
      split: The split to measure on.
      code_digest: Digest of the executor's code and of the target's.
      stage_models: Channels of the Models with the files of the stages between float and shipped.
      further_models: Channels of the Models with the same model in the files of further targets.
      control_model: Channel of the float control's checkpoint.
      blessed_model: Channel of the Model that was pushed last.
      last_report: Channel of the StageReport of what was pushed last.
      trials: Channel of the Trials of the search that chose the model.
      ingest_report: Channel of the IngestReport, with rows as they stand in the log.
    """

    SPEC_CLASS = FileValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: channel.Channel,
        keras_model: channel.Channel,
        float_model: channel.Channel,
        examples: channel.Channel,
        transformed_examples: channel.Channel,
        transform_graph: channel.Channel,
        features: str,
        gates: str,
        split: str,
        code_digest: str,
        stage_models: Sequence[channel.BaseChannel] = (),
        further_models: Sequence[channel.BaseChannel] = (),
        control_model: channel.Channel | None = None,
        blessed_model: channel.BaseChannel | None = None,
        last_report: channel.BaseChannel | None = None,
        trials: channel.Channel | None = None,
        ingest_report: channel.BaseChannel | None = None,
    ) -> None:
        super().__init__(
            FileValidatorSpec(
                model=model,
                keras_model=keras_model,
                float_model=float_model,
                **repeated_inputs.channels("stage_model", stage_models),
                **repeated_inputs.channels("further_model", further_models),
                control_model=control_model,
                blessed_model=blessed_model,
                last_report=last_report,
                trials=trials,
                ingest_report=ingest_report,
                examples=examples,
                transformed_examples=transformed_examples,
                transform_graph=transform_graph,
                features=features,
                gates=gates,
                split=split,
                code_digest=code_digest,
                blessing=channel.Channel(type=standard_artifacts.InfraBlessing),
                report=channel.Channel(type=StageReport),
            )
        )
