"""SeedRepeats."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components import repeated_inputs
from ranklite.components.artifact_types import IngestReport, SeedFigures, Trials
from ranklite.components.seed_repeats.executor import Executor
from ranklite.models.compression.technique import MAX_TEACHERS


class SeedRepeatsSpec(ComponentSpec):
    """Specification of SeedRepeats."""

    PARAMETERS = {
        "repeat": ExecutionParameter(type=int),
        "steps": ExecutionParameter(type=str),
        "features": ExecutionParameter(type=str),
        "split": ExecutionParameter(type=str),
        "target": ExecutionParameter(type=str),
        "calibration": ExecutionParameter(type=str),
        "work_dir": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "base_model": ChannelParameter(type=standard_artifacts.Model),
        **repeated_inputs.parameters("teacher", standard_artifacts.Model, MAX_TEACHERS),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "ingest_report": ChannelParameter(type=IngestReport, optional=True),
        "trials": ChannelParameter(type=Trials, optional=True),
    }
    OUTPUTS = {"seeds": ChannelParameter(type=SeedFigures)}


class SeedRepeats(base_component.BaseComponent):
    """Trains the float model with other seeds, compresses each alike, and measures the files.

    Args:
      base_model: Channel of a Model with the float checkpoint, whose settings are trained with.
      transformed_examples: Channel of Examples.
      transform_graph: Channel of the TransformGraph.
      repeat: How many seeds there are, the run's own included.
      steps: JSON of the list of compression steps; the chosen ones of `trials` take their place.
      features: JSON of a FeatureSet.
      split: The split to measure on.
      target: Name of the export target.
      calibration: How the scores of files are calibrated.
      work_dir: Folder that keeps finished seeds, so that a killed stage goes on.
      code_digest: Digest of the executor's code, the techniques' and the target's.
      teachers: Channels of float Models, where the recipe distils; all seeds share them.
      ingest_report: Channel of the IngestReport, where files store what they know of the past.
      trials: Channel of the Trials of recipes, where a search chose the steps.
    """

    SPEC_CLASS = SeedRepeatsSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        base_model: channel.BaseChannel,
        transformed_examples: channel.BaseChannel,
        transform_graph: channel.BaseChannel,
        repeat: int,
        steps: str,
        features: str,
        split: str,
        target: str,
        calibration: str,
        work_dir: str,
        code_digest: str,
        teachers: Sequence[channel.BaseChannel] = (),
        ingest_report: channel.BaseChannel | None = None,
        trials: channel.BaseChannel | None = None,
    ) -> None:
        super().__init__(
            SeedRepeatsSpec(
                base_model=base_model,
                **repeated_inputs.channels("teacher", teachers),
                transformed_examples=transformed_examples,
                transform_graph=transform_graph,
                ingest_report=ingest_report,
                trials=trials,
                repeat=repeat,
                steps=steps,
                features=features,
                split=split,
                target=target,
                calibration=calibration,
                work_dir=work_dir,
                code_digest=code_digest,
                seeds=channel.Channel(type=SeedFigures),
            )
        )
