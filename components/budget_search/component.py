"""BudgetSearch."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components import repeated_inputs
from ranklite.components.artifact_types import IngestReport, Trials
from ranklite.components.budget_search.executor import Executor
from ranklite.models.compression.config import Search
from ranklite.models.compression.technique import MAX_TEACHERS


class BudgetSearchSpec(ComponentSpec):
    """Specification of BudgetSearch."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "features": ExecutionParameter(type=str),
        "training": ExecutionParameter(type=str),
        "gates": ExecutionParameter(type=str),
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
    }
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "control": ChannelParameter(type=standard_artifacts.Model),
        "trials": ChannelParameter(type=Trials),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class BudgetSearch(base_component.BaseComponent):
    """Tries compression recipes and hands on the most accurate model within a budget.

    Args:
      base_model: Channel of a Model with the float checkpoint.
      transformed_examples: Channel of Examples.
      transform_graph: Channel of the TransformGraph.
      config: JSON of a Search.
      features: JSON of a FeatureSet.
      training: JSON of the float model's TrainingConfig.
      gates: JSON of a GatesConfig.
      target: Name of the export target.
      calibration: How the scores of files are calibrated.
      work_dir: Folder that keeps finished trials, so that a killed search goes on.
      code_digest: Digest of the executor's code and of the target's.
      teachers: Channels of float Models, where a recipe distils.
      ingest_report: Channel of the IngestReport, where files store what they know of the past.
    """

    SPEC_CLASS = BudgetSearchSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        base_model: channel.Channel,
        transformed_examples: channel.Channel,
        transform_graph: channel.Channel,
        config: str,
        features: str,
        training: str,
        gates: str,
        target: str,
        calibration: str,
        work_dir: str,
        code_digest: str,
        teachers: Sequence[channel.BaseChannel] = (),
        ingest_report: channel.Channel | None = None,
    ) -> None:
        Search.model_validate_json(config)
        super().__init__(
            BudgetSearchSpec(
                base_model=base_model,
                **repeated_inputs.channels("teacher", teachers),
                transformed_examples=transformed_examples,
                transform_graph=transform_graph,
                ingest_report=ingest_report,
                config=config,
                features=features,
                training=training,
                gates=gates,
                target=target,
                calibration=calibration,
                work_dir=work_dir,
                code_digest=code_digest,
                model=channel.Channel(type=standard_artifacts.Model),
                control=channel.Channel(type=standard_artifacts.Model),
                trials=channel.Channel(type=Trials),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )
