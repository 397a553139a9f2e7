"""The exported file: two signatures over one set of weights, plain operators, the same scores."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.tools import flatbuffer_utils

from ranklite.models import progress
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.compression import qat
from ranklite.models.compression.equalization import equalize, rounding_forms
from ranklite.models.compression.fine_tuning import compress
from ranklite.models.compression.invariants import masks
from ranklite.models.compression.patterns import PruningScope, holds_two_of_four
from ranklite.models.compression.qat import calibrated
from ranklite.models.compression.sizes import NotCompressible
from ranklite.models.compression.sparsity import prunable_weights, sparsity
from ranklite.models.compression.sqnr import sqnr
from ranklite.models.compression.technique import PostConditionFailed
from ranklite.models.compression.techniques import technique
from ranklite.models.compression.techniques.prune import Prune, Pruning
from ranklite.models.compression.techniques.quantize import Quantization, Quantize
from ranklite.models.evaluation import metrics
from ranklite.models.export import tflite_convert as export
from ranklite.models.export import tflite_saved
from ranklite.models.export.target import (
    SERVING_DEFAULT,
    SERVING_RAW,
    NotExportable,
    UnreadableModel,
    is_quantized,
)
from ranklite.models.export.tflite_joins import join_in_float
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.export.tflite_strip import slim
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.training import fit as training
from ranklite.models.training import runtime
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from tests.lite_files import stored
from tests.steps import quantize

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user"},
            {"kind": "categorical", "name": "item", "dtype": "int64"},
            {"kind": "multi_categorical", "name": "tags", "max_length": 2},
            {"kind": "numeric", "name": "price"},
        ]
    }
)
USERS, ITEMS, TAGS = 8, 8, 4
CONSTANTS = PreprocessingConstants(
    vocabularies={
        "user": [f"u{k}" for k in range(USERS)],
        "item": [str(k) for k in range(ITEMS)],
        "tags": [f"t{k}" for k in range(TAGS)],
    },
    means={"price": 2.0},
    stds={"price": 4.0},
    boundaries={},
)
LAYOUT = FeatureLayout.build([("user", 1, USERS), ("item", 1, ITEMS), ("tags", 2, TAGS)], ["price"])
CONFIG = DeepFMConfig(embedding_dim=4, hidden_units=(16, 8), dropout=0.0)
TRAINING = TrainingConfig(batch_size=128, epochs=2, learning_rate=0.01, oov_rate=0.0)
ROWS = 1024


def rows(count: int, seed: int) -> tuple[dict[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Inputs and labels of a rule that a DeepFM can learn."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, USERS, count), rng.integers(0, ITEMS, count)
    tags = rng.integers(0, TAGS, (count, 2))
    columns = [LAYOUT.field("user").offset + 2 + user, LAYOUT.field("item").offset + 2 + item]
    ids = np.column_stack([*columns, LAYOUT.field("tags").offset + 2 + tags]).astype(np.int64)
    ids[::5, 3] = 0  # a single tag, and padding
    price = rng.normal(0, 1, (count, 1)).astype(np.float32)
    logit = np.where((user + item) % 2, 1.5, -1.5) + price[:, 0]
    label = (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    return {"ids": ids, "numeric": price}, label


def write(path: pathlib.Path, seed: int) -> str:
    inputs, labels = rows(ROWS, seed)
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for ids, price, label in zip(inputs["ids"], inputs["numeric"], labels, strict=True):
            example = tf.train.Example()
            example.features.feature["ids"].int64_list.value.extend(ids)
            example.features.feature["numeric"].float_list.value.extend(price)
            example.features.feature["label"].float_list.value.append(label)
            writer.write(example.SerializeToString())
    return str(path)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("data")
    return Splits([write(folder / "train.gz", 1)], [write(folder / "eval.gz", 2)])


@pytest.fixture(scope="module")
def parent() -> Checkpoint:
    """A float model with batch norm statistics that are not the initial ones."""
    runtime.set_seeds(3)
    model = build_deepfm(LAYOUT, CONFIG)
    rng = np.random.default_rng(4)
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
        elif layer.name == "embedding":
            layer.set_weights([rng.normal(0, 0.3, w.shape) for w in layer.get_weights()])
    return Checkpoint(model, LAYOUT, CONFIG)


@pytest.fixture(scope="module")
def pruned(parent: Checkpoint, splits: Splits) -> Checkpoint:
    step = Pruning(technique="prune", tower=PruningScope(sparsity=0.75), epochs=2, ramp=0.5)
    return compress(technique(step), parent, splits, TRAINING)


@pytest.fixture(scope="module")
def quantized(
    pruned: Checkpoint, splits: Splits, reported: list[progress.Report]
) -> tuple[Checkpoint, Checkpoint]:
    with progress.listening(reported.append):
        return quantize(Quantization(technique="quantize", epochs=1), pruned, splits, TRAINING)


@pytest.fixture(scope="module")
def reported() -> list[progress.Report]:
    """What the quantization says of how far it is."""
    return []


def test_the_control_is_half_of_a_quantization(
    quantized: tuple[Checkpoint, Checkpoint], reported: list[progress.Report]
) -> None:
    words, shares = [r.where for r in reported], [r.share for r in reported]
    assert (words[0], shares[0]) == ("calibrating", None)
    first = words.index("control: epoch 1/1, " + words[1].partition(", ")[2])
    assert words[1].startswith("quantized: epoch 1/1, step 1/")
    assert (words[first - 1], shares[first - 1]) == ("quantized: epoch 1/1", 0.5)
    assert (words[-2], shares[-2]) == ("control: epoch 1/1", 1.0)
    assert reported[-1].figures == {"auc": quantized[0].metrics["auc"]}


@pytest.fixture(scope="module")
def raw() -> RawFeatures:
    return RawFeatures(FEATURES, CONSTANTS, LAYOUT)


@pytest.fixture(scope="module")
def shipped(quantized: tuple[Checkpoint, Checkpoint], raw: RawFeatures) -> LiteModel:
    return LiteModel(export.to_tflite(quantized[0], raw))


def keras_scores(checkpoint: Checkpoint, inputs: dict[str, Any]) -> np.ndarray[Any, Any]:
    return tf.sigmoid(checkpoint.model(inputs)).numpy()[:, 0]


def test_folding_keeps_the_function(parent: Checkpoint) -> None:
    inputs, _ = rows(256, 5)
    folded = fold_batch_norm(parent)
    assert not folded.config.batch_norm
    assert not any("_bn" in layer.name for layer in folded.model.layers)
    np.testing.assert_allclose(
        folded.model(inputs).numpy(), parent.model(inputs).numpy(), rtol=1e-4, atol=1e-5
    )
    again = fold_batch_norm(folded)
    np.testing.assert_array_equal(again.model(inputs).numpy(), folded.model(inputs).numpy())


def uneven(parent: Checkpoint) -> Checkpoint:
    """A folded model of very unlike units, of which one is dead and one nearly constant."""
    folded = fold_batch_norm(parent)
    factors = 10 ** np.random.default_rng(0).uniform(-1.5, 1.5, 16)
    for name in ("tower_0", "tower_0_numeric"):
        layer = folded.model.get_layer(name)
        layer.set_weights([weight * factors for weight in layer.get_weights()])
    after = folded.model.get_layer("tower_1")
    kernel, bias = after.get_weights()
    after.set_weights([kernel / factors[:, None], bias])
    kernel, bias = folded.model.get_layer("tower_0").get_weights()
    kernel[:, 3], bias[3] = 0.0, 0.0
    kernel[:, 5], bias[5] = kernel[:, 5] * 1e-6, 0.3
    folded.model.get_layer("tower_0").set_weights([kernel, bias])
    return folded


def test_equalizing_keeps_the_function_and_evens_out_the_units(parent: Checkpoint) -> None:
    inputs, _ = rows(256, 5)
    folded = uneven(parent)
    weights = folded.model.get_weights()
    even = equalize(folded)
    np.testing.assert_allclose(
        even.model(inputs).numpy(), folded.model(inputs).numpy(), rtol=1e-4, atol=1e-5
    )
    for before, after in zip(weights, folded.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)  # its input is left alone
    kernel, bias = even.model.get_layer("tower_1").get_weights()
    ranges = np.maximum(np.abs(kernel).max(axis=0), np.abs(bias))
    assert np.ptp(ranges[ranges > 0]) / ranges.max() < 1e-4
    kernel, bias = even.model.get_layer("tower_0").get_weights()
    assert not kernel[:, 3].any()
    assert np.abs(bias[5]) <= 2 * np.abs(kernel).max()
    largest = [
        np.abs(np.delete(k, [3, 5], axis=1)).max(axis=0) for k in (weights_of(folded), kernel)
    ]
    spread = [float(r.max() / r.min()) for r in largest]
    assert spread[1] < spread[0] / 5


def weights_of(checkpoint: Checkpoint) -> np.ndarray[Any, Any]:
    return checkpoint.model.get_layer("tower_0").get_weights()[0]


def test_equalizing_makes_int8_files_better(parent: Checkpoint, splits: Splits) -> None:
    inputs, _ = rows(512, 6)
    folded = uneven(parent)
    exact = keras_scores(folded, inputs)
    technique = Quantize(Quantization(technique="quantize", epochs=0))

    def error(checkpoint: Checkpoint) -> float:
        model = technique.wrap(checkpoint, 1)
        technique.initialize(model, checkpoint, splits)
        file = export.to_tflite(dataclasses.replace(checkpoint, model=model, format="int8"))
        scores = LiteModel(file).score(inputs)
        return float(np.abs(scores - exact).mean())

    assert error(equalize(folded)) < error(folded) / 2


def test_what_is_calibrated_is_the_form_that_rounds_best(
    parent: Checkpoint, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Quantization(technique="quantize", epochs=0)
    forms = rounding_forms(uneven(parent))
    expected, _ = training.predict(parent.model, parent.layout, splits.eval)
    added = {}  # log loss, if the float scores were right
    for order in (forms, forms[::-1]):
        monkeypatch.setattr(qat, "rounding_forms", lambda _, order=order: order[:1])
        rounded = calibrated(Quantize(config), parent, splits).scores
        added[id(order[0])] = float(metrics.losses(expected, rounded).mean())
    monkeypatch.setattr(qat, "rounding_forms", lambda _: forms)
    best = calibrated(Quantize(config), parent, splits)
    assert added[id(best.form)] == min(added.values()) < max(added.values())


def test_rounding_noise_is_told_layer_by_layer(parent: Checkpoint, splits: Splits) -> None:
    inputs, _ = rows(512, 6)
    start = calibrated(Quantize(Quantization(technique="quantize", epochs=0)), parent, splits)
    checkpoint = dataclasses.replace(start.form, model=start.model)
    before = sqnr(checkpoint, inputs)
    assert {"embedding", "tower_0_relu", "tower_1", "tower_out"} <= set(before)
    assert min(before.values()) > 10
    (wide,) = [
        variable
        for layer in start.model.layers
        for variable in layer.variables
        if getattr(layer, "layer", layer).name == "tower_0_relu"
        and variable.name.endswith("output_max:0")
    ]
    wide.assign(64 * wide)  # six bits fewer for what is there
    after = sqnr(checkpoint, inputs)
    assert after["embedding"] == before["embedding"]
    assert after["tower_0_relu"] < before["tower_0_relu"] - 10
    assert after["tower_1"] < before["tower_1"]


def test_pruning_reaches_its_target_and_leaves_the_parent_alone(
    parent: Checkpoint, pruned: Checkpoint
) -> None:
    reached = sparsity(pruned.model)
    assert reached["tower_0"] == pytest.approx(0.75, abs=0.02)
    assert reached["tower_1"] == pytest.approx(0.75, abs=0.02)
    assert reached["tower_out"] == reached["tower_0_numeric"] == reached["embedding"] == 0.0
    assert sparsity(parent.model)["tower_0"] == 0.0
    assert {"auc", "auc_before", "sparsity"} <= set(pruned.metrics)


@pytest.mark.parametrize(
    "scope",
    [
        PruningScope(sparsity=0.5, pattern="2:4"),
        PruningScope(sparsity=0.5, pattern="block", block_size=(1, 4)),
    ],
)
def test_patterns(parent: Checkpoint, splits: Splits, scope: PruningScope) -> None:
    step = Pruning(technique="prune", tower=scope, epochs=1, ramp=0.5)
    patterned = compress(technique(step), parent, splits, TRAINING)
    kernel = prunable_weights(patterned.model)["tower_1"].numpy()
    rounded, _ = quantize(Quantization(technique="quantize", epochs=0), patterned, splits, TRAINING)
    shipped = stored(export.to_tflite(rounded), (8, 16)).T  # a file stores units x inputs
    assert shipped.dtype == np.int8
    for weights in (kernel, shipped):
        if scope.pattern == "2:4":
            assert holds_two_of_four(weights)
        else:
            blocks = (weights.reshape(16, 2, 4) == 0).all(axis=2)
            assert blocks.mean() == pytest.approx(0.5, abs=0.05)


def test_the_file_has_the_zeros(
    pruned: Checkpoint, quantized: tuple[Checkpoint, Checkpoint]
) -> None:
    for checkpoint in (pruned, quantized[0]):
        content = export.to_tflite(checkpoint)
        for shape in ((16, 12), (8, 16)):
            kernel = stored(content, shape)
            assert np.mean(kernel == 0) >= 0.73
            assert len(np.unique(kernel)) > 16


def test_two_of_four_by_hand() -> None:
    assert holds_two_of_four(np.array([[1.0, 0, 0, 2], [0, 3, 4, 0]]))
    assert not holds_two_of_four(np.array([[1.0, 1, 0, 2], [0, 3, 4, 0]]))
    assert holds_two_of_four(np.array([[1.0, 0, 0, 2, 0, 0, 0, 9]]).T)


@pytest.mark.parametrize(
    ("units", "scope", "message"),
    [
        ((6, 4), PruningScope(sparsity=0.5, pattern="2:4"), "whose number four has to divide"),
        ((6,), PruningScope(sparsity=0.5, pattern="block", block_size=(5, 1)), "do not divide"),
    ],
)
def test_illegal_patterns_are_refused_before_training(
    units: tuple[int, ...], scope: PruningScope, message: str
) -> None:
    config = CONFIG.model_copy(update={"hidden_units": units})
    checkpoint = Checkpoint(build_deepfm(LAYOUT, config), LAYOUT, config)
    step = Pruning(technique="prune", tower=scope)
    with pytest.raises(NotCompressible, match=message):
        compress(technique(step), checkpoint, Splits([], []), TRAINING)


def test_a_model_that_is_not_sparse_enough_fails_its_post_condition(parent: Checkpoint) -> None:
    step = Pruning(technique="prune", tower=PruningScope(sparsity=0.9))
    with pytest.raises(PostConditionFailed, match=r"0\.9 was asked for"):
        Prune(step).verify(parent, parent.model)


def test_quantization_keeps_the_zeros(
    pruned: Checkpoint, quantized: tuple[Checkpoint, Checkpoint]
) -> None:
    before = masks(fold_batch_norm(pruned).model)
    for checkpoint in quantized:
        weights = prunable_weights(checkpoint.model)
        for name, mask in before.items():
            assert not weights[name].numpy()[~mask].any()
    metrics = quantized[0].metrics
    assert metrics["chosen"] in ("calibrated", "trained")
    assert metrics["log_loss"] == min(metrics["calibrated_log_loss"], metrics["trained_log_loss"])
    assert "quant_embedding" not in [layer.name for layer in quantized[1].model.layers]


def test_a_quantized_checkpoint_survives_saving(
    quantized: tuple[Checkpoint, Checkpoint], tmp_path: pathlib.Path
) -> None:
    quantized[0].save(str(tmp_path))
    loaded = Checkpoint.load(str(tmp_path))
    inputs, _ = rows(64, 6)
    np.testing.assert_array_equal(keras_scores(loaded, inputs), keras_scores(quantized[0], inputs))
    assert is_quantized(loaded)


def test_the_shipped_file(shipped: LiteModel, quantized: tuple[Checkpoint, Checkpoint]) -> None:
    inputs, _ = rows(700, 7)
    scores = shipped.score(inputs)
    assert np.abs(scores - keras_scores(quantized[0], inputs)).max() < 0.02
    assert len(np.unique(scores)) > 500
    operators = shipped.operators()
    assert operators["GATHER"] == 2
    assert not [name for name in operators if name.startswith(("Flex", "CUSTOM"))]
    assert shipped.integer_share() > 0.3  # a tiny model is half hash tables and biases
    assert 0 < shipped.gzip_bytes < len(shipped.content)
    assert shipped.latency(inputs, 8, seconds=0.02) > 0


def test_hidden_layers_compute_in_int8(shipped: LiteModel) -> None:
    names = {
        detail["name"]: detail["dtype"]
        for detail in shipped._interpreter.get_tensor_details()
        if "tower_1/" in detail["name"] and len(detail["shape"]) == 2
    }
    assert np.int8 in names.values()


def test_both_signatures_score_alike(shipped: LiteModel) -> None:
    assert set(shipped.signatures) == {SERVING_DEFAULT, SERVING_RAW}
    assert shipped.inputs(SERVING_RAW) == {
        "user": {"shape": [-1], "dtype": "int32"},
        "item": {"shape": [-1], "dtype": "int32"},
        "tags": {"shape": [-1, 2], "dtype": "int32"},
        "price": {"shape": [-1], "dtype": "float32"},
    }
    user, item, tags = (LAYOUT.field(name).offset for name in ("user", "item", "tags"))
    raw_rows = {
        "user": np.array([b"u3", b"never", b""], np.object_),
        "item": np.array([5, -1, -(2**63)], np.int64),
        "tags": np.array([[b"t1", b""], [b"t0", b"?"], [b"", b""]], np.object_),
        "price": np.array([6.0, -2.0, np.nan], np.float32),
    }
    ids = {
        "ids": np.array(
            [
                [user + 5, item + 7, tags + 3, 0],
                [user, item, tags + 2, tags],
                [user + 1, item + 1, tags + 1, 0],
            ]
        ),
        "numeric": np.array([[1.0], [-1.0], [0.0]], np.float32),
    }
    np.testing.assert_allclose(
        shipped.score(raw_rows, SERVING_RAW), shipped.score(ids), rtol=0, atol=1e-6
    )


def test_an_unknown_signature_and_an_unreadable_file(shipped: LiteModel) -> None:
    with pytest.raises(ValueError, match="no signature 'other'"):
        shipped.score({}, "other")
    with pytest.raises(UnreadableModel, match="cannot load"):
        LiteModel(b"no model")


def test_an_operator_without_a_builtin_is_named(parent: Checkpoint) -> None:
    class Cholesky(RawFeatures):
        def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            outputs = super().__call__(raw)
            square = tf.eye(2) * (1 + tf.abs(raw["price"][0]))
            return {**outputs, "numeric": outputs["numeric"] + tf.linalg.cholesky(square)[0, 0]}

    with pytest.raises(NotExportable, match="Cholesky"):
        export.to_tflite(parent, Cholesky(FEATURES, CONSTANTS, LAYOUT))


def test_calibration_alone_ships_where_training_is_off(pruned: Checkpoint, splits: Splits) -> None:
    settings = Quantization(technique="quantize", epochs=0)
    quantized, control = quantize(settings, pruned, splits, TRAINING)
    assert quantized.metrics["chosen"] == "calibrated"
    assert dataclasses.replace(control, metrics={}).config == quantized.config


@pytest.mark.parametrize("zeros", [1, 60])
def test_few_zeros_stay_zeros_too(zeros: int, parent: Checkpoint, splits: Splits) -> None:
    kernel, *rest = parent.model.get_layer("tower_0").get_weights()
    sparse = kernel.copy()
    sparse.ravel()[:zeros] = 0.0
    start = dataclasses.replace(parent, model=build_deepfm(LAYOUT, CONFIG))
    start.model.set_weights(parent.model.get_weights())
    start.model.get_layer("tower_0").set_weights([sparse, *rest])
    trained, _ = quantize(Quantization(technique="quantize", epochs=1), start, splits, TRAINING)
    left = prunable_weights(trained.model)["tower_0"].numpy().ravel()
    assert not left[:zeros].any()
    assert left[zeros:].all()


class TestSlimming:
    """A file without what no runtime reads."""

    @pytest.fixture(scope="class")
    def fat(self, quantized: tuple[Checkpoint, Checkpoint], raw: RawFeatures) -> LiteModel:
        def joined(content: bytes, notes: Any) -> bytes:  # which another test is about
            parsed = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
            join_in_float(parsed)
            return bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tflite_saved, "slim", joined)
            model = LiteModel(export.to_tflite(quantized[0], raw))
        model.encoder = raw.encoder  # which is among the notes
        return model

    def test_it_computes_the_same(self, fat: LiteModel, shipped: LiteModel) -> None:
        inputs, _ = rows(300, 8)
        np.testing.assert_array_equal(fat.score(inputs), shipped.score(inputs))
        raw_rows = {
            "user": np.array([b"u1", b"", b"nobody"], np.object_),
            "item": np.array([3, -(2**63), 99]),
            "tags": np.array([[b"t0", b""], [b"", b""], [b"t3", b"t9"]], np.object_),
            "price": np.array([1.0, np.nan, 50.0], np.float32),
        }
        np.testing.assert_array_equal(
            fat.score(raw_rows, SERVING_RAW), shipped.score(raw_rows, SERVING_RAW)
        )

    def test_it_can_be_called_and_read_as_before(self, fat: LiteModel, shipped: LiteModel) -> None:
        assert shipped.signatures == fat.signatures
        assert shipped.operators() == fat.operators()
        assert shipped.constants() == fat.constants()
        for signature in fat.signatures:
            assert shipped.inputs(signature) == fat.inputs(signature)

    def test_it_is_smaller(self, fat: LiteModel, shipped: LiteModel) -> None:
        assert len(shipped.content) < 0.75 * len(fat.content)
        assert shipped.gzip_bytes < fat.gzip_bytes
        assert slim(shipped.content) == shipped.content
