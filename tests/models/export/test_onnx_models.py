"""Every family, table and format as ONNX: the scores of the TFLite file that it is made from."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques import from_json
from ranklite.models.export.onnx import Onnx
from ranklite.models.export.onnx_convert import OPSET, WIDE_OPSET, from_tflite
from ranklite.models.export.onnx_runtime import OnnxModel
from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW
from ranklite.models.export.tflite_convert import to_tflite
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.training.splits import Splits
from tests.models.export.test_once_per_user import (
    CASES,
    STEPS,
    TABLES,
    TRAINING,
    case,
    made,
    splits,  # noqa: F401  a fixture
)

ROWS = 600
# A number within its last bits of the middle between two integers may be rounded the other way: in
# a row of hundreds, a score then moves by a step of an activation.
STEP, FEW = 5e-3, 0.02


def check(checkpoint: Checkpoint, encoder: str) -> OnnxModel:
    """Exports; both files score rows of many users, and of one, through both signatures."""
    of = case(encoder)
    content = to_tflite(checkpoint, of.raw)
    lite, model = LiteModel(content), OnnxModel(from_tflite(content))
    assert model.encoder == lite.encoder
    assert {s: model.inputs(s) for s in model.signatures} == {
        s: lite.inputs(s) for s in lite.signatures
    }
    assert not Onnx().foreign(model.operators())
    many, one = of.rows(ROWS), of.rows(ROWS, users=1)
    for rows, signature in (
        (many, SERVING_RAW),
        (one, SERVING_RAW),
        (of.fused(many), SERVING_DEFAULT),
    ):
        expected = lite.score(rows, signature)
        assert np.ptp(expected) > 0.02
        apart = np.abs(model.score(rows, signature) - expected)
        if checkpoint.format in ("int8", "int16x8"):
            assert apart.max() < STEP
            assert np.mean(apart > 1e-3) < FEW
        else:
            assert apart.max() < 1e-5
    return model


@pytest.mark.parametrize(("name", "encoder"), CASES)
def test_every_family_and_encoder(name: str, encoder: str) -> None:
    assert check(made(name, encoder), encoder).about == {"opset": OPSET}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table["kind"]))
def test_every_table(table: dict[str, Any]) -> None:
    check(made("deepfm", "attention", table=table), "attention")


@pytest.mark.slow
@pytest.mark.parametrize("steps", STEPS)
def test_every_format(steps: str, splits: dict[str, Splits]) -> None:  # noqa: F811
    checkpoint = made("deepfm", "attention")
    for step in STEPS[steps]:
        setting = Setting(case("attention").features, splits["attention"], TRAINING)
        checkpoint = apply(from_json(json.dumps(step)), checkpoint, setting).model
    model = check(checkpoint, "attention")
    assert model.about == {"opset": WIDE_OPSET if steps == "four_bits" else OPSET}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "encoder"), [case for case in CASES if case[1] != "attention"])
def test_integers_of_every_family(name: str, encoder: str, splits: dict[str, Splits]) -> None:  # noqa: F811
    setting = Setting(case(encoder).features, splits[encoder], TRAINING)
    (step,) = STEPS["int8"]
    smaller = apply(from_json(json.dumps(step)), made(name, encoder), setting).model
    check(smaller, encoder)
