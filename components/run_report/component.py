"""RunReport."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from ranklite.components import repeated_inputs
from ranklite.components.artifact_types import (
    IngestReport,
    RunPage,
    SeedFigures,
    StageReport,
    Trials,
)
from ranklite.components.run_report.executor import Executor
from ranklite.models.compression.technique import MAX_TEACHERS
from ranklite.models.compression.techniques import TECHNIQUES

MOST_TRAININGS = 1 + MAX_TEACHERS + len(TECHNIQUES.names)


class RunReportSpec(ComponentSpec):
    """Specification of RunReport."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "features": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "ingest_report": ChannelParameter(type=IngestReport, optional=True),
        "float_checkpoint": ChannelParameter(type=standard_artifacts.Model),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "stage_report": ChannelParameter(type=StageReport),
        "settings_trials": ChannelParameter(type=Trials, optional=True),
        "seeds": ChannelParameter(type=SeedFigures, optional=True),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "baseline_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "baseline_evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        **repeated_inputs.parameters("training", standard_artifacts.ModelRun, MOST_TRAININGS),
    }
    OUTPUTS = {
        "page": ChannelParameter(type=RunPage),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class RunReport(base_component.BaseComponent):
    """Writes the report of a run, and the same figures for TensorBoard.

    Args:
      ingest_report: Channel of what was read of the log, if there is a report on it.
      float_checkpoint: Channel of the float parent, whose embeddings are shown.
      transform_graph: Channel of the TransformGraph, for the vocabulary of items.
      statistics: Channel of the ExampleStatistics.
      schema: Channel of the Schema.
      anomalies: Channel of the ExampleAnomalies.
      stage_report: Channel of the StageReport.
      model_blessing: Channel of the Evaluator's verdict against the float parent.
      baseline_blessing: Channel of the Evaluator's verdict against the model pushed last.
      infra_blessing: Channel of FileValidator's verdict.
      evaluation: Channel of what TFMA measured against the float parent.
      baseline_evaluation: Channel of what it measured against the model pushed last.
      trainings: Channels of TensorBoard's logs of every training, in order.
      config: JSON of the run's configuration.
      features: JSON of its FeatureSet.
      code_digest: Digest of the executor's code.
      settings_trials: Channel of the Trials of settings, where a search ran.
      seeds: Channel of the SeedFigures, where other seeds were trained.
    """

    SPEC_CLASS = RunReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        ingest_report: channel.Channel | None,
        float_checkpoint: channel.Channel,
        transform_graph: channel.Channel,
        statistics: channel.Channel,
        schema: channel.Channel,
        anomalies: channel.Channel,
        stage_report: channel.Channel,
        model_blessing: channel.Channel,
        baseline_blessing: channel.Channel,
        infra_blessing: channel.Channel,
        evaluation: channel.Channel,
        baseline_evaluation: channel.Channel,
        trainings: Sequence[channel.BaseChannel],
        config: str,
        features: str,
        code_digest: str,
        settings_trials: channel.BaseChannel | None = None,
        seeds: channel.BaseChannel | None = None,
    ) -> None:
        super().__init__(
            RunReportSpec(
                ingest_report=ingest_report,
                float_checkpoint=float_checkpoint,
                transform_graph=transform_graph,
                statistics=statistics,
                schema=schema,
                anomalies=anomalies,
                stage_report=stage_report,
                settings_trials=settings_trials,
                seeds=seeds,
                model_blessing=model_blessing,
                baseline_blessing=baseline_blessing,
                infra_blessing=infra_blessing,
                evaluation=evaluation,
                baseline_evaluation=baseline_evaluation,
                **repeated_inputs.channels("training", trainings),
                config=config,
                features=features,
                code_digest=code_digest,
                page=channel.Channel(type=RunPage),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )
