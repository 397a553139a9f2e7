"""Executor of RunReport."""

from __future__ import annotations

import json
import os
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components import checkpoint_io, numbered
from components.blessings import refused_by, verdicts
from components.lite_validator.artifacts import REPORT_FILE, SCORES_FILE
from components.log_example_gen.artifacts import ITEM_LABELS_FILE
from components.run_report import board, columns, page, projector
from components.run_report.artifacts import PAGE_FILE
from components.validation_gate.executor import ANOMALIES_FILE
from models import software
from models.config import FeatureSet
from models.preprocessing import read_constants
from models.scored_rows import ScoredRows


class Executor(base_executor.BaseExecutor):
    """Writes the page and TensorBoard's summary."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Puts together what the stages before it found.

        Args:
          input_dict:
            - ingest_report: IngestReport, if there is one.
            - float_checkpoint: Model, whose embeddings of items are shown.
            - transform_graph: TransformGraph.
            - statistics: ExampleStatistics.
            - schema: Schema.
            - anomalies: ExampleAnomalies.
            - stage_report: StageReport.
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
        trainings = numbered.artifacts("training", input_dict)
        report = _json(input_dict["stage_report"])
        facts = page.Facts(
            config=json.loads(exec_properties["config"]),
            ingest=_json(input_dict["ingest_report"]) if input_dict.get("ingest_report") else None,
            report={**report, "verdicts": verdicts(report, input_dict)},
            anomalies=_anomalies(input_dict["anomalies"]),
            columns=_columns(input_dict["schema"], input_dict["statistics"]),
            trainings={_stage(run.uri): board.scalars(run.uri) for run in trainings},
            refused_by=refused_by(input_dict),
            lineage={
                key: [(artifact.id, artifact.type_name) for artifact in artifacts]
                for key, artifacts in input_dict.items()
            },
            code_digest=exec_properties["code_digest"],
            commit=software.commit(),
            warm=checkpoint_io.metrics(input_dict["float_checkpoint"]),
        )
        (artifact,) = output_dict["page"]
        os.makedirs(artifact.uri, exist_ok=True)
        io_utils.write_string_file(os.path.join(artifact.uri, PAGE_FILE), page.render(facts))
        logs = artifact_utils.get_single_uri(output_dict["model_run"])
        board.write(facts, _scores(input_dict["stage_report"]), logs)
        features = FeatureSet.model_validate_json(exec_properties["features"])
        if any(f.name == features.item and f.kind == "categorical" for f in features.features):
            self._project(input_dict, features, os.path.join(logs, board.SUMMARY))

    def _project(self, input_dict: dict[str, list[Any]], features: FeatureSet, folder: str) -> None:
        item = str(features.item)
        graph = artifact_utils.get_single_uri(input_dict["transform_graph"])
        labels = {}
        if input_dict.get("ingest_report"):
            report = artifact_utils.get_single_uri(input_dict["ingest_report"])
            labels = projector.read_labels(os.path.join(report, ITEM_LABELS_FILE))
        projector.write(
            checkpoint_io.load(input_dict["float_checkpoint"]),
            item,
            read_constants(graph, features).vocabularies[item],
            labels,
            folder,
        )


def _json(artifacts: list[Any]) -> dict[str, Any]:
    uri = artifact_utils.get_single_uri(artifacts)
    with open(os.path.join(uri, REPORT_FILE), encoding="utf-8") as file:
        loaded: dict[str, Any] = json.load(file)
    return loaded


def _anomalies(artifacts: list[Any]) -> list[tuple[str, str, str]]:
    """(split, column, description) of what the gate let pass."""
    (artifact,) = artifacts
    found = []
    for split in artifact_utils.decode_split_names(artifact.split_names):
        path = os.path.join(artifact_utils.get_split_uri([artifact], split), ANOMALIES_FILE)
        proto = anomalies_pb2.Anomalies.FromString(io_utils.read_bytes_file(path))
        for column, info in sorted(proto.anomaly_info.items()):
            found.append((split, column, info.description))
    return found


def _columns(schemas: list[Any], statistics: list[Any]) -> list[columns.Column]:
    """What the examples hold; the train split comes first."""
    (artifact,) = statistics
    path = io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(schemas))
    splits = artifact_utils.decode_split_names(artifact.split_names)
    return columns.describe(
        io_utils.SchemaReader().read(path),
        {
            split: stats_artifact_utils.load_statistics(artifact, split).proto()
            for split in sorted(splits, key=lambda split: split != "train")
        },
    )


def _scores(artifacts: list[Any]) -> ScoredRows:
    return ScoredRows.load(os.path.join(artifact_utils.get_single_uri(artifacts), SCORES_FILE))


def _stage(uri: str) -> str:
    """The node that wrote an artifact: `.../<node>/<output>/<execution>`."""
    return uri.rstrip("/").split("/")[-3]
