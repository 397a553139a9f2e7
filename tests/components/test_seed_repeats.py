"""SeedRepeats: other seeds are trained as the run's own was, kept, and judged on the same rows."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import pytest
from tfx.types import standard_artifacts

from ranklite.components import artifact_io
from ranklite.components.artifact_types import SeedFigures, Trials
from ranklite.components.seed_repeats.executor import Executor
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression import seed_repeats
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.seed_repeats import further_seeds
from ranklite.models.compression.technique import MAX_TEACHERS, Setting
from ranklite.models.compression.techniques import from_json
from ranklite.models.evaluation import metrics
from ranklite.models.export import export_target
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.notebook.prepared import Prepared
from ranklite.models.training import float_model
from ranklite.models.training.calibrated import calibrated
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.fit import TrainingFailed
from tests.click_log import FEATURES, artifact, clicks, examples

MODEL = DeepFMConfig(embedding_dim=4, hidden_units=(8,), dropout=0.1)
TRAINING = TrainingConfig(batch_size=64, epochs=2, learning_rate=0.02, ridge=0.5, seed=7)
QUANTIZE = {"technique": "quantize", "epochs": 1}
PRUNE = {"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1}


@dataclasses.dataclass
class Stage:
    """The inputs of a node in a folder."""

    folder: pathlib.Path
    data: Prepared
    inputs: dict[str, list[Any]]

    def run(self, work: str, inputs: dict[str, list[Any]] | None = None, **changes: Any) -> Any:
        """What is in `seeds.json`."""
        made = artifact(SeedFigures, self.folder / "seeds")
        properties = {
            "repeat": 3,
            "steps": json.dumps([QUANTIZE]),
            "features": FEATURES.model_dump_json(),
            "split": "test",
            "target": "tflite",
            "calibration": "auto",
            "work_dir": str(self.folder / work),
            "code_digest": "c0de",
        }
        Executor().Do(
            {**self.inputs, **(inputs or {})}, {"seeds": [made]}, {**properties, **changes}
        )
        return json.loads(pathlib.Path(made.uri, "seeds.json").read_text("utf-8"))

    def kept(self, work: str) -> dict[str, int]:
        """When the file of each finished seed was written."""
        files = (self.folder / work).glob("*/seed-*/seed.json")
        return {path.parent.name: path.stat().st_mtime_ns for path in files}

    def model(self, checkpoint: Checkpoint, name: str) -> list[Any]:
        made = artifact(standard_artifacts.Model, self.folder / name)
        artifact_io.save(checkpoint, [made])
        return [made]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("run")
    tables = {"train": clicks(2000, 1), "eval": clicks(500, 2), "test": clicks(400, 3)}
    data = Prepared.make(tables["train"], tables["eval"], FEATURES)
    inputs = {
        "transformed_examples": [examples(folder / "examples", tables, data.graph)],
        "transform_graph": [artifact(standard_artifacts.TransformGraph, pathlib.Path(data.graph))],
    }
    made = Stage(folder, data, inputs)
    made.inputs["base_model"] = made.model(data.trained(MODEL, TRAINING), "float")
    return made


def test_seeds_are_apart_from_those_of_teachers() -> None:
    assert further_seeds(42, 1) == []
    assert further_seeds(42, 4) == [1042, 2042, 3042]
    every = [42, *further_seeds(42, 20)]
    teachers = {seed + 1 + k for seed in every for k in range(MAX_TEACHERS)}
    assert not teachers & set(every)
    assert further_seeds(2**31 - 1, 2) == [999]  # within what `training.seed` may be


@pytest.mark.slow
def test_other_seeds_are_measured_as_the_pipeline_measures(stage: Stage) -> None:
    written = stage.run("work")
    assert written["split"] == "test"
    assert [seed["seed"] for seed in written["seeds"]] == [1007, 2007]
    for seed in written["seeds"]:
        assert not seed["error"]
        assert list(seed["figures"]) == ["float", "control", "shipped"]
        assert all(figures["auc"] > 0.6 for figures in seed["figures"].values())
    assert written["seeds"][0]["figures"] != written["seeds"][1]["figures"]

    # By hand, with the pieces of Trainer, Quantizer, Exporter and FileValidator.
    data = stage.data
    training = TRAINING.model_copy(update={"seed": 1007})
    checkpoint = data.trained(MODEL, training)
    setting = Setting(FEATURES, data.splits, training)
    small = apply(from_json(json.dumps(QUANTIZE)), checkpoint, setting).model
    files = artifact_io.split_files(stage.inputs["transformed_examples"], "test")
    inputs, labels, texts = transformed_inputs(read_records(files), data.layout, ["group"])
    target = export_target("tflite")
    for name, model in (("float", checkpoint), ("shipped", small)):
        ending = calibrated(model, data.splits.eval, "auto")
        file = target.load(target.export(ending, data.raw_features(ending)))
        expected = metrics.ranking_metrics(labels, file.score(inputs), texts["group"])
        assert written["seeds"][0]["figures"][name] == pytest.approx(expected, abs=1e-6)

    # A larger `repeat` trains only what is new; other steps begin anew.
    before = stage.kept("work")
    more = stage.run("work", repeat=4)
    assert more["seeds"][:2] == written["seeds"]
    after = stage.kept("work")
    assert after.keys() - before.keys() == {"seed-3007"}
    assert {name: after[name] for name in before} == before
    stage.run("work", repeat=2, steps="[]")
    assert stage.kept("work").keys() == {"seed-1007"}


@pytest.mark.slow
def test_a_killed_stage_goes_on_with_the_seeds_that_are_left(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = float_model.trained

    def killed(layout: Any, config: Any, training: TrainingConfig, *rest: Any) -> Checkpoint:
        if training.seed == 2007:
            raise KeyboardInterrupt
        return real(layout, config, training, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(seed_repeats.float_model, "trained", killed)
        with pytest.raises(KeyboardInterrupt):
            stage.run("killed", steps="[]")
    kept = stage.kept("killed")
    assert kept.keys() == {"seed-1007"}
    written = stage.run("killed", steps="[]")
    assert stage.kept("killed")["seed-1007"] == kept["seed-1007"]
    assert [seed["seed"] for seed in written["seeds"]] == [1007, 2007]
    figures = written["seeds"][1]["figures"]
    assert figures["float"] == figures["shipped"]  # nothing was compressed
    assert "control" not in figures


@pytest.mark.slow
def test_a_seed_that_does_not_train_says_why_and_stops_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a search for settings chose stands in the float checkpoint.
    tuned = TRAINING.model_copy(update={"learning_rate": 0.05, "epochs": 1})
    chosen = MODEL.model_copy(update={"embedding_dim": 2})
    base = stage.model(stage.data.trained(chosen, tuned), "tuned")
    asked: list[tuple[Any, TrainingConfig]] = []

    def failing(layout: Any, config: Any, training: TrainingConfig, *rest: Any) -> Checkpoint:
        asked.append((config, training))
        raise TrainingFailed("the loss is not finite")

    monkeypatch.setattr(seed_repeats.float_model, "trained", failing)
    written = stage.run("failing", {"base_model": base})
    assert written["seeds"] == [
        {"seed": seed, "figures": {}, "error": "the loss is not finite"} for seed in (1007, 2007)
    ]
    assert asked == [(chosen, tuned.model_copy(update={"seed": seed})) for seed in (1007, 2007)]


@pytest.mark.slow
def test_the_recipe_that_a_search_chose_is_repeated(stage: Stage) -> None:
    trials = Trials()
    trials.uri = str(stage.folder / "trials")
    pathlib.Path(trials.uri).mkdir()
    tried = [{"name": "none", "steps": []}, {"name": "both", "steps": [PRUNE, QUANTIZE]}]
    text = json.dumps({"chosen": "both", "trials": tried})
    pathlib.Path(trials.uri, "trials.json").write_text(text, encoding="utf-8")
    (seed,) = stage.run("searched", {"trials": [trials]}, repeat=2, steps="[]")["seeds"]
    assert list(seed["figures"]) == ["float", "control", "shipped"]
    assert seed["figures"]["shipped"]["log_loss"] != seed["figures"]["float"]["log_loss"]


@pytest.mark.slow
def test_a_checkpoint_that_says_no_training_is_refused(stage: Stage) -> None:
    (base,) = stage.inputs["base_model"]
    silent = dataclasses.replace(artifact_io.load([base]), training=None)
    with pytest.raises(ValueError, match="does not say how it was trained"):
        stage.run("silent", {"base_model": stage.model(silent, "silent-model")})
