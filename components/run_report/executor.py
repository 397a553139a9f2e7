"""Executor of RunReport."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from ranklite.components import artifact_io, repeated_inputs
from ranklite.components.artifact_json import ITEM_LABELS_FILE, PAGE_FILE, SCORES_FILE
from ranklite.components.blessings import refused_by
from ranklite.components.run_report import gather
from ranklite.components.run_report.current import current_run
from ranklite.models.evaluation.scored_rows import ScoredRows
from ranklite.models.features.constants import read_constants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.reporting import page, projector, tensorboard, training_words


class Executor(base_executor.BaseExecutor):
    """Writes the page and TensorBoard's summary."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Puts together what the stages before it measured.

        Args:
          input_dict:
            - ingest_report: IngestReport, if there is one.
            - float_checkpoint: Model, whose embeddings of items are shown.
            - transform_graph: TransformGraph.
            - statistics: ExampleStatistics.
            - schema: Schema.
            - anomalies: ExampleAnomalies.
            - stage_report: StageReport.
            - settings_trials: Trials of settings, where a search ran.
            - seeds: SeedFigures, where other seeds were trained.
            - model_blessing, baseline_blessing: ModelBlessings.
            - infra_blessing: InfraBlessing.
            - evaluation, baseline_evaluation: ModelEvaluations.
            - training_0, ...: ModelRuns, TensorBoard's logs of the trainings.
          output_dict:
            - page: RunPage.
            - model_run: ModelRun, the summary of the run for TensorBoard.
          exec_properties:
            - config: JSON of the run's configuration.
            - features: JSON of its FeatureSet.
            - code_digest: Goes into the page.
        """
        config = json.loads(exec_properties["config"])
        trainings = [run.uri for run in repeated_inputs.artifacts("training", input_dict)]
        folders = {key: given[0].uri for key, given in input_dict.items() if given}
        run = current_run()
        facts = dataclasses.replace(
            gather.facts(config, exec_properties["code_digest"], folders, trainings),
            refused_by=refused_by(input_dict),
            lineage={
                key: [(artifact.id, artifact.type_name) for artifact in artifacts]
                for key, artifacts in input_dict.items()
            },
            run=run,
            seconds=run.seconds if run else None,
        )
        (artifact,) = output_dict["page"]
        os.makedirs(artifact.uri, exist_ok=True)
        io_utils.write_string_file(os.path.join(artifact.uri, PAGE_FILE), page.render(facts))
        logs = artifact_utils.get_single_uri(output_dict["model_run"])
        assert facts.report is not None
        trained = training_words.as_trained(config, facts.warm)
        tensorboard.write(facts.report, trained, _scores(input_dict["stage_report"]), logs)
        features = FeatureSet.model_validate_json(exec_properties["features"])
        if features.is_categorical(features.item):
            self._project(input_dict, features, os.path.join(logs, tensorboard.SUMMARY))

    def _project(self, input_dict: dict[str, list[Any]], features: FeatureSet, folder: str) -> None:
        item = str(features.item)
        graph = artifact_utils.get_single_uri(input_dict["transform_graph"])
        labels = {}
        if input_dict.get("ingest_report"):
            report = artifact_utils.get_single_uri(input_dict["ingest_report"])
            labels = projector.read_labels(os.path.join(report, ITEM_LABELS_FILE))
        projector.write(
            artifact_io.load(input_dict["float_checkpoint"]),
            item,
            read_constants(graph, features).vocabularies[item],
            labels,
            folder,
        )


def _scores(artifacts: list[Any]) -> ScoredRows:
    return ScoredRows.load(os.path.join(artifact_utils.get_single_uri(artifacts), SCORES_FILE))
