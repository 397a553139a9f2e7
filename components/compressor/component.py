"""What the compression components share: a step and a model in, a smaller model out."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_component, base_executor
from tfx.types import artifact_utils, channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components import artifact_io as checkpoint_io
from ranklite.components import run_logs
from ranklite.models.compression.config import parse_step
from ranklite.models.compression.technique import compress
from ranklite.models.compression.techniques import technique
from ranklite.models.training.config import TrainingConfig


class CompressorSpec(ComponentSpec):
    """What goes into and comes out of a compressor."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "training": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "base_model": ChannelParameter(type=standard_artifacts.Model),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Compressor(base_component.BaseComponent):
    """Base of the components that compress a checkpoint.

    Args:
      base_model: Channel of a Model with a float checkpoint.
      transformed_examples: Channel of Examples.
      config: JSON of the step's configuration, of one of `TECHNIQUES`.
      training: JSON of the float model's TrainingConfig.
      code_digest: Digest of the executor's code.

    Raises:
      ValueError: The step is none of the component's.
    """

    SPEC_CLASS = CompressorSpec
    TECHNIQUES: tuple[str, ...]

    def __init__(
        self,
        base_model: channel.Channel,
        transformed_examples: channel.Channel,
        config: str,
        training: str,
        code_digest: str,
    ) -> None:
        given = parse_step(config).technique
        if given not in self.TECHNIQUES:
            raise ValueError(
                f"{type(self).__name__} does {', '.join(self.TECHNIQUES)}, not {given}"
            )
        outputs = {
            key: channel.Channel(type=output.type)
            for key, output in self.SPEC_CLASS.OUTPUTS.items()
        }
        super().__init__(
            self.SPEC_CLASS(
                base_model=base_model,
                transformed_examples=transformed_examples,
                config=config,
                training=training,
                code_digest=code_digest,
                **outputs,
            )
        )


class CompressorExecutor(base_executor.BaseExecutor):
    """Applies a technique."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks, wraps, fine-tunes, strips and verifies.

        Args:
          input_dict:
            - base_model: Model with a float checkpoint.
            - transformed_examples: Examples, splits `train` and `eval`.
          output_dict:
            - model: Model with the compressed checkpoint; its figures and the validation figures
              before and after are its custom properties.
            - model_run: TensorBoard's logs.
          exec_properties:
            - config: JSON of the step.
            - training: JSON of the TrainingConfig of the float model.
            - code_digest: Only keys the cache.

        Raises:
          NotCompressible: The technique does not fit the model; nothing was trained.
          PostConditionFailed: The result is not what was asked for.
        """
        logs = artifact_utils.get_single_uri(output_dict["model_run"])
        with run_logs.kept(logs):
            compressed = compress(
                technique(parse_step(exec_properties["config"])),
                checkpoint_io.load(input_dict["base_model"]),
                checkpoint_io.splits(input_dict["transformed_examples"]),
                TrainingConfig.model_validate_json(exec_properties["training"]),
                log_dir=logs,
            )
        checkpoint_io.save(compressed, output_dict["model"])
