"""From SettingsSearch over TFX's Trainer to a compressor: they train with what was chosen."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tfx.components.trainer.executor import GenericExecutor
from tfx.proto import trainer_pb2
from tfx.types import channel, standard_artifacts
from tfx.utils import proto_utils

from ranklite.components import artifact_io
from ranklite.components.artifact_types import Trials
from ranklite.components.budget_search.executor import Executor as BudgetSearch
from ranklite.components.compressor.executor import Executor as Compressor
from ranklite.components.settings_search.component import SettingsSearch
from ranklite.components.settings_search.executor import Executor
from ranklite.models.architectures.checkpoint import SPEC_FILE, Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression import fine_tuning
from ranklite.models.compression.config import Search
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.notebook.prepared import Prepared
from ranklite.models.search_space import SPACE
from ranklite.models.training import tuning_trials
from ranklite.models.training.config import TrainingConfig
from tests.click_log import FEATURES, artifact, clicks, examples

MODEL = DeepFMConfig(embedding_dim=4, hidden_units=(8,), dropout=0.0)
# A rate at which two epochs teach next to nothing: the search finds a better one by far.
TRAINING = TrainingConfig(batch_size=64, epochs=2, learning_rate=1e-5, ridge=1.5)
SPACE_JSON = json.dumps(
    {
        "model.embedding_dim": {"values": [4, 8]},
        "training.learning_rate": {"low": 0.01, "high": 0.05, "log": True},
    }
)


@dataclasses.dataclass
class Stage:
    """Inputs and outputs of stages in a folder."""

    folder: pathlib.Path
    inputs: dict[str, list[Any]]

    def output(self, kind: Any, name: str) -> list[Any]:
        return [artifact(kind, self.folder / name)]

    def search(self, name: str, **changes: Any) -> dict[str, list[Any]]:
        outputs = {
            "best_hyperparameters": self.output(standard_artifacts.HyperParameters, f"{name}/best"),
            "trials": self.output(Trials, f"{name}/trials"),
            "model_run": self.output(standard_artifacts.ModelRun, f"{name}/logs"),
        }
        properties = {
            "config": json.dumps({"trials": 4}),
            "space": SPACE_JSON,
            "features": FEATURES.model_dump_json(),
            "model": MODEL.model_dump_json(),
            "training": TRAINING.model_dump_json(),
            "work_dir": str(self.folder / "work"),
            "code_digest": "c0de",
        }
        Executor().Do(self.inputs, outputs, {**properties, **changes})
        return outputs


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("run")
    tables = {"train": clicks(2000, 1), "eval": clicks(500, 2)}
    data = Prepared.make(tables["train"], tables["eval"], FEATURES)
    graph = artifact(standard_artifacts.TransformGraph, folder / "graph")
    pathlib.Path(data.graph).rename(graph.uri)
    transformed = examples(folder / "examples", tables, graph.uri)
    return Stage(folder, {"transformed_examples": [transformed], "transform_graph": [graph]})


@pytest.fixture(scope="module")
def searched(stage: Stage) -> dict[str, list[Any]]:
    return stage.search("first")


def read(artifacts: list[Any], name: str) -> Any:
    return json.loads(pathlib.Path(artifacts[0].uri, name).read_text("utf-8"))


@pytest.mark.slow
def test_it_writes_what_trainer_reads_and_what_people_see(
    stage: Stage, searched: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = read(searched["trials"], "trials.json")
    assert len(trials["trials"]) == 4
    assert trials["trials"][0]["settings"] == {
        "model.embedding_dim": 4,
        "training.learning_rate": 1e-5,
    }
    assert trials["trials"][0]["figures"]["auc"] < 0.6
    assert trials["chosen"] == trials["best"] > 0
    assert trials["gain"] > 3 * trials["noise"] > 0
    best = trials["trials"][trials["best"]]
    assert read(searched["best_hyperparameters"], "best_hyperparameters.txt") == {
        "space": [],
        "values": best["settings"],
    }
    rate = best["settings"]["training.learning_rate"]
    assert trials["settings"]["training"] == {"learning_rate": rate}
    # TensorBoard: a run a trial, with all settings of model and training.
    logs = EventAccumulator(f"{searched['model_run'][0].uri}/trial_{trials['best'] + 1:03}")
    logs.Reload()
    shown = tf.make_ndarray(logs.Tensors("trial/auc")[0].tensor_proto)
    assert shown == pytest.approx(best["figures"]["auc"])
    content = logs.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    started = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert started.hparams["training.learning_rate"].number_value == rate
    assert started.hparams["model.hidden_units"].string_value == "8"

    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr(tuning_trials.training, "fit", never)
    again = stage.search("again")  # as after a failure behind the last trial
    assert read(again["trials"], "trials.json") == trials
    with pytest.raises(AssertionError, match="trained again"):
        stage.search("edited", code_digest="edited")


def train(stage: Stage, hyperparameters: list[Any]) -> list[Any]:
    """The Model of TFX's own executor."""
    outputs = {
        "model": stage.output(standard_artifacts.Model, "trainer/model"),
        "model_run": stage.output(standard_artifacts.ModelRun, "trainer/logs"),
    }
    settings = {"features": FEATURES, "model": MODEL, "training": TRAINING}
    GenericExecutor().Do(
        {
            "examples": stage.inputs["transformed_examples"],
            "transform_graph": stage.inputs["transform_graph"],
            "hyperparameters": hyperparameters,
        },
        outputs,
        {
            "run_fn": "ranklite.components.trainer.module.run_fn",
            "train_args": proto_utils.proto_to_json(trainer_pb2.TrainArgs(splits=["train"])),
            "eval_args": proto_utils.proto_to_json(trainer_pb2.EvalArgs(splits=["eval"])),
            "custom_config": json.dumps({k: v.model_dump_json() for k, v in settings.items()}),
        },
    )
    return outputs["model"]


@pytest.mark.slow
def test_the_stages_behind_it_train_with_what_was_chosen(
    stage: Stage, searched: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = read(searched["trials"], "trials.json")
    chosen = trials["settings"]
    model = train(stage, searched["best_hyperparameters"])
    checkpoint = artifact_io.load(model)
    assert checkpoint.config.embedding_dim == chosen["model"]["embedding_dim"]
    assert checkpoint.config.hidden_units == MODEL.hidden_units
    rate = chosen["training"]["learning_rate"]
    assert checkpoint.training == TRAINING.model_copy(update={"learning_rate": rate})
    assert checkpoint.metrics["tuned"] == chosen
    assert checkpoint.metrics["auc"] == trials["trials"][trials["chosen"]]["figures"]["auc"]

    fitted: list[TrainingConfig] = []
    real = fine_tuning._training.fit

    def noted(*args: Any, **kwargs: Any) -> Any:
        fitted.append(args[4])
        return real(*args, **kwargs)

    monkeypatch.setattr(fine_tuning._training, "fit", noted)
    # The configuration says another ridge than the checkpoint was trained with.
    properties = {
        "features": FEATURES.model_dump_json(),
        "training": TRAINING.model_copy(update={"ridge": 77.0}).model_dump_json(),
        "code_digest": "",
    }
    prune = {"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1}
    outputs = {
        "model": stage.output(standard_artifacts.Model, "pruner/model"),
        "model_run": stage.output(standard_artifacts.ModelRun, "pruner/logs"),
    }
    Compressor().Do(
        {"base_model": model, "transformed_examples": stage.inputs["transformed_examples"]},
        outputs,
        {**properties, "config": json.dumps(prune)},
    )
    assert artifact_io.load(outputs["model"]).training == checkpoint.training
    search = {
        **{
            name: stage.output(standard_artifacts.Model, f"budget/{name}")
            for name in ("model", "control")
        },
        "trials": stage.output(Trials, "budget/trials"),
        "model_run": stage.output(standard_artifacts.ModelRun, "budget/logs"),
    }
    BudgetSearch().Do(
        {"base_model": model, **stage.inputs},
        search,
        {
            **properties,
            "config": Search.model_validate({"recipes": {"half": [prune]}}).model_dump_json(),
            "gates": GatesConfig().model_dump_json(),
            "target": "tflite",
            "calibration": "auto",
            "work_dir": str(stage.folder / "budget-work"),
        },
    )
    assert [settings.ridge for settings in fitted] == [1.5, 1.5]


def test_a_checkpoint_of_before_is_loaded_without_its_training(
    clicks: Any, tmp_path: pathlib.Path
) -> None:
    from ranklite.models.training import fit

    model = fit.build(clicks.layout, MODEL, TRAINING)
    Checkpoint(model, clicks.layout, MODEL, training=TRAINING).save(str(tmp_path))
    assert Checkpoint.load(str(tmp_path)).training == TRAINING
    spec = json.loads((tmp_path / SPEC_FILE).read_text())
    del spec["training"]
    (tmp_path / SPEC_FILE).write_text(json.dumps(spec))
    assert Checkpoint.load(str(tmp_path)).training is None


def test_its_node() -> None:
    node = SettingsSearch(
        transformed_examples=channel.Channel(type=standard_artifacts.Examples),
        transform_graph=channel.Channel(type=standard_artifacts.TransformGraph),
        config=json.dumps({"minutes": 5}),
        space=SPACE_JSON,
        features="{}",
        model="{}",
        training="{}",
        work_dir="work",
        code_digest="1",
    )
    assert node.id == "SettingsSearch"
    assert node.outputs["best_hyperparameters"].type is standard_artifacts.HyperParameters
    assert set(SPACE.validate_json(node.exec_properties["space"])) == {
        "model.embedding_dim",
        "training.learning_rate",
    }
    with pytest.raises(ValueError, match="give `minutes`, `trials`, or both"):
        SettingsSearch(**{**node.exec_properties, "config": "{}"}, **node.inputs)
