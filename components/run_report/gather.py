"""Reads the facts of a page from what the stages of a run wrote, as far as they came."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.utils import io_utils

from ranklite.components import artifact_json
from ranklite.components.artifact_json import REPORT_FILE, SEEDS_FILE, TRIALS_FILE
from ranklite.components.blessings import verdicts
from ranklite.components.run_logs import EXECUTION, MODEL_RUN
from ranklite.components.run_report import columns
from ranklite.components.validation_gate.executor import ANOMALIES_FILE
from ranklite.models import environment
from ranklite.models.compression.file_size import Expected
from ranklite.models.reporting import tensorboard, training_words
from ranklite.models.reporting.columns import Column
from ranklite.models.reporting.facts import Facts

_SPLIT = "Split-"  # what TFX calls the folder of a split


def facts(
    config: dict[str, Any], code_digest: str, folders: Mapping[str, str], trainings: Iterable[str]
) -> Facts:
    """The facts that are there.

    Args:
      config: The run's configuration.
      code_digest: Of the component's code.
      folders: Of RunReport's inputs by their keys, those that were written.
      trainings: Folders of TensorBoard's logs, `.../<stage>/[<execution>/]model_run[/<execution>]`.
    """
    report = ingest = None
    if "ingest_report" in folders:
        ingest = artifact_json.read(folders["ingest_report"], REPORT_FILE)
    if "stage_report" in folders:
        report = artifact_json.read(folders["stage_report"], REPORT_FILE)
        report["verdicts"] = verdicts(report, folders)
    warm = (
        artifact_json.metrics(folders["float_checkpoint"]) if "float_checkpoint" in folders else {}
    )
    if report is not None:
        report["warnings"] += training_words.warnings(warm, ingest or {})
        if "float_checkpoint" in folders:
            trained = artifact_json.checkpoint(folders["float_checkpoint"])
            report["warnings"] += Expected.of(config).of_checkpoint(trained)
    searched = None
    if "settings_trials" in folders:
        searched = artifact_json.read(folders["settings_trials"], TRIALS_FILE)
    seeds = artifact_json.read(folders["seeds"], SEEDS_FILE) if "seeds" in folders else None
    described: list[Column] = []
    if {"schema", "statistics"} <= set(folders):
        described = _columns(folders["schema"], folders["statistics"])
    return Facts(
        config,
        code_digest,
        ingest=ingest,
        report=report,
        anomalies=_anomalies(folders["anomalies"]) if "anomalies" in folders else None,
        columns=described,
        trainings={_stage(logs): tensorboard.scalars(logs) for logs in trainings},
        commit=environment.commit(),
        versions=report["software"] if report else environment.versions(),
        warm=warm,
        settings_trials=searched,
        seeds=seeds,
    )


def _stage(logs: str) -> str:
    """Whose logs they are; Kubeflow may leave out the folder of the execution."""
    above = logs.rstrip("/").partition(f"/{MODEL_RUN}")[0].split("/")
    return next(part for part in reversed(above) if not EXECUTION.fullmatch(part))


def _splits(folder: str) -> dict[str, str]:
    """The folders of the splits by their names, the train split first."""
    result = sorted(glob.glob(os.path.join(glob.escape(folder), f"{_SPLIT}*")))
    named = {os.path.basename(path).removeprefix(_SPLIT): path for path in result}
    return dict(sorted(named.items(), key=lambda split: split[0] != "train"))


def _anomalies(folder: str) -> list[tuple[str, str, str]]:
    """(split, column, description) of what the gate let pass."""
    result = []
    for split, path in _splits(folder).items():
        content = io_utils.read_bytes_file(os.path.join(path, ANOMALIES_FILE))
        proto = anomalies_pb2.Anomalies.FromString(content)
        for column, info in sorted(proto.anomaly_info.items()):
            result.append((split, column, info.description))
    return result


def _columns(schema: str, statistics: str) -> list[Column]:
    """What the examples hold."""
    return columns.describe(
        io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema)),
        {split: _statistics(path) for split, path in _splits(statistics).items()},
    )


def _statistics(folder: str) -> columns.Statistics:
    path = os.path.join(folder, stats_artifact_utils.BINARY_PB_BASENAME)
    return columns.Statistics.FromString(io_utils.read_bytes_file(path))
