"""The function that TFX's Trainer calls, with arguments as TFX makes them."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tf_keras as keras

from ranklite.components import unfinished
from ranklite.components.trainer import expected, module
from ranklite.components.trainer.workers import free_ports
from ranklite.models.architectures import file_limit
from ranklite.models.architectures.checkpoint import MODEL_FILE, Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.architectures.file_limit import FileTooLarge
from ranklite.models.compression.file_size import Expected
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.training import checkpoints
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig

FEATURES = FeatureSet.model_validate({"features": [{"kind": "categorical", "name": "user"}]})
MODEL = DeepFMConfig(embedding_dim=4, hidden_units=(8,), embedding_stddev=0.1)


@pytest.fixture
def fn_args(clicks: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Arguments of a Trainer; the transform graph is replaced by the layout it would give."""

    def layout(folder: str, features: FeatureSet) -> Any:
        assert (folder, features) == ("transform-graph", FEATURES)
        return clicks.layout

    monkeypatch.setattr(module, "layout_from_transform", layout)
    folder = os.path.dirname(clicks.train[0])
    settings = TrainingConfig(batch_size=256, epochs=2, learning_rate=0.05)
    return SimpleNamespace(
        train_files=[f"{folder}/train-*"],
        eval_files=[f"{folder}/eval-*"],
        transform_output="transform-graph",
        serving_model_dir=str(tmp_path / "model" / "Format-Serving"),
        model_run_dir=str(tmp_path / "run"),
        hyperparameters=None,
        custom_config={
            "features": FEATURES.model_dump_json(),
            "model": MODEL.model_dump_json(),
            "training": settings.model_dump_json(),
            "code_digest": "unused here",
        },
    )


def test_writes_a_checkpoint_of_what_it_measured(clicks: Any, fn_args: Any) -> None:
    module.run_fn(fn_args)
    checkpoint = Checkpoint.load(fn_args.serving_model_dir)
    assert checkpoint.layout == clicks.layout
    assert checkpoint.config == MODEL
    measured = training.evaluate(checkpoint.model, clicks.layout, clicks.eval)
    assert measured["auc"] > 0.7
    for name, value in measured.items():
        assert checkpoint.metrics[name] == pytest.approx(value, rel=1e-6)
    assert checkpoint.metrics["steps"] == 2 * (2000 // 256)
    assert {"train", "validation"} <= set(os.listdir(fn_args.model_run_dir))


def test_a_model_that_no_file_can_hold_is_refused_before_it_is_built(
    fn_args: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_limit, "LARGEST", 1_000)
    monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("it trains"))
    with pytest.raises(FileTooLarge, match="can take 1 kB: user"):
        module.run_fn(fn_args)
    assert not os.path.exists(fn_args.serving_model_dir)


def test_large_files_are_told_before_training(
    fn_args: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(training, "fit", lambda *_, **__: 1 / 0)
    told = []
    for max_bytes in (1_000, 10**9):
        caplog.clear()
        to_ship = expected.expected(Expected(FEATURES, (), max_bytes))
        with to_ship, pytest.raises(ZeroDivisionError):
            module.run_fn(fn_args)
        told.append([record.getMessage() for record in caplog.records])
    assert any(line.startswith("attention: the shipped file takes") for line in told[0])
    assert not any("file takes" in line for line in told[1])


def test_a_bfloat16_training_ends_in_a_float32_checkpoint(clicks: Any, fn_args: Any) -> None:
    settings = TrainingConfig(batch_size=256, epochs=1, learning_rate=0.05, precision="bfloat16")
    fn_args.custom_config["training"] = settings.model_dump_json()
    module.run_fn(fn_args)
    checkpoint = Checkpoint.load(fn_args.serving_model_dir)
    assert {layer.compute_dtype for layer in checkpoint.model.layers if layer.weights} == {
        "float32"
    }
    scores, _ = training.predict(checkpoint.model, clicks.layout, clicks.eval)
    assert np.isfinite(scores).all()
    measured = training.evaluate(checkpoint.model, clicks.layout, clicks.eval)
    assert checkpoint.metrics["log_loss"] == pytest.approx(measured["log_loss"], rel=1e-6)


def test_a_warm_start_names_its_parent(
    fn_args: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    sizes = {"user": 40, "item": 30, "tags": 6}
    known = {name: [str(k) for k in range(size)] for name, size in sizes.items()}
    constants = SimpleNamespace(vocabularies=known)
    monkeypatch.setattr(module, "read_constants", lambda folder, features: constants)
    settings = TrainingConfig(batch_size=256, epochs=1, learning_rate=0.05, warm_start=True)
    fn_args.custom_config["training"] = settings.model_dump_json()
    folders = [tmp_path / f"Trainer/model/{k}/Format-Serving" for k in (7, 8)]
    result = []
    for folder, base in zip(folders, [None, str(folders[0])], strict=True):
        fn_args.serving_model_dir, fn_args.base_model = str(folder), base
        module.run_fn(fn_args)
        result.append(Checkpoint.load(str(folder)).metrics)
    assert result[0]["warm_started"] == 0
    assert "parent" not in result[0]
    digest = hashlib.sha256((folders[0] / MODEL_FILE).read_bytes()).hexdigest()
    assert result[1]["warm_started"] == 1
    assert result[1]["parent"] == {"folder": "Trainer/model/7", "sha256": digest}


def test_what_a_search_chose_replaces_what_is_configured(fn_args: Any) -> None:
    module.run_fn(fn_args)
    plain = Checkpoint.load(fn_args.serving_model_dir)
    assert plain.training == TrainingConfig(batch_size=256, epochs=2, learning_rate=0.05)
    assert "tuned" not in plain.metrics
    values = {"model.embedding_dim": 8, "model.hidden_units": [16, 4], "training.ridge": 2.5}
    fn_args.hyperparameters = {"space": [], "values": values}
    module.run_fn(fn_args)
    checkpoint = Checkpoint.load(fn_args.serving_model_dir)
    assert checkpoint.config == MODEL.model_copy(
        update={"embedding_dim": 8, "hidden_units": (16, 4)}
    )
    assert checkpoint.training == plain.training.model_copy(update={"ridge": 2.5})
    assert checkpoint.metrics["tuned"] == {
        "model": {"embedding_dim": 8, "hidden_units": [16, 4]},
        "training": {"ridge": 2.5},
    }
    fn_args.hyperparameters = {"values": {"training.ridge": -1.0}}
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        module.run_fn(fn_args)


def test_only_the_chief_writes(fn_args: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "fit", lambda *args, **kwargs: {})
    monkeypatch.setattr(training, "is_chief", lambda model: False)
    module.run_fn(fn_args)
    assert not os.path.exists(fn_args.serving_model_dir)


class Interrupted(Exception):
    """Ends a training from within."""


def test_a_killed_training_resumes_and_a_strangers_does_not(
    clicks: Any,
    fn_args: Any,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "MOST_SHARE", 1e9)
    began: list[int] = []
    fit, last = training.fit, [1]

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        def begin(epoch: int, logs: Any = None) -> None:
            began.append(epoch)
            if epoch == last[0]:
                raise Interrupted

        watch = keras.callbacks.LambdaCallback(on_epoch_begin=begin)
        return fit(*args, callbacks=[watch], **kwargs)

    monkeypatch.setattr(training, "fit", interrupted)

    def run(execution: int, ends_in: int, **changes: Any) -> list[int]:
        began.clear()
        last[0] = ends_in
        settings = TrainingConfig(batch_size=256, epochs=2, learning_rate=0.05, **changes)
        fn_args.custom_config["training"] = settings.model_dump_json()
        fn_args.model_run_dir = str(tmp_path / "Trainer" / "model_run" / str(execution))
        os.makedirs(fn_args.model_run_dir, exist_ok=True)
        module.run_fn(fn_args)
        return list(began)

    kept = tmp_path / "Trainer" / "model_run" / unfinished.FOLDER
    with pytest.raises(Interrupted):
        run(1, 1)
    (first,) = os.listdir(kept)
    with pytest.raises(Interrupted):
        run(2, 0, ridge=1.0)  # other settings: from the start, and what was left is of no use
    assert os.listdir(kept) == []
    with pytest.raises(Interrupted):
        run(3, 1)
    assert os.listdir(kept) == [first]
    assert run(4, -1) == [1]
    assert not kept.exists()


def test_missing_configuration_is_named(fn_args: Any) -> None:
    del fn_args.custom_config["training"]
    message = r"no 'training' \(it has .*'model'\]\): give it TrainingConfig\.model_dump_json"
    with pytest.raises(ValueError, match=message):
        module.run_fn(fn_args)


def test_pattern_without_files_is_named(fn_args: Any) -> None:
    fn_args.eval_files = ["nowhere/*"]
    with pytest.raises(ValueError, match=r"eval_files match no file: \['nowhere/\*'\]"):
        module.run_fn(fn_args)


WORKER = """
import functools, json, os, signal, sys, types
import tensorflow as tf
import tf_keras as keras
from ranklite.components.trainer import module
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import checkpoints, fit
arguments, layout, kill = json.loads(sys.argv[1])
checkpoints.LEAST_SECONDS, checkpoints.MOST_SHARE, checkpoints.LOOK_STEPS = 0.0, 1e9, 2

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == kill:
            os.kill(os.getpid(), signal.SIGKILL)

fit.fit = functools.partial(fit.fit, callbacks=[Kill()])

def read(folder, features):
    tf.constant(1) + 1  # as reading a graph does: strategies want to be there before
    return FeatureLayout.from_dict(layout)

module.layout_from_transform = read
module.run_fn(types.SimpleNamespace(**arguments))
"""


def train_in_processes(
    clicks: Any, arguments: SimpleNamespace, workers: int, kill: int = -1
) -> list[int]:
    """Runs the Trainer's function once a worker, each in a process of its own.

    Args:
      clicks: The data.
      arguments: Of the function.
      workers: How many.
      kill: Step after which they kill themselves.

    Returns:
      How each process ended; all are killed where one did not end well.
    """
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(workers)]}
    processes = []
    for index in range(workers):
        settings = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-X",
                    "faulthandler",
                    "-c",
                    WORKER,
                    json.dumps([vars(arguments), clicks.layout.to_dict(), kill]),
                ],
                env={**os.environ, "TF_CONFIG": json.dumps(settings), "TF_USE_LEGACY_KERAS": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )

    def printed_by(process: subprocess.Popen[str]) -> str:
        try:
            return process.communicate(timeout=300)[0]
        finally:
            if process.returncode != 0:  # the others would wait for it
                for each in processes:
                    each.kill()

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        printed = list(pool.map(printed_by, processes))
    codes = [process.returncode for process in processes]
    assert set(codes) <= {0, -signal.SIGKILL}, printed
    return codes


@pytest.mark.slow
@pytest.mark.parametrize(("count", "shard_tables"), [(2, False), (2, True), (4, True)])
def test_workers_train_the_model_of_one(
    clicks: Any, fn_args: Any, tmp_path: pathlib.Path, count: int, shard_tables: bool
) -> None:
    # Batch normalization and dropout see a worker's share of the batch: they would differ.
    model = MODEL.model_copy(update={"batch_norm": False, "dropout": 0.0})
    settings = {"batch_size": 256, "epochs": 1, "learning_rate": 0.05, "oov_rate": 0.0}
    trained = []
    sharded = {"strategy": "multi_worker", "shard_tables": shard_tables}
    for workers, changes in ((1, {}), (count, sharded)):
        training_config = TrainingConfig(**settings, **changes)
        fn_args.custom_config |= {
            "model": model.model_dump_json(),
            "training": training_config.model_dump_json(),
        }
        fn_args.serving_model_dir = str(tmp_path / f"{workers}")
        fn_args.model_run_dir = str(tmp_path / f"{workers}-logs")
        assert train_in_processes(clicks, fn_args, workers) == [0] * workers
        trained.append(Checkpoint.load(fn_args.serving_model_dir))
    assert trained[1].metrics["steps"] == trained[0].metrics["steps"] > 0
    assert trained[1].metrics["log_loss"] == pytest.approx(trained[0].metrics["log_loss"], abs=1e-5)
    for one, two in zip(*(c.model.get_weights() for c in trained), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.slow
@pytest.mark.fault("workers of a training are killed", "resumed; the same weights bit by bit")
def test_workers_that_were_killed_resume(clicks: Any, fn_args: Any, tmp_path: pathlib.Path) -> None:
    settings = TrainingConfig(
        batch_size=256,
        epochs=2,
        learning_rate=0.05,
        strategy="multi_worker",
        shard_tables=True,
    )
    fn_args.custom_config["training"] = settings.model_dump_json()
    weights = []
    for place, kills in (("undisturbed", (-1,)), ("killed", (12, -1))):
        for kill in kills:
            fn_args.serving_model_dir = str(tmp_path / place / f"{kill}")
            fn_args.model_run_dir = str(tmp_path / place / "model_run" / f"{kill}")
            codes = train_in_processes(clicks, fn_args, 2, kill)
            assert codes == ([0, 0] if kill < 0 else [-signal.SIGKILL] * 2)
        assert unfinished.FOLDER not in os.listdir(tmp_path / place / "model_run")
        weights.append(Checkpoint.load(fn_args.serving_model_dir).model.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, two)
