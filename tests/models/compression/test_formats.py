"""Formats of the shipped file: what they store, that they score as trained, what is refused."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from ranklite.components.file_validator.validation import judge, measure
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.compression.fake_quantization import Bits
from ranklite.models.compression.fine_tuning import compress
from ranklite.models.compression.invariants import clustered_weights, distinct_values
from ranklite.models.compression.mixed_bits import choose_bits, weight_bytes
from ranklite.models.compression.sizes import NotCompressible
from ranklite.models.compression.techniques import quantize as entry
from ranklite.models.compression.techniques import technique
from ranklite.models.compression.techniques.cluster import Clustering
from ranklite.models.compression.techniques.prune import Pruning
from ranklite.models.compression.techniques.quantize import Quantization, Quantize
from ranklite.models.evaluation.accuracy import file_verdicts
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.export import export_target
from ranklite.models.export.target import UnreadableModel
from ranklite.models.export.tflite_convert import to_tflite
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from tests.lite_files import stored, stored_bytes
from tests.steps import quantize

pytestmark = pytest.mark.slow

CONFIG = DeepFMConfig(embedding_dim=8, hidden_units=(64, 32), dropout=0.0, embedding_stddev=0.1)
TRAINING = TrainingConfig(batch_size=128, epochs=2, learning_rate=0.02, ridge=0.0, oov_rate=0.0)


@pytest.fixture(scope="module")
def base(clicks: Any) -> Checkpoint:
    model = training.build(clicks.layout, CONFIG, TRAINING)
    metrics = training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING)
    return Checkpoint(model, clicks.layout, CONFIG, metrics)


@pytest.fixture(scope="module")
def splits(clicks: Any) -> Splits:
    return Splits(clicks.train, clicks.eval)


@pytest.fixture(scope="module")
def quantized(base: Checkpoint, splits: Splits) -> Any:
    @functools.cache
    def make(**settings: Any) -> tuple[Checkpoint, LiteModel]:
        config = Quantization(technique="quantize", **settings)
        checkpoint, _ = quantize(config, base, splits, TRAINING)
        return checkpoint, LiteModel(to_tflite(checkpoint))

    return make


@pytest.fixture(scope="module")
def float_file(base: Checkpoint) -> LiteModel:
    return LiteModel(to_tflite(base))


def scores(clicks: Any, checkpoint: Checkpoint, file: LiteModel) -> tuple[Any, Any]:
    """What Keras and the file say of the eval split."""
    inputs, _, _ = transformed_inputs(read_records(clicks.eval), clicks.layout, [])
    expected, _ = training.predict(checkpoint.model, clicks.layout, clicks.eval)
    return expected, file.score(inputs)


WEIGHTS = (3 * 8) * 64 + 64 * 32  # kernels of the two hidden layers


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"format": "float16"}, 2e-3),
        ({"format": "dynamic_range"}, 3e-2),
        ({"epochs": 0, "bits": 4, "table": "int8_per_row"}, 3e-2),
        ({"epochs": 0, "granularity": "per_channel"}, 3e-2),
        ({"epochs": 1, "granularity": "per_channel", "table": "int4_per_row"}, 3e-2),
        ({"epochs": 1, "table": "int8_per_row"}, 3e-2),
        ({"epochs": 1, "table": "int4_per_row"}, 3e-2),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_the_file_scores_as_the_model(
    settings: dict[str, Any], tolerance: float, clicks: Any, quantized: Any, float_file: LiteModel
) -> None:
    checkpoint, file = quantized(**settings)
    assert checkpoint.format == settings.get("format", "int8")
    expected, shipped = scores(clicks, checkpoint, file)
    assert np.abs(shipped - expected).max() < tolerance
    assert np.ptp(expected) > 0.3
    assert len(file.content) < len(float_file.content)
    assert not [name for name in file.operators() if name.startswith(("Flex", "CUSTOM"))]


@pytest.mark.parametrize(
    ("settings", "table", "kernel"),
    [
        ({"format": "float16"}, "float16", "float16"),
        ({"format": "dynamic_range"}, "float32", "int8"),  # below 1,024 elements it rounds nothing
        ({"epochs": 0}, "int8", "int8"),
    ],
)
def test_what_the_file_stores(
    settings: dict[str, Any], table: str, kernel: str, clicks: Any, quantized: Any
) -> None:
    content = quantized(**settings)[1].content
    assert stored(content, (clicks.layout.table_rows, 8)).dtype == table
    assert stored(content, (64, 24)).dtype == kernel
    assert stored(content, (32, 64)).dtype == kernel
    if kernel == "int8":  # whatever was trained, the largest weight has the largest number
        assert [np.abs(stored(content, s)).max() for s in ((64, 24), (32, 64))] == [127, 127]


def test_units_with_scales_of_their_own(
    base: Checkpoint, splits: Splits, clicks: Any, tmp_path: pathlib.Path
) -> None:
    wide = dataclasses.replace(base, model=training.build(base.layout, base.config, TRAINING))
    wide.model.set_weights(base.model.get_weights())
    kernel, bias = wide.model.get_layer("tower_1").get_weights()
    kernel[:, 3] *= 50  # one scale for all rounds the others to few values
    bias[3] = -1e3  # a unit that never fires: only its weights are in the way
    wide.model.get_layer("tower_1").set_weights([kernel, bias])
    folded = fold_batch_norm(wide)
    exact, _ = training.predict(folded.model, clicks.layout, clicks.eval)
    errors, files = {}, {}
    for granularity in ("per_tensor", "per_channel"):
        technique = Quantize(Quantization(technique="quantize", epochs=0, granularity=granularity))
        model = technique.wrap(folded, 1)
        technique.initialize(model, folded, splits)
        shipped = dataclasses.replace(folded, model=model, format="int8")
        shipped.save(str(tmp_path / granularity))
        loaded = Checkpoint.load(str(tmp_path / granularity))
        files[granularity] = LiteModel(to_tflite(loaded))
        expected, given = scores(clicks, shipped, files[granularity])
        assert np.abs(given - expected).max() < 3e-2
        errors[granularity] = float(np.abs(given - exact).mean())
    assert errors["per_channel"] < errors["per_tensor"] / 2
    assert [files[granularity].operators().get("CONV_2D", 0) for granularity in files] == [0, 2]
    assert stored(files["per_channel"].content, (64, 1, 1, 24)).dtype == np.int8
    assert stored(files["per_tensor"].content, (64, 24)).dtype == np.int8


@pytest.mark.parametrize("epochs", [0, 1])
def test_units_of_zeros_keep_their_biases(
    epochs: int, base: Checkpoint, splits: Splits, clicks: Any
) -> None:
    """A bias is stored in steps of its unit's range, which must not vanish."""
    start = fold_batch_norm(base)
    layer = start.model.get_layer("tower_0")
    kernel, bias = layer.get_weights()
    kernel[:, [2, 7]], kernel[:, 9] = 0.0, 1e-9
    bias[[2, 7, 9]] = 5.0, 0.5, 2.0
    layer.set_weights([kernel, bias])
    technique = Quantize(Quantization(technique="quantize", epochs=1, granularity="per_channel"))
    if epochs:
        trained = compress(technique, start, splits, TRAINING)
    else:
        trained = dataclasses.replace(start, model=technique.wrap(start, 1))
        technique.initialize(trained.model, start, splits)
    shipped = dataclasses.replace(trained, format="int8")
    file = LiteModel(to_tflite(shipped))
    expected, given = scores(clicks, shipped, file)
    assert np.abs(given - expected).max() < 3e-2
    assert not stored(file.content, (64, 1, 1, 24))[[2, 7]].any()


def test_four_bits_take_half_the_bytes_of_the_kernels(quantized: Any) -> None:
    eight, four = (quantized(epochs=0, bits=bits, table="int8_per_row")[1] for bits in (8, 4))
    saved = len(eight.content) - len(four.content)
    assert abs(saved - WEIGHTS // 2) < 640  # plus what decodes them
    kernel = stored(four.content, (64, 24))
    assert np.abs(kernel).max() <= 7
    assert len(np.unique(kernel)) > 4


def test_int16x8_on_single_valued_features(
    base: Checkpoint, splits: Splits, tmp_path: pathlib.Path, write_examples: Any
) -> None:
    config = Quantization(technique="quantize", format="int16x8", epochs=1)
    with pytest.raises(NotCompressible, match="multi-valued features tags: the converter"):
        quantize(config, base, splits, TRAINING)
    layout = FeatureLayout.build([("user", 1, 40), ("item", 1, 30)], ["x"])
    random = np.random.default_rng(0)
    columns = [random.integers(f.offset, f.offset + f.rows, 900) for f in layout.fields]
    x = random.normal(size=(900, 1)).astype("f4")
    rows = {"ids": np.stack(columns, axis=1), "numeric": x, "label": (x > 0.2).astype("f4")}
    files = [write_examples(tmp_path / "rows.gz", rows)]
    model = training.build(layout, CONFIG, TRAINING)
    training.fit(model, layout, files, files, TRAINING)
    parent = Checkpoint(model, layout, CONFIG)
    wide, _ = quantize(config, parent, Splits(files, files), TRAINING)
    file = LiteModel(to_tflite(wide))
    expected, _ = training.predict(wide.model, layout, files)
    order = {name: rows[name] for name in ("ids", "numeric")}
    assert np.abs(file.score(order) - expected).max() < 5e-3
    assert len(np.unique(expected)) > 500
    assert len(file.content) < 0.65 * len(to_tflite(parent))


def test_clusters_survive_quantization_and_compress_better(
    base: Checkpoint, splits: Splits, clicks: Any, quantized: Any
) -> None:
    prune = Pruning.model_validate(
        {"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1, "ramp": 0.5}
    )
    pruned = compress(technique(prune), base, splits, TRAINING)
    cluster = Clustering(technique="cluster", clusters=8, epochs=1)
    clustered = compress(technique(cluster), pruned, splits, TRAINING)
    for name in ("tower_0", "tower_1"):
        assert 2 <= clustered.metrics["distinct_values"][name] <= 8
        kernel = clustered.model.get_layer(name).kernel.numpy()
        assert 0.45 < np.mean(kernel == 0) < 0.8
    config = Quantization(technique="quantize", epochs=1)
    shipped, _ = quantize(config, clustered, splits, TRAINING)
    counts = distinct_values(shipped.model)
    assert counts["tower_0"] <= 8
    assert counts["tower_1"] <= 8
    file = LiteModel(to_tflite(shipped))
    expected, given = scores(clicks, shipped, file)
    assert np.abs(given - expected).max() < 3e-2
    assert len(np.unique(stored(file.content, (64, 24)))) <= 8
    sparse, _ = quantize(config, pruned, splits, TRAINING)  # as many zeros, but no clusters
    assert len(gzip.compress(to_tflite(sparse))) - len(gzip.compress(file.content)) > 400


def test_zeros_alone_make_no_clusters(base: Checkpoint) -> None:
    model = training.build(base.layout, base.config, TRAINING)
    layer = model.get_layer("tower_1")
    kernel, bias = layer.get_weights()
    random = np.random.default_rng(0)
    for values in (kernel, np.round(kernel / np.ptp(kernel) * 8) * np.ptp(kernel) / 8):
        layer.set_weights([np.where(random.random(kernel.shape) < 0.9, 0.0, values), bias])
        assert ("tower_1" in clustered_weights(model)) == (values is not kernel)


def test_a_kernel_of_few_weights_is_not_clustered(base: Checkpoint, splits: Splits) -> None:
    config = CONFIG.model_copy(update={"hidden_units": (16, 8)})
    model = training.build(base.layout, config, TRAINING)
    layer = model.get_layer("tower_1")
    kernel, bias = layer.get_weights()
    kernel[0, 0] = kernel[1, 1]  # two of 128 that are equal by chance
    layer.set_weights([kernel, bias])
    small = Checkpoint(model, base.layout, config)
    trained, _ = quantize(Quantization(technique="quantize", epochs=1), small, splits, TRAINING)
    assert "trained_auc" in trained.metrics


@pytest.mark.parametrize("factor", [0.05, 40.0])
def test_the_gates_catch_a_wrong_calibration(
    factor: float, base: Checkpoint, splits: Splits, clicks: Any, float_file: LiteModel
) -> None:
    quantizer = Quantize(Quantization(technique="quantize", epochs=0))
    folded = fold_batch_norm(base)
    wrong = quantizer.wrap(folded, 1)
    quantizer.initialize(wrong, folded, splits)
    for layer in wrong.layers:
        for variable in layer.variables:
            if variable.name.endswith(("output_min:0", "output_max:0")):
                variable.assign(variable * factor)
    shipped = dataclasses.replace(folded, model=wrong, format="int8")
    inputs, labels, _ = transformed_inputs(read_records(clicks.eval), clicks.layout, [])
    parent, parent_scores = measure(float_file, inputs, labels, None)
    figures, scores = measure(LiteModel(to_tflite(shipped)), inputs, labels, None)
    keras_scores, _ = training.predict(wrong, clicks.layout, clicks.eval)
    verdicts = file_verdicts(GatesConfig(), figures, parent)
    verdicts += judge(
        GatesConfig(),
        figures,
        scores,
        parent_scores,
        keras_scores,
        0.0,
        len(labels),
        quantized=True,
        target=export_target("tflite"),
    )
    assert not all(verdict.passed for verdict in verdicts)


def test_sparse_storage_of_int8_is_caught(
    base: Checkpoint, splits: Splits, clicks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prune = Pruning.model_validate(
        {"technique": "prune", "tower": {"sparsity": 0.9}, "epochs": 1, "ramp": 0.5}
    )
    pruned = compress(technique(prune), base, splits, TRAINING)
    config = Quantization(technique="quantize", epochs=0)
    checkpoint, _ = quantize(config, pruned, splits, TRAINING)
    convert = tf.lite.TFLiteConverter.from_saved_model

    def sparse(*args: Any, **kwargs: Any) -> Any:
        converter = convert(*args, **kwargs)
        plain = converter.convert

        def with_sparsity() -> bytes:
            converter.optimizations = [
                tf.lite.Optimize.DEFAULT,
                tf.lite.Optimize.EXPERIMENTAL_SPARSITY,
            ]
            return bytes(plain())

        converter.convert = with_sparsity
        return converter

    honest = to_tflite(checkpoint)
    monkeypatch.setattr(tf.lite.TFLiteConverter, "from_saved_model", sparse)
    broken = to_tflite(checkpoint)
    assert broken != honest
    try:
        file = LiteModel(broken)
        expected, shipped = scores(clicks, checkpoint, file)
    except (UnreadableModel, RuntimeError):
        return  # Exporter loads what it made, so the run ends here
    assert np.abs(shipped - expected).max() > GatesConfig().max_parity


def test_mixed_bits_fit_and_cost_least(base: Checkpoint, splits: Splits) -> None:
    folded = fold_batch_norm(base)
    eight = weight_bytes(folded, Bits({"tower_0": 8, "tower_1": 8}, "int8_per_row"))
    config = Quantization(technique="quantize", epochs=0, bits="mixed", max_weight_bytes=eight - 1)
    chosen = choose_bits(folded, splits, eight - 1, config.calibration_batches)
    four = [name for name, bits in chosen.kernels.items() if bits == 4]
    assert len(four) + (chosen.table == "int4_per_row") == 1  # one layer is enough
    assert weight_bytes(folded, chosen) < eight
    for bits in (Bits({"tower_0": 8, "tower_1": 8}, "int8_per_row"), chosen):
        technique = Quantize(config, bits)
        model = technique.wrap(folded, 1)
        technique.initialize(model, folded, splits)
        file = LiteModel(to_tflite(dataclasses.replace(folded, model=model, format="int8")))
        file.try_out()
        expected = weight_bytes(folded, bits)
        assert expected < stored_bytes(file.content) < expected + 300  # the graph's own numbers
    least = weight_bytes(folded, Bits({"tower_0": 4, "tower_1": 4}, "int4_per_row"))
    batches = config.calibration_batches
    assert choose_bits(folded, splits, least, batches).table == "int4_per_row"
    with pytest.raises(NotCompressible, match=f"still take {least:,}"):
        choose_bits(folded, splits, least - 1, batches)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "float16", "epochs": 2}, "there is nothing to train"),
        ({"format": "dynamic_range", "bits": 4}, "format dynamic_range with bits 4"),
        ({"format": "int16x8", "bits": 4}, "format int16x8 with bits 4"),
        ({"format": "float16", "table": "int4_per_row"}, "in the formats int8 and int16x8 only"),
        ({"bits": 3}, "Input should be 8, 4 or 'mixed'"),
        (
            {"granularity": "per_channel", "format": "int16x8"},
            "granularity: per_channel with format int16x8 and bits 8",
        ),
        (
            {"granularity": "per_channel", "bits": 4, "table": "int8_per_row"},
            "granularity: per_channel with format int8 and bits 4",
        ),
        ({"bits": "mixed"}, "go together"),
        ({"bits": 4}, "choose table int8_per_row or int4_per_row"),
        ({"max_weight_bytes": "20k"}, "go together"),
        (
            {"bits": "mixed", "max_weight_bytes": 1, "table": "int8_per_row"},
            "chooses the table's format itself",
        ),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Quantization.model_validate({"technique": "quantize", **settings})


def test_clustering_needs_a_scope() -> None:
    with pytest.raises(ValidationError, match="cluster needs"):
        Clustering(technique="cluster", tower=False)


def test_formats_without_training_default_to_none() -> None:
    assert Quantization(technique="quantize", format="float16").epochs == 0
    assert Quantization(technique="quantize").epochs == 1


@pytest.mark.parametrize(
    "table", [{"kind": "low_rank", "rank": 3}, {"kind": "by_frequency", "head": 0.3, "tail_dim": 3}]
)
def test_four_bits_beside_a_projection_cannot_be_run(
    table: dict[str, Any], base: Checkpoint, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = DeepFMConfig.model_validate({**CONFIG.model_dump(), "table": table})
    projected = Checkpoint(training.build(base.layout, model, TRAINING), base.layout, model)
    config = Quantization(technique="quantize", epochs=0, bits=4, table="int8_per_row")
    with pytest.raises(
        NotCompressible, match=f"4-bit kernels and a table of kind '{model.table.kind}'"
    ):
        quantize(config, projected, splits, TRAINING)
    monkeypatch.setattr(entry, "check_four_bits", lambda _: None)
    checkpoint, _ = quantize(config, projected, splits, TRAINING)
    with pytest.raises(UnreadableModel, match="cannot run the file"):  # the day it can, allow it
        LiteModel(to_tflite(checkpoint)).try_out()
