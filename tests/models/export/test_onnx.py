"""Each TFLite operator in ONNX: the same numbers, above all where rounding could go either way."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from ranklite.models.export.onnx import Onnx
from ranklite.models.export.onnx_convert import OPSET, WIDE_OPSET, from_tflite
from ranklite.models.export.onnx_runtime import OnnxModel, graph_of
from ranklite.models.export.onnx_writer import Constants
from ranklite.models.export.target import (
    SERVING_DEFAULT,
    NotExportable,
    UnreadableModel,
)
from ranklite.models.export.tflite_graph import read
from ranklite.models.export.tflite_runtime import LiteModel

NUMBERS = np.array(
    [[0.0, -1.5, 2.5], [3.0, -0.25, 1e-3], [-7.5, 0.5, 100.0], [1.0, 2.0, -3.0]], np.float32
)
IDS = np.array([[0, 5, 17], [-5, 3, -1], [2**31 - 1, -(2**31) + 1, 4], [-8, 8, 7]], np.int32)
GAPS = np.array([[np.nan, 0.5, 1.0], [np.inf, -np.inf, 2.0], [0.0, 1.5, np.nan]], np.float32)
COMPARE = (tf.less, tf.less_equal, tf.greater, tf.greater_equal, tf.equal, tf.not_equal)
TABLE = np.arange(24, dtype=np.float32).reshape(12, 2) - 11


def converted(function: Callable[[Any], Any], dtype: Any, width: int = 3) -> bytes:
    """A TFLite file of a function of `ids` [B, width]; its score is a float."""
    spec = tf.TensorSpec([None, width], dtype, name="ids")
    call = tf.function(lambda ids: {"score": function(ids)}, autograph=False)
    module = tf.Module()
    module.call = call
    concrete = call.get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return bytes(converter.convert())


def column(values: Any) -> Any:
    """[B, ...] -> [B, 1], such that no entry is lost on the way."""
    size = math.prod(values.shape[1:])
    flat = tf.reshape(tf.cast(values, tf.float32), [-1, size])
    weights = tf.constant([1.0 + 0.5 * k for k in range(size)])
    return tf.reduce_sum(flat * weights, axis=1, keepdims=True)


CASES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "floor_div": (lambda x: x // 7, IDS),
    "floor_div_by_negative": (lambda x: x // -7, IDS),
    "floor_mod": (lambda x: x % 7, IDS),
    "floor_mod_by_negative": (lambda x: x % -7, IDS),
    "clip_gather_select": (
        lambda x: tf.where(
            tf.equal(x, 5)[..., None], 0.5, tf.gather(TABLE, tf.minimum(tf.maximum(x, 0), 11))
        ),
        IDS,
    ),
    "is_finite": (lambda x: tf.where(tf.abs(x) < 3e38, x, tf.zeros_like(x)), GAPS),
    "log": (lambda x: tf.sign(x) * tf.math.log1p(tf.abs(x)), NUMBERS),
    "slices": (lambda x: tf.concat([x[:, ::-1][:, :2], x[:, 1:2], x[:, -1:]], 1), NUMBERS),
    "shrink": (lambda x: tf.stack([x[:, 2], x[:, -1], x[:, 0]], axis=1), NUMBERS),
    "split": (lambda x: tf.concat(tf.split(x, [2, 1], axis=1)[::-1], axis=1), NUMBERS),
    "unstack": (lambda x: tf.stack(tf.unstack(x, axis=1)[::-1], axis=1), NUMBERS),
    "transpose": (lambda x: tf.transpose(x[:, None] * x[:, :, None], [0, 2, 1]), NUMBERS),
    "reductions": (
        lambda x: tf.stack([tf.reduce_max(x, 1), tf.reduce_min(x, 1), tf.reduce_mean(x, 1)], 1),
        NUMBERS,
    ),
    "comparisons": (
        lambda x: tf.stack([tf.cast(f(x, 0.5), tf.float32) for f in COMPARE], axis=1),
        NUMBERS,
    ),
    "activations": (lambda x: tf.nn.relu(x) + tf.sigmoid(x) + tf.tanh(x) - tf.nn.relu6(x), NUMBERS),
    "dense": (lambda x: tf.nn.relu(tf.matmul(x, TABLE[7:10]) + [0.5, -3.0]), NUMBERS),
    "matmul": (lambda x: tf.matmul(x[:, None], x[:, None], transpose_b=True), NUMBERS),
    "dense_of_lists": (lambda x: tf.tensordot(x[:, :, None] * TABLE[0], TABLE[:2], 1), NUMBERS),
    "softmax": (lambda x: tf.nn.softmax(x), NUMBERS),
    "broadcast": (lambda x: tf.broadcast_to(x[:, :1], tf.shape(x)) + tf.ones_like(x), NUMBERS),
    "squares": (
        lambda x: tf.sqrt(tf.square(x)) + tf.math.squared_difference(x, 1.5) + tf.floor(x),
        NUMBERS,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_the_same(name: str) -> None:
    function, rows = CASES[name]
    content = converted(lambda x: column(function(x)), rows.dtype)
    lite, model = LiteModel(content), OnnxModel(from_tflite(content))
    expected = column(function(tf.constant(rows))).numpy()[:, 0]
    np.testing.assert_allclose(lite.score({"ids": rows}), expected, rtol=1e-5)  # the test itself
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(model.score({"ids": rows}), expected, rtol=1e-5)
    assert model.inputs() == {"ids": {"shape": [-1, 3], "dtype": str(rows.dtype)}}


def test_values_between_boundaries_and_on_them() -> None:
    layer = tf.raw_ops.Bucketize
    content = converted(
        lambda x: column(layer(input=x, boundaries=[-1.0, 0.5, 2.0])), tf.float32, 1
    )
    assert "BUCKETIZE" in LiteModel(content).operators()
    rows = np.array([[-9], [-1], [0.49], [0.5], [1], [2], [np.inf], [np.nan]], np.float32)
    model = OnnxModel(from_tflite(content))
    assert model.score({"ids": rows}).tolist() == [0, 1, 1, 2, 2, 3, 3, 3]
    np.testing.assert_array_equal(
        model.score({"ids": rows}), LiteModel(content).score({"ids": rows})
    )


def quantized(function: Callable[[Any], Any], samples: np.ndarray[Any, Any]) -> bytes:
    """The same in int8 between float inputs and outputs, calibrated on rows."""
    spec = tf.TensorSpec([None, samples.shape[1]], tf.float32, name="ids")
    call = tf.function(lambda ids: {"score": function(ids)}, autograph=False)
    module = tf.Module()
    module.call = call
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [call.get_concrete_function(spec)], module
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


def test_integers_round_as_in_tflite() -> None:
    random = np.random.default_rng(0)
    samples = random.normal(size=(200, 8)).astype(np.float32)
    kernel = tf.constant(random.normal(size=(8, 16)).astype(np.float32))
    head = tf.constant(random.normal(size=(16, 1)).astype(np.float32))
    content = quantized(lambda x: tf.matmul(tf.nn.relu(tf.matmul(x, kernel) + 0.1), head), samples)
    lite, model = LiteModel(content), OnnxModel(from_tflite(content))
    rows = {"ids": random.normal(size=(5000, 8)).astype(np.float32)}
    np.testing.assert_array_equal(model.score(rows), lite.score(rows))
    assert len(np.unique(model.score(rows))) > 50


def test_layers_become_kernels_on_integers(tmp_path: Any) -> None:
    """A pair of the wrong types would be computed in floats, and nothing else would tell."""
    random = np.random.default_rng(0)
    samples = random.normal(size=(200, 8)).astype(np.float32)
    kernel = tf.constant(random.normal(size=(8, 16)).astype(np.float32))
    head = tf.constant(random.normal(size=(16, 1)).astype(np.float32))
    content = quantized(lambda x: tf.matmul(tf.nn.relu(tf.matmul(x, kernel) + 0.1), head), samples)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(from_tflite(content), options)
    optimized = onnx.load(tmp_path / "optimized.onnx")
    kinds = [node.op_type for node in optimized.graph.node]
    assert kinds.count("QGemm") == 2
    assert not {"Gemm", "MatMul"} & set(kinds)


def test_the_file_says_its_versions() -> None:
    content = from_tflite(converted(column, np.float32))
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model)
    assert {each.domain: each.version for each in model.opset_import}[""] == OPSET
    assert OnnxModel(content).about == {"opset": OPSET}
    said = json.loads({p.key: p.value for p in model.metadata_props}["signatures"])
    assert list(said) == [SERVING_DEFAULT]
    assert graph_of(content, SERVING_DEFAULT) == content  # there is one graph, and it is this one
    assert OPSET < WIDE_OPSET


def test_what_has_no_translation_is_named() -> None:
    content = converted(lambda x: tf.cumsum(x, axis=1)[:, -1:], np.float32)
    with pytest.raises(NotExportable, match="TFLite's CUMSUM is not translated to ONNX"):
        from_tflite(content)


def test_other_onnx_files_are_not_taken() -> None:
    model = onnx.load_model_from_string(from_tflite(converted(column, np.float32)))
    del model.metadata_props[:]
    with pytest.raises(UnreadableModel, match="names its signatures among its metadata"):
        OnnxModel(model.SerializeToString())


def test_operators_of_a_runtime_are_foreign() -> None:
    names = ["Gemm", "ai.onnx.ml.LabelEncoder", "com.microsoft.QGemm", "acme.Score"]
    assert Onnx().foreign(names) == ["com.microsoft.QGemm", "acme.Score"]


def test_equal_constants_are_stored_once() -> None:
    constants = Constants()
    first = constants.name(np.array([1, 2], np.int64), "weights")
    assert constants.name(np.array([1, 2], np.int64), "others") == first == "weights"
    assert constants.name(np.array([1, 2], np.int32), "weights") == "c:1"
    assert constants.name(np.array([[1, 2]], np.int64)) == "c:2"
    assert len(constants.tensors) == 3


def test_four_bits_are_packed_as_onnx_does() -> None:
    constants = Constants()
    codes = np.array([[-8, 7, 0], [1, -1, 3]], np.int8)
    tensor = constants.tensors[constants.name(codes, packed=True)]
    assert tensor.raw_data == bytes([0x78, 0x10, 0x3F])  # the first of a pair is the low half
    assert onnx.numpy_helper.to_array(tensor).astype(np.int8).tolist() == codes.tolist()


def test_texts_of_a_file_come_back() -> None:
    keys, values = ["", "ü", "two words"], [7, 8, 9]
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, tf.constant(values, tf.int64)), -1
    )
    module = tf.Module()
    module.table = table
    spec = tf.TensorSpec([None, 1], tf.string, name="ids")

    def look_up(ids: Any) -> Any:
        return {"score": tf.cast(tf.reshape(table.lookup(ids), [-1, 1]), tf.float32)}

    call = tf.function(look_up, autograph=False)
    module.call = call
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [call.get_concrete_function(spec)], module
    )
    content = bytes(converter.convert())
    (read_back,) = read(content).tables.values()
    assert read_back.keys.tolist() == [key.encode() for key in keys]
    assert read_back.values.tolist() == values
    rows = [[b"\xc3\xbc"], [b"two words"], [b"two"], [b""], [b"\xff"]]
    model = OnnxModel(from_tflite(content))
    scores = model.score({"ids": np.array(rows, np.object_)})
    assert scores.tolist() == [8, 9, -1, 7, -1]


def test_no_two_kernels_share_a_zero_point() -> None:
    """ONNX Runtime 1.32 fails to load such a file where it makes kernels unsigned."""
    random = np.random.default_rng(0)
    samples = random.normal(size=(100, 8)).astype(np.float32)
    kernel = tf.constant(random.normal(size=(8, 8)).astype(np.float32))
    content = quantized(lambda x: column(tf.matmul(tf.matmul(x, kernel), kernel[::-1])), samples)
    graph = onnx.load_model_from_string(from_tflite(content)).graph
    kernels = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.INT8 and t.dims}
    zeros = {
        node.input[0]: node.input[2]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in kernels
    }
    kernels -= {*zeros.values()}  # some versions write vectors of them
    assert len(kernels) == len(zeros) > 1
    assert len(set(zeros.values())) == len(zeros)
