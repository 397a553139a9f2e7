"""Executor of BudgetSearch."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from ranklite.components import artifact_io, finished_trials, run_logs
from ranklite.components.artifact_json import TRIALS_FILE
from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.config import Search
from ranklite.models.compression.search.search import SearchResult, search
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques import from_json
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.export import export_target
from ranklite.models.export.target import LoadedModel
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.slices import GROUP
from ranklite.models.training.calibrated import calibrated
from ranklite.models.training.config import TrainingConfig

_KEYS = ("target", "calibration", "code_digest")  # of the properties

_log = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Searches for the best recipe within a budget."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Tries recipes, measures the files they give, and hands on the chosen one's model.

        Args:
          input_dict:
            - base_model: Model with the float checkpoint.
            - teacher_0, ...: Models with float checkpoints, where a recipe distils.
            - transformed_examples: Examples, splits `train` and `eval`.
            - transform_graph: TransformGraph, for the tables of the raw signature.
          output_dict:
            - model: Model with the chosen checkpoint.
            - control: Model with the float checkpoint before the last step, trained as long.
            - trials: Trials.
            - model_run: TensorBoard's logs, a run a trial with its HParams.
          exec_properties:
            - config: JSON of a Search.
            - features: JSON of a FeatureSet.
            - training: JSON of the TrainingConfig of the float model, where its checkpoint does
              not say it.
            - gates: JSON of the GatesConfig: recipes that pass are preferred.
            - work_dir: Folder that keeps finished trials until the inputs or the code change: a
              search that was killed goes on, and one with another budget tries only what is new.
            - target: Name of the export target.
            - calibration: How the scores of files are calibrated.
            - code_digest: Keys the cache and the finished trials.

        Raises:
          NothingFits: No recipe fits the model.
        """
        features = FeatureSet.model_validate_json(exec_properties["features"])
        base = artifact_io.load(input_dict["base_model"])
        setting = artifact_io.setting(
            input_dict,
            features,
            base.training or TrainingConfig.model_validate_json(exec_properties["training"]),
        )
        raw = artifact_io.raw_features(input_dict, features, base.layout)
        shipped_as = export_target(exec_properties["target"])
        inputs, labels, texts = transformed_inputs(
            read_records(setting.splits.eval), base.layout, [GROUP] if features.user else []
        )

        def export(checkpoint: Checkpoint) -> LoadedModel:
            ending = calibrated(checkpoint, setting.splits.eval, exec_properties["calibration"])
            return shipped_as.load(shipped_as.export(ending, raw))

        logs = artifact_utils.get_single_uri(output_dict["model_run"])
        os.makedirs(logs, exist_ok=True)
        finished = finished_trials.folder(
            exec_properties["work_dir"],
            finished_trials.digest(input_dict, *(exec_properties[key] for key in _KEYS)),
        )
        with run_logs.kept(logs):
            result = search(
                Search.model_validate_json(exec_properties["config"]),
                base,
                setting,
                export,
                inputs,
                labels,
                finished,
                gates=GatesConfig.model_validate_json(exec_properties["gates"]),
                users=texts.get(GROUP),
                log_dir=logs,
            )
            with progress.part("control"):
                control = _control(result, setting)
        if result.miss:
            _log.warning("%s", result.miss)
        self._write_trials(result, artifact_utils.get_single_uri(output_dict["trials"]))
        chosen = {"recipe": result.chosen.name, "trials": len(result.trials)}
        artifact_io.save(
            dataclasses.replace(result.model, metrics={**result.model.metrics, **chosen}),
            output_dict["model"],
        )
        artifact_io.save(control, output_dict["control"])
        progress.report(figures={"auc": result.chosen.figures["auc"]})

    def _write_trials(self, result: SearchResult, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, TRIALS_FILE), "w", encoding="utf-8") as file:
            data = {
                "chosen": result.chosen.name,
                "miss": result.miss,
                "front": result.front,
                "trials": [dataclasses.asdict(trial) for trial in result.trials],
            }
            json.dump(data, file, indent=2)


def _control(result: SearchResult, setting: Setting) -> Checkpoint:
    """The float model that the chosen one's last step is to be compared with."""
    steps = result.chosen.steps
    if not steps:
        return result.before_last
    return from_json(json.dumps(steps[-1])).control(result.before_last, setting)
