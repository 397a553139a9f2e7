"""SettingsSearch."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components.artifact_types import Trials
from ranklite.components.settings_search.executor import Executor
from ranklite.models.training.tuning_config import Tune


class SettingsSearchSpec(ComponentSpec):
    """Specification of SettingsSearch."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "space": ExecutionParameter(type=str),
        "features": ExecutionParameter(type=str),
        "model": ExecutionParameter(type=str),
        "training": ExecutionParameter(type=str),
        "work_dir": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {
        "best_hyperparameters": ChannelParameter(type=standard_artifacts.HyperParameters),
        "trials": ChannelParameter(type=Trials),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class SettingsSearch(base_component.BaseComponent):
    """Searches settings of the float model and of its training.

    TFX's own Tuner runs a KerasTuner, which knows neither tf_keras nor our `fit`. The output of
    both is the same, and Trainer reads it: `Trainer(hyperparameters=...)`.

    Args:
      transformed_examples: Channel of Examples, splits `train` and `eval`.
      transform_graph: Channel of the TransformGraph, for the layout.
      config: JSON of a Tune.
      space: JSON of the values of each setting that is searched.
      features: JSON of a FeatureSet.
      model: JSON of the settings of a family, as configured.
      training: JSON of the TrainingConfig, as configured.
      work_dir: Folder that keeps finished trials, so that a killed search goes on.
      code_digest: Digest of the executor's and the family's code.
    """

    SPEC_CLASS = SettingsSearchSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        transformed_examples: channel.BaseChannel,
        transform_graph: channel.BaseChannel,
        config: str,
        space: str,
        features: str,
        model: str,
        training: str,
        work_dir: str,
        code_digest: str,
    ) -> None:
        Tune.model_validate_json(config)
        super().__init__(
            SettingsSearchSpec(
                transformed_examples=transformed_examples,
                transform_graph=transform_graph,
                config=config,
                space=space,
                features=features,
                model=model,
                training=training,
                work_dir=work_dir,
                code_digest=code_digest,
                best_hyperparameters=channel.Channel(type=standard_artifacts.HyperParameters),
                trials=channel.Channel(type=Trials),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )
