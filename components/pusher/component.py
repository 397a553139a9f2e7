"""Pusher."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components import repeated_inputs
from ranklite.components.artifact_types import RunPage, StageReport
from ranklite.components.pusher.executor import Executor
from ranklite.models.export import MOST_TARGETS


class PusherSpec(ComponentSpec):
    """Specification of Pusher."""

    PARAMETERS = {
        "features": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        "push_destination": ExecutionParameter(type=str),
        "keep": ExecutionParameter(type=int),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        **repeated_inputs.parameters("further_model", standard_artifacts.Model, MOST_TARGETS - 1),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "baseline_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "baseline_evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "stage_report": ChannelParameter(type=StageReport),
        "page": ChannelParameter(type=RunPage),
        "float_checkpoint": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}


class Pusher(base_component.BaseComponent):
    """Pushes a model that every gate blessed; TFX's own copies file by file in sight.

    Args:
      model: Channel of the Model with the exported file.
      model_blessing: Channel of the Evaluator's verdict against the float parent.
      baseline_blessing: Channel of the Evaluator's verdict against the model pushed last.
      infra_blessing: Channel of FileValidator's verdict.
      evaluation: Channel of what TFMA measured against the float parent.
      baseline_evaluation: Channel of what it measured against the model pushed last.
      stage_report: Channel of the StageReport.
      page: Channel of the RunPage, which goes into the version.
      float_checkpoint: Channel of the float parent's checkpoint, which the next run may start from.
      examples: Channel of the Examples that it was trained on.
      features: JSON of a FeatureSet.
      config: JSON of the run's configuration.
      push_destination: Folder of the versions.
      keep: Newest versions to keep; 0 keeps all.
      code_digest: Digest of the executor's code and of the targets'.
      further_models: Channels of the Models with the same model in the files of further targets.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: channel.Channel,
        model_blessing: channel.Channel,
        baseline_blessing: channel.Channel,
        infra_blessing: channel.Channel,
        evaluation: channel.Channel,
        baseline_evaluation: channel.Channel,
        stage_report: channel.Channel,
        page: channel.Channel,
        float_checkpoint: channel.Channel,
        examples: channel.Channel,
        features: str,
        config: str,
        push_destination: str,
        keep: int,
        code_digest: str,
        further_models: Sequence[channel.BaseChannel] = (),
    ) -> None:
        super().__init__(
            PusherSpec(
                model=model,
                **repeated_inputs.channels("further_model", further_models),
                model_blessing=model_blessing,
                baseline_blessing=baseline_blessing,
                infra_blessing=infra_blessing,
                evaluation=evaluation,
                baseline_evaluation=baseline_evaluation,
                stage_report=stage_report,
                page=page,
                float_checkpoint=float_checkpoint,
                examples=examples,
                features=features,
                config=config,
                push_destination=push_destination,
                keep=keep,
                code_digest=code_digest,
                pushed_model=channel.Channel(type=standard_artifacts.PushedModel),
            )
        )
