"""Executor of SeedRepeats."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from ranklite.components import artifact_io, artifact_json, finished_trials
from ranklite.components.artifact_json import SEEDS_FILE, TRIALS_FILE
from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.seed_repeats import Judged, SeedRepeats, further_seeds
from ranklite.models.compression.technique import Technique
from ranklite.models.compression.techniques import from_json
from ranklite.models.export import export_target
from ranklite.models.export.target import LoadedModel
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.slices import GROUP

# Of the properties: what figures of a seed depend on. More seeds leave those as they were.
_KEYS = ("steps", "features", "split", "target", "calibration", "code_digest")


class Executor(base_executor.BaseExecutor):
    """Repeats training and compression with other seeds."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Trains, compresses and measures a model for each seed but the run's own.

        Args:
          input_dict:
            - base_model: Model with the float checkpoint, which says its settings, those that a
              search chose included.
            - teacher_0, ...: Models with float checkpoints, where the recipe distils.
            - transformed_examples: Examples.
            - transform_graph: TransformGraph, for the tables of the raw signature.
            - ingest_report: IngestReport with what the file stores of the past, if anything.
            - trials: Trials of the search that chose the recipe, if there was one.
          output_dict:
            - seeds: SeedFigures.
          exec_properties:
            - repeat: How many seeds there are, the run's own included.
            - steps: JSON of the list of compression steps, where no search chose them.
            - features: JSON of a FeatureSet.
            - split: The split to measure on.
            - target: Name of the export target.
            - calibration: How the scores of files are calibrated.
            - work_dir: Folder that keeps finished seeds until the inputs or the code change: a
              stage that was killed goes on, and a larger `repeat` trains only what is new.
            - code_digest: Keys the cache and the finished seeds.

        Raises:
          ValueError: The float checkpoint does not say how it was trained.
        """
        features = FeatureSet.model_validate_json(exec_properties["features"])
        base = artifact_io.load(input_dict["base_model"])
        if base.training is None:
            raise ValueError("the float checkpoint does not say how it was trained: train it anew")
        setting = artifact_io.setting(input_dict, features, base.training)
        raw = artifact_io.raw_features(input_dict, features, base.layout)
        shipped_as = export_target(exec_properties["target"])

        def export(checkpoint: Checkpoint) -> LoadedModel:
            return shipped_as.load(shipped_as.export(checkpoint, raw))

        split = exec_properties["split"]
        files = artifact_io.split_files(input_dict["transformed_examples"], split)
        columns = [GROUP] if features.user else []
        inputs, labels, texts = transformed_inputs(read_records(files), base.layout, columns)
        repeats = SeedRepeats(
            base,
            _steps(input_dict.get("trials"), exec_properties["steps"]),
            setting,
            export,
            exec_properties["calibration"],
            Judged(files, inputs, labels, texts.get(GROUP)),
            finished_trials.folder(
                exec_properties["work_dir"],
                finished_trials.digest(input_dict, *(exec_properties[key] for key in _KEYS)),
            ),
        )
        seeds = further_seeds(base.training.seed, exec_properties["repeat"])
        results = []
        for number, seed in enumerate(seeds):
            with progress.part(f"seed {seed}", number, len(seeds)):
                results.append(repeats.run(seed))
        folder = artifact_utils.get_single_uri(output_dict["seeds"])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, SEEDS_FILE), "w", encoding="utf-8") as file:
            json.dump({"split": split, "seeds": results}, file, indent=2)


def _steps(trials: list[Any] | None, configured: str) -> list[Technique[Any]]:
    """The recipe: the one that a search chose, or the configured one."""
    steps = json.loads(configured)
    if trials:
        tried = artifact_json.read(artifact_utils.get_single_uri(trials), TRIALS_FILE)
        (steps,) = (t["steps"] for t in tried["trials"] if t["name"] == tried["chosen"])
    return [from_json(json.dumps(step)) for step in steps]
