"""Executor of SettingsSearch."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from ranklite.components import artifact_io, finished_trials, run_logs
from ranklite.components.artifact_json import TRIALS_FILE
from ranklite.components.trainer.hyperparameters import write
from ranklite.models import progress
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.compression.search.hparams import log_run, run_settings, show_columns
from ranklite.models.features.constants import layout_from_transform
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.slices import GROUP
from ranklite.models.search_space import SPACE
from ranklite.models.training import data, rules
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.tuning import Tuned, search
from ranklite.models.training.tuning_config import Tune, merged, sections
from ranklite.models.training.tuning_trials import Trials

_SHOWN = ("auc", "log_loss", "calibration")  # figures of a trial


class Executor(base_executor.BaseExecutor):
    """Searches settings on the validation split."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Trains models with other settings, and hands on those of the best one.

        Args:
          input_dict:
            - transformed_examples: Examples, splits `train` and `eval`.
            - transform_graph: TransformGraph.
          output_dict:
            - best_hyperparameters: HyperParameters, of every setting that was searched, also where
              the value is the configured one.
            - trials: Trials.
            - model_run: TensorBoard's logs, a run a trial with its HParams.
          exec_properties:
            - config: JSON of a Tune.
            - space: JSON of the values of each setting that is searched.
            - features: JSON of a FeatureSet.
            - model: JSON of the settings of a family.
            - training: JSON of a TrainingConfig.
            - work_dir: Folder that keeps finished trials until the inputs or the code change: a
              search that was killed goes on, and a longer one tries only what is new.
            - code_digest: Keys the cache and the finished trials.

        Raises:
          NothingTrained: No trial came to its end.
        """
        features = FeatureSet.model_validate_json(exec_properties["features"])
        model = parse_settings(json.loads(exec_properties["model"]))
        training = TrainingConfig.model_validate_json(exec_properties["training"])
        splits = artifact_io.splits(input_dict["transformed_examples"])
        graph = artifact_utils.get_single_uri(input_dict["transform_graph"])
        layout = layout_from_transform(graph, features)
        # The search begins with the settings as they are without one.
        rows = data.count_rows(splits.train, layout)
        rate = rules.learning_rate(training, rows)
        training = training.model_copy(update={"learning_rate": rate})
        _, labels, texts = transformed_inputs(
            read_records(splits.eval), layout, [GROUP] if features.user else []
        )
        finished = finished_trials.folder(
            exec_properties["work_dir"],
            finished_trials.digest(input_dict, exec_properties["code_digest"]),
        )
        logs = artifact_utils.get_single_uri(output_dict["model_run"])
        os.makedirs(logs, exist_ok=True)
        with run_logs.kept(logs):
            tuned = search(
                Tune.model_validate_json(exec_properties["config"]),
                SPACE.validate_json(exec_properties["space"]),
                model,
                training,
                Trials(layout, model, training, splits, finished),
                labels,
                texts.get(GROUP),
            )
            _log(tuned, model, training, logs)
        chosen = tuned.trials[tuned.chosen]
        write(chosen.settings, artifact_utils.get_single_uri(output_dict["best_hyperparameters"]))
        _write_trials(tuned, artifact_utils.get_single_uri(output_dict["trials"]))
        progress.report(figures={"auc": chosen.figures["auc"]})


def _log(tuned: Tuned, model: FamilySettings, training: TrainingConfig, folder: str) -> None:
    """A run in TensorBoard for each trial, with all settings, as that of the pipeline's run."""
    names: dict[str, None] = {}
    for number, trial in enumerate(tuned.trials):
        parts = zip(("model", "training"), merged(model, training, trial.settings), strict=True)
        settings = run_settings({name: part.model_dump(mode="json") for name, part in parts})
        figures = {name: trial.figures[name] for name in _SHOWN if name in trial.figures}
        log_run(os.path.join(folder, f"trial_{number + 1:03}"), settings, figures)
        names |= dict.fromkeys(settings)
    show_columns(folder, names, _SHOWN)


def _write_trials(tuned: Tuned, folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    data = {
        "chosen": tuned.chosen,
        "best": tuned.best,
        "gain": tuned.gain,
        "noise": tuned.noise,
        "settings": sections(tuned.trials[tuned.chosen].settings),
        "trials": [dataclasses.asdict(trial) for trial in tuned.trials],
    }
    with open(os.path.join(folder, TRIALS_FILE), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=2)
