"""Large models are converted by a process of its own, to the same bytes."""

from __future__ import annotations

import pathlib
import subprocess
import weakref
from collections.abc import Mapping
from typing import Any

import pytest

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.export import export_target, tflite_convert, tflite_saved
from ranklite.models.export.target import NotExportable
from ranklite.models.export.tflite_saved import Saved, apart
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.memory import give_back
from ranklite.models.training import runtime

LAYOUT = FeatureLayout.build([("user", 1, 50), ("item", 1, 20)])
CONFIG = DeepFMConfig(embedding_dim=4, hidden_units=(8,), embedding_stddev=0.1)


def checkpoint() -> Checkpoint:
    runtime.set_seeds(3)
    return Checkpoint(build_deepfm(LAYOUT, CONFIG), LAYOUT, CONFIG)


@pytest.mark.slow  # another process imports TensorFlow
def test_another_process_makes_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    model = checkpoint()
    here = tflite_convert.to_tflite(model)
    used: list[Saved] = []

    def noted(saved: Saved) -> bytes:
        used.append(saved)
        return apart(saved)

    monkeypatch.setattr(tflite_convert, "APART", 0)
    monkeypatch.setattr(tflite_convert, "apart", noted)
    convert = export_target("tflite").begin(model)
    del model  # the rest of the conversion needs it no more
    assert convert() == here
    assert [saved.signatures for saved in used] == [("serving_default",)]


def test_the_rest_of_an_export_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = checkpoint()
    here = tflite_convert.to_tflite(model)
    kept = weakref.ref(model.model)
    monkeypatch.setattr(tflite_convert, "APART", 0)

    def alone(saved: Saved) -> bytes:
        give_back()
        assert kept() is None
        return saved.converted()

    monkeypatch.setattr(tflite_convert, "apart", alone)
    convert = export_target("tflite").begin(model)
    del model
    assert convert() == here


@pytest.mark.slow  # another process imports TensorFlow
def test_what_fails_there_is_told_here(tmp_path: pathlib.Path) -> None:
    saved = Saved(str(tmp_path / "saved_model"), ("serving_default",), "float32", False, {})
    with pytest.raises(RuntimeError, match=r"converts the model failed: [^$]*saved_model"):
        apart(saved)


@pytest.mark.parametrize(
    ("code", "refused", "error", "words"),
    [
        (0, "no builtin operator for FlexErf", NotExportable, "no builtin operator for FlexErf"),
        (-9, "", RuntimeError, "the system ended it, as it does where memory runs out"),
        (1, "", RuntimeError, "failed: the last line$"),
    ],
)
def test_how_it_ended(
    code: int,
    refused: str,
    error: type[Exception],
    words: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(*_: object, env: Mapping[str, str], **__: Any) -> Any:
        assert env["MALLOC_MMAP_THRESHOLD_"] == "1048576"
        assert env["TF_ENABLE_ONEDNN_OPTS"] == "0"
        if refused:
            (tmp_path / "refused.txt").write_text(refused)
        return subprocess.CompletedProcess([], code, stderr="the last line")

    monkeypatch.setattr(tflite_saved.subprocess, "run", run)
    saved = Saved(str(tmp_path / "saved_model"), ("serving_default",), "float32", False, {})
    with pytest.raises(error, match=words):
        apart(saved)
