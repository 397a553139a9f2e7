"""The file for a browser: the same scores, so many rows a call."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from ranklite.models.export import export_target
from ranklite.models.export.target import SERVING_RAW
from ranklite.models.export.tflite_batch import fixed_batch
from ranklite.models.export.tflite_runtime import LiteModel
from tests.pushed_model import push

ROWS = {
    "user": np.array([b"u1", b"nobody", b"", b"u2"], np.object_),
    "item": np.array([2, 999, -(2**63), 3]),
    "tags": np.array([[b"a", b"b"], [b"", b""], [b"b", b""], [b"?", b"a"]], np.object_),
    "price": np.array([1.5, np.nan, -3.0, 0.0], np.float32),
}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return (push(tmp_path_factory.mktemp("pushed")) / "model.tflite").read_bytes()


def test_it_scores_the_same_at_its_batch_alone(content: bytes) -> None:
    fixed = fixed_batch(content, 4)
    assert export_target("tflite").for_browser(content, 4) == fixed
    assert export_target("tflite_strings").for_browser(content, 4) is None
    interpreter = Interpreter(model_content=fixed)
    for signature, about in interpreter.get_signature_list().items():
        runner = interpreter.get_signature_runner(signature)
        for name in about["inputs"]:
            detail = runner.get_input_details()[name]
            assert detail["shape"][0] == 4
            assert -1 not in detail["shape_signature"]
            assert detail["dtype"] in (np.int32, np.float32)
    expected = LiteModel(content).score(ROWS, SERVING_RAW)
    np.testing.assert_array_equal(LiteModel(fixed).score(ROWS, SERVING_RAW), expected)


def test_a_batch_has_rows(content: bytes) -> None:
    with pytest.raises(ValueError, match="a batch of 0 rows; it takes 1 or more"):
        fixed_batch(content, 0)


def test_no_tensor_of_the_file_is_int64_or_text(content: bytes) -> None:
    """LiteRT.js refuses a whole file for one."""
    interpreter = Interpreter(model_content=content)
    for graph in range(2):
        types = {detail["dtype"] for detail in interpreter.get_tensor_details(graph)}
        assert not types & {np.int64, np.bytes_}, graph


def test_the_file_has_no_text_of_the_log(content: bytes, tmp_path: pathlib.Path) -> None:
    assert b"u1" not in content.replace(b"quant1", b"")


def test_calls_of_one_shape_and_of_others_score_alike(content: bytes) -> None:
    """Inputs are resized where their shapes change, whichever signature ran in between."""
    model, ids = LiteModel(content), {"ids": np.ones((2, 4), np.int32)}
    ids["numeric"] = np.ones((2, 1), np.float32)
    for rows in (4, 4, 1, 1, 4, 2, 4):
        some = {name: values[:rows] for name, values in ROWS.items()}
        fresh = LiteModel(content)
        np.testing.assert_array_equal(
            model.score(some, SERVING_RAW), fresh.score(some, SERVING_RAW)
        )
        np.testing.assert_array_equal(model.score(ids), fresh.score(ids))
    other = {name: values[::-1].copy() for name, values in ROWS.items()}
    expected = model.score(ROWS, SERVING_RAW)[::-1]
    np.testing.assert_array_equal(model.score(other, SERVING_RAW), expected)


def test_a_call_that_fails_leaves_the_file_usable(content: bytes) -> None:
    model = LiteModel(content)
    expected = model.score(ROWS, SERVING_RAW)
    with pytest.raises((ValueError, KeyError)):
        model.score({**ROWS, "unknown": ROWS["price"]}, SERVING_RAW)
    with pytest.raises(ValueError, match=r"Cannot set tensor: Got value of type"):
        model.score({**ROWS, "price": ROWS["price"].astype(np.float64)}, SERVING_RAW)
    np.testing.assert_array_equal(model.score(ROWS, SERVING_RAW), expected)
