"""A training that was killed resumes, and gives the weights of one that was not."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tf_keras as keras

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques import from_json
from ranklite.models.training import checkpoints, in_memory, resume
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits

MODEL = DeepFMConfig(
    embedding_dim=4, hidden_units=(16,), embedding_stddev=0.1, dropout=0.3, batch_norm=True
)

# Kills itself as an eviction would, without a last word, in the third step after epoch `argv[3]`.
KILLED = """
import functools, os, signal, sys, json
import numpy as np
import tensorflow as tf
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import checkpoints, fit as training, in_memory, resume
from ranklite.models.training.config import TrainingConfig
import tf_keras as keras

folder, place, kill, files = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
checkpoints.LEAST_SECONDS, checkpoints.MOST_SHARE = 0.0, 1e9
checkpoints.LOOK_STEPS = files["look"]
layout = FeatureLayout.build([("user", 1, 40), ("item", 1, 30), ("tags", 3, 6)], ["x"])
model = DeepFMConfig.model_validate_json(files["model"])
settings = TrainingConfig.model_validate_json(files["training"])
if settings.strategy == "mirrored":
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    tf.distribute.MirroredStrategy = functools.partial(tf.distribute.MirroredStrategy, devices)

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == kill * (2000 // 256) + 3:
            os.kill(os.getpid(), signal.SIGKILL)

with resume.kept(os.path.join(folder, "work")):
    logits = training.build(layout, model, settings)
    result = training.fit(
        logits, layout, files["train"], files["eval"], settings,
        log_dir=os.path.join(folder, place), callbacks=[Kill()],
    )
    held = {f"w{k}": w for k, w in enumerate(logits.get_weights())}
np.savez(os.path.join(folder, f"{place}.npz"), result=json.dumps(result), **held)
"""


def run(folder: pathlib.Path, place: str, kill: int, given: dict[str, Any]) -> int:
    """Trains in a process of its own; returns how it ended."""
    arguments = [str(folder), place, str(kill), json.dumps(given)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    ("look", "changes"),
    [
        (50, {"schedule": "cosine", "ema": 0.9, "oov_rate": 0.1}),
        (50, {"schedule": "plateau", "patience": 5, "embedding_l2": 0.01}),
        (2, {"schedule": "cosine", "ema": 0.9, "oov_rate": 0.1}),
        (2, {"strategy": "mirrored", "oov_rate": 0.1}),
    ],
    ids=["between epochs", "on a plateau", "within an epoch", "of two replicas"],
)
@pytest.mark.fault("a training is killed twice", "resumed; the same weights bit by bit")
def test_a_killed_training_gives_the_weights_of_an_undisturbed_one(
    clicks: Any, tmp_path: pathlib.Path, look: int, changes: dict[str, Any]
) -> None:
    settings = TrainingConfig(batch_size=256, epochs=5, learning_rate=0.05, **changes)
    given = {
        "look": look,
        "train": clicks.train,
        "eval": clicks.eval,
        "model": MODEL.model_dump_json(),
        "training": settings.model_dump_json(),
    }
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        folder.mkdir()
    assert run(undisturbed, "all", 99, given) == 0
    assert run(killed, "first", 2, given) == -signal.SIGKILL
    assert os.listdir(killed / "work") == ["1.npz"]
    assert run(killed, "second", 4, given) == -signal.SIGKILL
    assert run(killed, "third", 99, given) == 0
    assert not (killed / "work").exists()
    with np.load(undisturbed / "all.npz") as one, np.load(killed / "third.npz") as two:
        assert set(one) == set(two)
        for name in set(one) - {"result"}:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
        first, second = (json.loads(str(file["result"])) for file in (one, two))
    for result in (first, second):
        result.pop("rows_per_second")
    assert first == second
    assert points(undisturbed / "all") == points(killed / "third")


def points(folder: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """TensorBoard's curves, without those of time."""
    from ranklite.models.reporting.tensorboard import scalars

    shown = scalars(str(folder))
    return {name: shown[name] for name in sorted(shown) if not name.endswith(("_ms", "_second"))}


class Interrupted(Exception):
    """Ends a training from within."""


class Interrupt(keras.callbacks.Callback):
    """Ends a training in the middle of an epoch, once."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch, self._now = epoch, -1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._now = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self._now, batch) == (self._epoch, 3):
            raise Interrupted


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock leaves a checkpoint."""
    monkeypatch.setattr(checkpoints, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "MOST_SHARE", 1e9)


def trained(clicks: Any, settings: TrainingConfig, *callbacks: Any) -> list[np.ndarray]:
    model = training.build(clicks.layout, MODEL, settings)
    training.fit(model, clicks.layout, clicks.train, clicks.eval, settings, callbacks=callbacks)
    return model.get_weights()


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (50, "training resumes from epoch 2, which an earlier run finished"),
        (2, "training resumes from step 2 of epoch 3"),
    ],
)
@pytest.mark.parametrize(("held", "shuffled"), [(True, 2000), (False, 2000), (False, 700)])
def test_resumes_with_rows_in_memory_and_with_rows_that_are_read(
    clicks: Any,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    always: None,
    caplog: pytest.LogCaptureFixture,
    held: bool,
    shuffled: int,
    look: int,
    said: str,
) -> None:
    in_memory.clear()
    monkeypatch.setattr(checkpoints, "LOOK_STEPS", look)
    if not held:
        monkeypatch.setattr(in_memory, "MOST_BYTES", 100)
    settings = TrainingConfig(batch_size=256, epochs=3, learning_rate=0.05, shuffle_rows=shuffled)
    undisturbed = trained(clicks, settings)
    folder = tmp_path / "work"
    caplog.set_level("INFO", checkpoints.__name__)
    with pytest.raises(Interrupted), resume.kept(str(folder)):
        trained(clicks, settings, Interrupt(2))
    assert os.listdir(folder) == ["1.npz"]
    with resume.kept(str(folder)):
        resumed = trained(clicks, settings)
    told = [record.getMessage() for record in caplog.records if record.name == checkpoints.__name__]
    assert told == [said]
    assert not folder.exists()
    for one, two in zip(undisturbed, resumed, strict=True):
        np.testing.assert_array_equal(one, two)
    in_memory.clear()


def test_so_does_a_loss_scale(clicks: Any, tmp_path: pathlib.Path, always: None) -> None:
    """It halves after overflows, of which the first steps have many."""
    settings = TrainingConfig(batch_size=256, epochs=3, learning_rate=0.05, precision="float16")
    undisturbed = trained(clicks, settings)
    with pytest.raises(Interrupted), resume.kept(str(tmp_path / "work")):
        trained(clicks, settings, Interrupt(2))
    with resume.kept(str(tmp_path / "work")):
        resumed = trained(clicks, settings)
    for one, two in zip(undisturbed, resumed, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_short_training_leaves_no_checkpoint(clicks: Any, tmp_path: pathlib.Path) -> None:
    settings = TrainingConfig(batch_size=256, epochs=2, learning_rate=0.05)
    with pytest.raises(Interrupted), resume.kept(str(tmp_path / "work")):
        trained(clicks, settings, Interrupt(1))
    assert not (tmp_path / "work").exists()


def test_a_training_that_ended_is_not_trained_again(
    clicks: Any, tmp_path: pathlib.Path, always: None
) -> None:
    """Where the stage was killed after it: in a control's training, or while it wrote its model."""
    settings = TrainingConfig(batch_size=256, epochs=3, learning_rate=0.05)
    folder = str(tmp_path / "work")
    first: list[np.ndarray] = []

    def killed() -> None:
        with resume.kept(folder):
            first.extend(trained(clicks, settings))
            raise Interrupted

    with pytest.raises(Interrupted):
        killed()
    with resume.kept(folder):
        second = trained(clicks, settings, Interrupt(0), Interrupt(1), Interrupt(2))
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)


def test_half_a_checkpoint_is_named(clicks: Any, tmp_path: pathlib.Path, always: None) -> None:
    settings = TrainingConfig(batch_size=256, epochs=2, learning_rate=0.05)
    folder = tmp_path / "work"
    with pytest.raises(Interrupted), resume.kept(str(folder)):
        trained(clicks, settings, Interrupt(1))
    path = folder / "1.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with (
        pytest.raises(ValueError, match=r"1\.npz: this checkpoint .* remove the file"),
        resume.kept(str(folder)),
    ):
        trained(clicks, settings)


STEPS = {
    "magnitude": {"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 3, "l1": 0.001},
    "taylor": {
        "technique": "prune",
        "tower": {"sparsity": 0.5},
        "importance": "taylor",
        "epochs": 3,
    },
    "quantize": {"technique": "quantize", "epochs": 3, "calibration_batches": 2},
    "distill": {"technique": "distill", "teachers": 1, "epochs": 3},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_so_does_a_fine_tuning(
    clicks: Any,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    always: None,
    name: str,
) -> None:
    """Also from the middle of an epoch."""
    monkeypatch.setattr(checkpoints, "LOOK_STEPS", 2)
    settings = TrainingConfig(batch_size=256, epochs=1, learning_rate=0.05)
    model = training.build(clicks.layout, MODEL, settings)
    checkpoint = Checkpoint(model, clicks.layout, MODEL)
    setting = Setting(None, Splits(clicks.train, clicks.eval), settings, [checkpoint])
    fit = training.fit
    interrupts: list[Any] = []

    def interrupted(*args: Any, callbacks: Any = (), **kwargs: Any) -> Any:
        return fit(*args, callbacks=[*callbacks, *interrupts], **kwargs)

    monkeypatch.setattr(training, "fit", interrupted)

    def made() -> list[np.ndarray]:
        result = apply(from_json(json.dumps(STEPS[name])), checkpoint, setting)
        models = [result.model, *([result.control] if result.control else [])]
        return [weight for one in models for weight in one.model.get_weights()]

    undisturbed = made()
    interrupts.append(Interrupt(2))
    with pytest.raises(Interrupted), resume.kept(str(tmp_path / "work")):
        made()
    interrupts.clear()
    # As another process would: nothing that was drawn or made so far is there.
    keras.backend.clear_session()
    with resume.kept(str(tmp_path / "work")):
        resumed = made()
    for one, two in zip(undisturbed, resumed, strict=True):
        np.testing.assert_array_equal(one, two)
