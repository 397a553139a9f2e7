"""A checkpoint comes back as it was written."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures import safe_model
from ranklite.models.architectures.checkpoint import MODEL_FILE, SPEC_FILE, Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.architectures.safe_model import UnsafeModel
from ranklite.models.features.layout import FeatureLayout

IDS = np.array([[1, 4, 8, 9, 0], [3, 6, 7, 0, 0], [2, 5, 0, 0, 0]])


@pytest.fixture
def checkpoint() -> Checkpoint:
    """Of a model with random weights in every layer, moving averages included."""
    layout = FeatureLayout.build([("user", 1, 1), ("item", 1, 1), ("tags", 3, 1)], ["x", "y"])
    config = DeepFMConfig(embedding_dim=3, hidden_units=(5, 2), dropout=0.1, batch_norm=True)
    model = build_deepfm(layout, config)
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    return Checkpoint(model, layout, config, {"auc": 0.75, "nested": {"rows": [1, 2]}})


def test_everything_comes_back(checkpoint: Checkpoint, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "not" / "there"
    checkpoint.save(str(folder))
    again = Checkpoint.load(str(folder))
    assert (again.layout, again.config) == (checkpoint.layout, checkpoint.config)
    assert again.metrics == {"auc": 0.75, "nested": {"rows": [1, 2]}}
    features = {"ids": IDS, "numeric": np.array([[0.5, -1], [2, 0], [-3, 1]], "f")}
    logits = checkpoint.model(features).numpy()
    assert len(np.unique(logits)) == 3
    np.testing.assert_array_equal(again.model(features), logits)


def test_a_new_process_reads_it(checkpoint: Checkpoint, tmp_path: pathlib.Path) -> None:
    """What a saved model names is registered by reading it, not by what was imported before."""
    checkpoint.save(str(tmp_path))
    code = (
        "import sys\n"
        "from ranklite.models.architectures.checkpoint import Checkpoint\n"
        "print(len(Checkpoint.load(sys.argv[1]).model.layers))\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert int(process.stdout) == len(checkpoint.model.layers)


def test_layers_keep_their_names(checkpoint: Checkpoint, tmp_path: pathlib.Path) -> None:
    checkpoint.save(str(tmp_path))
    names = [layer.name for layer in Checkpoint.load(str(tmp_path)).model.layers]
    assert names == [layer.name for layer in checkpoint.model.layers]
    assert {"embedding", "linear", "fm", "tower_1", "tower_1_bn", "tower_out", "logit"} <= {*names}


def test_saving_again_replaces_what_was_there(
    checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    checkpoint.save(str(tmp_path))
    zeros = [np.zeros_like(w) for w in checkpoint.model.get_weights()]
    checkpoint.model.set_weights(zeros)
    Checkpoint(checkpoint.model, checkpoint.layout, checkpoint.config).save(str(tmp_path))
    again = Checkpoint.load(str(tmp_path))
    assert again.metrics == {}
    assert not any(weight.any() for weight in again.model.get_weights())


def test_missing_checkpoint_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"no RankLite checkpoint in {tmp_path}"):
        Checkpoint.load(str(tmp_path))


@pytest.mark.parametrize("lost", [MODEL_FILE, SPEC_FILE])
@pytest.mark.fault("a file of a checkpoint is gone", "named")
def test_half_a_checkpoint_is_an_error_about_the_lost_file(
    checkpoint: Checkpoint, tmp_path: pathlib.Path, lost: str
) -> None:
    checkpoint.save(str(tmp_path))
    (tmp_path / lost).unlink()
    with pytest.raises(OSError, match=lost.replace(".", r"\.")):
        Checkpoint.load(str(tmp_path))


def replaced(checkpoint: Checkpoint, folder: pathlib.Path, model: keras.Model) -> None:
    """Saves a checkpoint, and another model in place of its own."""
    checkpoint.save(str(folder))
    model.save(folder / MODEL_FILE, save_format="h5")


@pytest.mark.fault("a checkpoint brings code", "refused; none of it runs")
def test_a_layer_that_is_code_is_refused(checkpoint: Checkpoint, tmp_path: pathlib.Path) -> None:
    made = str(tmp_path / "made")

    def code(x: Any) -> Any:
        __import__("os").makedirs(made, exist_ok=True)
        return x

    given = keras.Input([2])
    layers = [keras.layers.Lambda(code), lambda x: tf.sqrt(x)]
    for number, name in enumerate(("Lambda", "TFOpLambda")):
        folder = tmp_path / name
        replaced(checkpoint, folder, keras.Model(given, layers[number](given)))
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(made)  # of building it
        with pytest.raises(UnsafeModel, match=f"model.h5: it holds {name}"):
            Checkpoint.load(str(folder))
    assert not pathlib.Path(made).exists()


def test_a_module_of_a_stranger_is_refused(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "model.h5")
    entry = {"class_name": "Evil", "module": "os.path", "config": {}}
    for known, words in (([], "it holds Evil of os.path"), (["Evil"], None)):
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps({"config": {"layers": [entry]}})
        if words is None:
            safe_model.check(path, known)  # as a layer of an entry that is registered
            continue
        with pytest.raises(UnsafeModel, match=words):
            safe_model.check(path, known)
