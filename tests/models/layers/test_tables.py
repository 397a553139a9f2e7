"""Kinds of embedding tables: where ids are stored, what is looked up, what the files hold."""

from __future__ import annotations

import functools
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from pydantic import ValidationError

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.compression.fine_tuning import compress
from ranklite.models.compression.patterns import PruningScope
from ranklite.models.compression.sizes import NotCompressible
from ranklite.models.compression.sparsity import prunable_weights, sparsity
from ranklite.models.compression.technique import PostConditionFailed
from ranklite.models.compression.techniques import technique
from ranklite.models.compression.techniques.prune import Prune, Pruning
from ranklite.models.compression.techniques.prune_rows import PruneRows, RowPruning
from ranklite.models.compression.techniques.quantize import Quantization, Quantize
from ranklite.models.export import tflite_convert as export
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.table_rows import (
    ByFrequencyRows,
    HashedRows,
    MappedRows,
    QuotientRemainderRows,
    TruncatedRows,
)
from ranklite.models.layers.table_sizes import share_of
from ranklite.models.layers.tables import table_layers
from ranklite.models.training import fit as training
from ranklite.models.training import runtime
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.lazy_adam import LazyAdam
from ranklite.models.training.splits import Splits

# Rows of `a`: 1 oov, 2 missing, 3 4 5. Of `b`: 6, 7, 8 9. Of `tags`, two columns: 10, 11, 12 13.
SMALL = FeatureLayout.build([("a", 1, 3), ("b", 1, 2), ("tags", 2, 2)])
IDS = tf.constant(
    [[1, 6, 10, 0], [2, 7, 11, 0], [3, 8, 12, 0], [4, 9, 13, 12], [5, 9, 13, 13]], tf.int32
)
RESERVED = [[1, 3, 5, 0], [2, 4, 6, 0]]  # stored rows of the first two

KINDS: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"},
    "hashed": {"kind": "hashed", "rows": 60},
    "quotient_remainder": {"kind": "quotient_remainder", "buckets": 25},
    "low_rank": {"kind": "low_rank", "rank": 2},
    "by_frequency": {"kind": "by_frequency", "head": 0.1, "tail_dim": 2},
}
VALUES, DIM = 600, 8
LAYOUT = FeatureLayout.build([("user", 1, VALUES), ("tags", 2, 20)], ["price"])
USER, TAGS = LAYOUT.field("user"), LAYOUT.field("tags")
TRAINING = TrainingConfig(batch_size=128, epochs=1, oov_rate=0.0)


def config(table: dict[str, Any], **others: Any) -> DeepFMConfig:
    sizes = {"embedding_dim": DIM, "hidden_units": (8,), "dropout": 0.0, "embedding_stddev": 0.3}
    return DeepFMConfig.model_validate({**sizes, **others, "table": table})


@functools.cache
def checkpoint(kind: str) -> Checkpoint:
    runtime.set_seeds(1)  # of initializers too, whatever ran before
    chosen = config(KINDS[kind])
    return Checkpoint(build_deepfm(LAYOUT, chosen), LAYOUT, chosen)


def rows(count: int, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    user = USER.offset + rng.integers(0, USER.rows, count)
    tags = TAGS.offset + rng.integers(0, TAGS.rows, (2, count))
    ids = np.column_stack([user, *tags]).astype(np.int32)
    ids[::4, 2] = 0
    return {"ids": ids, "numeric": rng.normal(0, 1, (count, 1)).astype(np.float32)}


def scores(model: keras.Model, inputs: dict[str, Any]) -> np.ndarray[Any, Any]:
    return tf.sigmoid(model(inputs)).numpy()[:, 0]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    path = str(tmp_path_factory.mktemp("data") / "rows.gz")
    inputs = rows(512, 2)
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for ids, price in zip(inputs["ids"], inputs["numeric"], strict=True):
            example = tf.train.Example()
            example.features.feature["ids"].int64_list.value.extend(ids)
            example.features.feature["numeric"].float_list.value.extend(price)
            example.features.feature["label"].float_list.value.append(float(price[0] > 0))
            writer.write(example.SerializeToString())
    return Splits([path], [path])


def test_hashed_rows_by_hand() -> None:
    hashed = HashedRows(SMALL, 4)(IDS).numpy()
    assert hashed[:2].tolist() == RESERVED
    for ids, stored in zip(IDS.numpy().tolist()[2:], hashed.tolist()[2:], strict=True):
        for i, row in zip(ids, stored, strict=True):
            expected = 7 + 48_271 * i % (2**31 - 1) % 4
            assert row == (expected if i else 0)


def test_hashing_spreads_the_values_of_all_fields() -> None:
    large = FeatureLayout.build([("a", 1, 4000), ("b", 1, 4000)])
    ids = tf.stack([tf.range(3, 4003, dtype=tf.int32), tf.range(4005, 8005, dtype=tf.int32)], 1)
    loads = np.bincount(HashedRows(large, 1000)(ids).numpy().ravel() - 5, minlength=1000)
    assert loads.sum() == 8000
    assert loads.min() >= 4
    assert loads.max() <= 12


def test_a_hash_of_the_largest_ids_does_not_overflow() -> None:
    huge = FeatureLayout.build([("a", 1, 2**31 - 4)])
    last = 2**31 - 2
    expected = 3 + 48_271 * last % (2**31 - 1) % 997
    assert HashedRows(huge, 997)(tf.constant([[last]], tf.int32)).numpy() == expected


def test_quotients_and_remainders_by_hand() -> None:
    quotient, remainder = QuotientRemainderRows(SMALL, 3)(IDS)
    # values 0 1 2 | 3 4 | 5 6 over the fields
    assert quotient.numpy().tolist() == [*RESERVED, [7, 8, 8, 0], [7, 8, 9, 8], [7, 8, 9, 9]]
    assert remainder.numpy().tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [1, 1, 3, 0],
        [2, 2, 1, 3],
        [3, 2, 1, 1],
    ]


def test_rows_by_rank_by_hand() -> None:
    truncated = TruncatedRows(SMALL, (2, 1, 0))(IDS).numpy()
    assert truncated.tolist() == [*RESERVED, [7, 9, 5, 0], [8, 3, 5, 5], [1, 3, 5, 5]]
    head, tail = ByFrequencyRows(SMALL, (2, 1, 0))(IDS)
    assert head.numpy().tolist() == [*RESERVED, [7, 9, 0, 0], [8, 0, 0, 0], [0, 0, 0, 0]]
    assert tail.numpy().tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 3, 0],
        [0, 2, 4, 3],
        [1, 2, 4, 4],
    ]


@pytest.mark.parametrize(
    "rule",
    [
        HashedRows(SMALL, 4),
        QuotientRemainderRows(SMALL, 3),
        TruncatedRows(SMALL, (2, 1, 0)),
        ByFrequencyRows(SMALL, (2, 1, 0)),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_a_rule_for_some_columns_alone(rule: keras.layers.Layer) -> None:
    whole = tf.nest.flatten(rule(IDS))
    for first, last in ((0, 2), (1, 3), (2, 4)):
        part = rule.of_columns(first, last)
        again = keras.layers.deserialize(keras.layers.serialize(part))
        for layer in (part, again):
            for rows, expected in zip(
                tf.nest.flatten(layer(IDS[:, first:last])), whole, strict=True
            ):
                np.testing.assert_array_equal(rows, expected[:, first:last])


@pytest.mark.parametrize(("stored", "dtype"), [(2**15, tf.int16), (2**15 + 1, tf.int32)])
def test_a_map_is_as_narrow_as_its_rows_allow(stored: int, dtype: tf.DType) -> None:
    layer = MappedRows(14, stored)
    layer(IDS)
    assert layer.rows.dtype == dtype
    assert not layer.trainable_weights
    layer.set_weights([np.where(np.arange(14) == 9, stored - 1, np.arange(14))])
    assert layer(IDS).numpy()[3].tolist() == [4, stored - 1, 13, 12]


@pytest.mark.parametrize(("share", "count", "kept"), [(0.1, 30, 3), (0.1, 31, 4), (0.5, 0, 0)])
def test_a_share_is_rounded_up(share: float, count: int, kept: int) -> None:
    assert share_of(share, count) == kept


@pytest.mark.parametrize("kind", list(KINDS))
def test_lookup_by_hand(kind: str) -> None:
    tables = {**KINDS, "hashed": {"kind": "hashed", "rows": 4}}
    tables["quotient_remainder"] = {"kind": "quotient_remainder", "buckets": 3}
    tables["by_frequency"] = {"kind": "by_frequency", "head": 0.4, "tail_dim": 2}
    model = build_deepfm(SMALL, config(tables[kind], batch_norm=False))
    w = {layer.name: layer.get_weights()[0] for layer in model.layers if layer.get_weights()}
    looked_up = keras.Model(model.inputs, model.get_layer("embedding").output)(IDS).numpy()
    if kind == "full":
        expected = w["embedding"][IDS.numpy()]
    elif kind == "hashed":
        assert w["embedding"].shape == (7 + 4, DIM)
        assert w["linear"].shape == (7 + 4, 1)
        expected = w["embedding"][HashedRows(SMALL, 4)(IDS).numpy()]
    elif kind == "quotient_remainder":
        assert w["embedding_quotient"].shape == (7 + 3, DIM)
        assert w["embedding_remainder"].shape == (1 + 3, DIM)
        quotient, remainder = QuotientRemainderRows(SMALL, 3)(IDS)
        factor = 1 + w["embedding_remainder"][remainder.numpy()]
        expected = w["embedding_quotient"][quotient.numpy()] * factor
    elif kind == "low_rank":
        assert w["linear"].shape == (14, 1)
        expected = (w["embedding_factor"] @ w["embedding"])[IDS.numpy()]
    else:
        assert w["linear"].shape == (14, 1)
        assert w["embedding_head"].shape == (7 + 4, DIM)  # 2 + 1 + 1 of 3 + 2 + 2 values
        assert w["embedding_tail"].shape == (1 + 3, 2)
        head, tail = (t.numpy() for t in ByFrequencyRows(SMALL, (2, 1, 1))(IDS))
        assert tail[4].tolist() == [1, 2, 3, 3]
        rare = w["embedding_tail"][tail] @ w["embedding_projection"]
        expected = np.where(tail[:, :, None] > 0, rare, w["embedding_head"][head])
    np.testing.assert_allclose(looked_up, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", list(KINDS))
def test_ids_stay_apart_where_the_kind_says_so(kind: str) -> None:
    model = checkpoint(kind).model
    looked_up = keras.Model(model.inputs, model.get_layer("embedding").output)
    ids = np.zeros((USER.rows, 3), np.int32)
    ids[:, 0] = USER.offset + np.arange(USER.rows)
    ids[: TAGS.rows, 1] = TAGS.offset + np.arange(TAGS.rows)
    rows_of = looked_up({"ids": ids, "numeric": np.zeros((len(ids), 1))}).numpy()
    users, tags, padding = rows_of[:, 0], rows_of[: TAGS.rows, 1], rows_of[:1, 2]
    everything = len(np.unique(np.concatenate([users, tags, padding]), axis=0))
    reserved = np.concatenate([users[:2], tags[:2], padding])
    assert len(np.unique(reserved, axis=0)) == 5
    total = 1 + USER.rows + TAGS.rows
    assert everything == (5 + 60 if kind == "hashed" else total)


@pytest.mark.parametrize("kind", list(KINDS))
def test_gradients_of_stored_rows_are_sparse(kind: str) -> None:
    model = checkpoint(kind).model
    inputs = {"ids": np.array([[9, 606, 0]]), "numeric": np.ones((1, 1), np.float32)}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs, training=True))
    weights = model.trainable_weights
    gradients = zip(weights, tape.gradient(loss, weights), strict=True)
    dense = {w.name for w, g in gradients if not isinstance(g, tf.IndexedSlices)}
    tables = {w.name for w in model.trainable_weights if w.name.endswith("embeddings:0")}
    assert len(tables) >= 2
    assert not dense & tables
    largest = max(int(tf.size(w)) for w in model.trainable_weights if w.name in dense)
    assert largest <= 2 * DIM * 8  # the first hidden layer, of two fields


def test_a_step_on_a_rare_value_leaves_frequent_rows_alone() -> None:
    model = build_deepfm(LAYOUT, config(KINDS["by_frequency"]))
    head = model.get_layer("embedding_head").embeddings
    tail = model.get_layer("embedding_tail").embeddings
    before = head.numpy(), tail.numpy()
    rare = USER.offset + 2 + 60 + 4
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model({"ids": np.array([[rare, 0, 0]]), "numeric": np.ones((1, 1))}))
    weights = model.trainable_weights
    LazyAdam(0.1).apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    np.testing.assert_array_equal(head.numpy(), before[0])
    assert np.flatnonzero((tail.numpy() != before[1]).any(axis=1)).tolist() == [1 + 4]


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("full", ["embedding", "linear"]),
        (
            "quotient_remainder",
            ["embedding", "linear"]
            + [f"{t}_{p}" for t in ("embedding", "linear") for p in ("quotient", "remainder")],
        ),
        ("low_rank", ["embedding", "embedding_factor", "linear"]),
        (
            "by_frequency",
            ["embedding", "linear"] + [f"embedding_{p}" for p in ("head", "tail", "projection")],
        ),
    ],
)
def test_what_a_table_is_made_of(kind: str, parts: list[str]) -> None:
    found = table_layers(checkpoint(kind).model)
    assert sorted(found) == sorted(parts)  # and not `linear_numeric`, which stays float
    kernels = {"low_rank": ["embedding"], "by_frequency": ["embedding_projection"]}
    assert [name for name, kernel in found.items() if kernel] == kernels.get(kind, [])


@pytest.mark.parametrize("kind", list(KINDS))
def test_bfloat16_computes_the_same(kind: str) -> None:
    settings = TrainingConfig(precision="bfloat16", seed=3)
    mixed = training.build(LAYOUT, config(KINDS[kind]), settings)
    plain = training.as_float32(mixed, LAYOUT, config(KINDS[kind]))
    assert plain(rows(9, 1)).dtype == tf.float32
    np.testing.assert_allclose(scores(mixed, rows(9, 1)), scores(plain, rows(9, 1)), atol=0.02)


def int8(model: Checkpoint, splits: Splits) -> Checkpoint:
    quantizer = Quantize(Quantization(technique="quantize", epochs=0))
    folded = quantizer.prepare(model, splits, TrainingConfig())
    wrapped = quantizer.wrap(folded, 1)
    quantizer.initialize(wrapped, folded, splits)
    return Checkpoint(wrapped, folded.layout, folded.config, format="int8")


def constants(content: bytes) -> list[np.ndarray[Any, Any]]:
    """What a file holds; nothing else has a value before the first run."""
    interpreter = LiteModel(content)._interpreter
    found = []
    for detail in interpreter.get_tensor_details():
        try:
            found.append(interpreter.get_tensor(detail["index"]))
        except ValueError:
            continue
    return found


@pytest.fixture(scope="module")
def whole_int8(splits: Splits) -> bytes:
    return export.to_tflite(int8(checkpoint("full"), splits))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("hashed", {(5 + 60, DIM), (5 + 60, 1)}),
        ("quotient_remainder", {(5 + 25, DIM), (26, DIM), (26, 1)}),
        ("low_rank", {(625, 2), (625, 1), (DIM, 2)}),
        ("by_frequency", {(5 + 62, DIM), (1 + 558, 2), (625, 1), (DIM, 2)}),
    ],
)
def test_the_int8_file(
    kind: str,
    stored: set[tuple[int, int]],
    splits: Splits,
    whole_int8: bytes,
    tmp_path: pathlib.Path,
) -> None:
    quantized = int8(checkpoint(kind), splits)
    quantized.save(str(tmp_path))
    loaded = Checkpoint.load(str(tmp_path))
    assert loaded.config == quantized.config
    file = LiteModel(export.to_tflite(loaded))
    inputs = rows(400, 5)
    expected = scores(quantized.model, inputs)
    np.testing.assert_array_equal(scores(loaded.model, inputs), expected)
    assert np.abs(file.score(inputs) - expected).max() < 0.02
    assert np.ptp(expected) > 0.2
    assert np.abs(expected - scores(checkpoint(kind).model, inputs)).max() < 0.05
    assert stored <= {c.shape for c in constants(file.content) if c.dtype == np.int8}
    large = [c for c in constants(file.content) if c.size > 60 and c.dtype != np.int8]
    assert not large
    assert LiteModel(whole_int8).gzip_bytes - file.gzip_bytes > 1000
    assert not [name for name in file.operators() if name.startswith(("Flex", "CUSTOM", "HASH"))]


@pytest.fixture(scope="module")
def sparse_parent() -> Checkpoint:
    """A whole table, some zeros in the tower, and rows of very different length."""
    chosen = config(KINDS["full"])
    model = build_deepfm(LAYOUT, chosen)
    kernel, bias = model.get_layer("tower_0").get_weights()
    kernel[::2] = 0
    model.get_layer("tower_0").set_weights([kernel, bias])
    table = np.random.default_rng(3).normal(0, 0.3, (LAYOUT.table_rows, DIM)).astype(np.float32)
    model.get_layer("embedding").set_weights([table])
    return Checkpoint(model, LAYOUT, chosen)


def test_removed_rows_leave_their_mean(sparse_parent: Checkpoint) -> None:
    step = RowPruning(technique="prune_rows", by="frequency", keep=0.3)
    cut = PruneRows(step).prepare(sparse_parent, Splits((), ()), TrainingConfig())
    assert cut.config.table.model_dump() == {"kind": "truncated", "values": (180, 6)}
    for name in ("embedding", "linear"):
        old = sparse_parent.model.get_layer(name).get_weights()[0]
        new = cut.model.get_layer(name).get_weights()[0]
        assert len(new) == 5 + 186
        np.testing.assert_array_equal(new[0], old[0])
        np.testing.assert_allclose(new[1], old[USER.offset + 182 : TAGS.offset].mean(0), atol=1e-6)
        np.testing.assert_array_equal(new[2], old[USER.missing_row])
        np.testing.assert_allclose(new[3], old[TAGS.offset + 8 :].mean(0), atol=1e-6)
        np.testing.assert_array_equal(new[4], old[TAGS.missing_row])
        np.testing.assert_array_equal(new[5:185], old[USER.offset + 2 : USER.offset + 182])
        np.testing.assert_array_equal(new[185:], old[TAGS.offset + 2 : TAGS.offset + 8])
    kept = {"ids": np.array([[USER.offset + 2, TAGS.offset + 7, 0]]), "numeric": np.ones((1, 1))}
    np.testing.assert_allclose(
        scores(cut.model, kept), scores(sparse_parent.model, kept), rtol=1e-6
    )


def test_the_longest_rows_stay(sparse_parent: Checkpoint) -> None:
    step = RowPruning(technique="prune_rows", by="norm", keep=0.25)
    cut = PruneRows(step).prepare(sparse_parent, Splits((), ()), TrainingConfig())
    assert cut.config.table.model_dump() == {"kind": "pruned", "rows": 5 + 155}
    norms = np.linalg.norm(sparse_parent.model.get_layer("embedding").get_weights()[0], axis=1)
    values = np.r_[USER.offset + 2 : TAGS.offset, TAGS.offset + 2 : LAYOUT.table_rows]
    longest = set(sorted(values, key=lambda i: -norms[i])[:155])
    (stored,) = cut.model.get_layer("rows").get_weights()
    assert stored[[0, 1, 2, TAGS.oov_row, TAGS.missing_row]].tolist() == [0, 1, 2, 3, 4]
    assert {i for i in values if stored[i] > 4} == longest
    assert len(set(stored[sorted(longest)])) == 155
    assert {int(stored[i]) for i in set(values) - longest} == {1, 3}


@pytest.mark.slow
@pytest.mark.parametrize(("by", "maps"), [("frequency", []), ("norm", [np.int16])])
def test_a_removed_value_scores_as_an_unknown_one(
    by: Any, maps: list[type], sparse_parent: Checkpoint, splits: Splits, whole_int8: bytes
) -> None:
    step = RowPruning(technique="prune_rows", by=by, keep=0.25)
    before = sparse_parent.model.get_weights()
    pruned = compress(technique(step), sparse_parent, splits, TRAINING)
    for old, kept in zip(before, sparse_parent.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, kept)
    assert pruned.metrics["table_rows"] == 5 + 155
    assert {"auc", "auc_before", "log_loss"} <= set(pruned.metrics)
    assert sparsity(pruned.model)["tower_0"] == 0.5
    stored = keras.Model(pruned.model.inputs, pruned.model.get_layer("rows").output)
    users = np.arange(USER.offset, USER.offset + USER.rows)
    inputs = {
        "ids": np.column_stack([users, np.full((USER.rows, 2), TAGS.offset + 2)]),
        "numeric": np.ones((USER.rows, 1), np.float32),
    }
    removed = stored(inputs).numpy()[:, 0] == 1
    assert 0.6 * VALUES < removed.sum() < 0.9 * VALUES
    model = int8(pruned, splits) if by == "norm" else pruned
    file = LiteModel(export.to_tflite(model))
    result = file.score(inputs, batch=USER.rows)
    assert np.abs(result - scores(model.model, inputs)).max() < 0.02
    assert set(result[removed]) == {result[0]}
    assert len(set(result[~removed])) > 30
    held = constants(file.content)
    assert [c.dtype for c in held if c.shape == (LAYOUT.table_rows,)] == maps
    tables = {c.shape for c in held if c.shape[1:] in [(DIM,), (1,)]}
    assert {(160, DIM), (160, 1)} <= tables
    assert not {shape for shape in tables if shape[0] > 160}
    if by == "norm":
        map_bytes, removed_bytes = 2 * 625, (625 - 160) * (DIM + 1)
        assert len(whole_int8) - len(file.content) > removed_bytes - map_bytes - 1024


@pytest.mark.parametrize(
    ("table", "keep", "message"),
    [
        ({"kind": "hashed", "rows": 9}, 0.5, "'full'; this model's is 'hashed'"),
        ({"kind": "pruned", "rows": 9}, 0.5, "'full'; this model's is 'pruned'"),
        ({"kind": "full"}, 0.9, r"keep 0\.9 removes no row: the fields have \[3, 2, 2\] values"),
    ],
)
def test_tables_without_rows_to_remove(table: dict[str, Any], keep: float, message: str) -> None:
    chosen = config(table)
    model = Checkpoint(build_deepfm(SMALL, chosen), SMALL, chosen)
    step = RowPruning(technique="prune_rows", keep=keep)
    with pytest.raises(NotCompressible, match=message):
        compress(technique(step), model, Splits([], []), TRAINING)


def test_a_lost_zero_fails_the_post_condition(sparse_parent: Checkpoint) -> None:
    chosen = sparse_parent.config
    dense = build_deepfm(LAYOUT, chosen)
    step = RowPruning(technique="prune_rows", keep=0.5)
    with pytest.raises(PostConditionFailed, match=r"no longer zero: \{'tower_0': 64\}"):
        PruneRows(step).verify(sparse_parent, dense)


@pytest.mark.parametrize("kind", ["quotient_remainder", "low_rank", "by_frequency"])
def test_composed_embeddings_are_not_pruned(kind: str) -> None:
    step = Pruning(technique="prune", embeddings=PruningScope(sparsity=0.5))
    with pytest.raises(NotCompressible, match=f"'{kind}' is composed of several matrices"):
        compress(technique(step), checkpoint(kind), Splits([], []), TRAINING)


def test_hashed_embeddings_can_be_pruned() -> None:
    step = Pruning(technique="prune", embeddings=PruningScope(sparsity=0.5))
    Prune(step).check(checkpoint("hashed"))
    assert prunable_weights(checkpoint("hashed").model)["embedding"].shape == (5 + 60, DIM)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "sorted"}, "'sorted' found using 'kind'"),
        ({"kind": "hashed"}, "rows\n  Field required"),
        ({"kind": "hashed", "rows": 0}, "rows\n  Input should be greater than or equal to 1"),
        ({"kind": "quotient_remainder", "buckets": 1}, "greater than or equal to 2"),
        ({"kind": "low_rank", "rank": 8}, "'low_rank' has rank 8 and embedding_dim is 8"),
        (
            {"kind": "by_frequency", "head": 0.1, "tail_dim": 9},
            "'by_frequency' has tail_dim 9 and embedding_dim is 8",
        ),
        ({"kind": "by_frequency", "head": 1.0, "tail_dim": 2}, "less than 1"),
        ({"kind": "full", "rows": 3}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_tables(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(table)


@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_keeping_nothing_or_everything_is_an_error(keep: float) -> None:
    with pytest.raises(ValidationError, match="keep"):
        RowPruning(technique="prune_rows", keep=keep)


def test_a_model_that_was_hashed_otherwise_is_refused() -> None:
    layer = HashedRows(SMALL, 4, name="rows")
    config = layer.get_config()
    again = HashedRows.from_config(config)
    assert again.get_config() == config
    del config["factor"]  # as earlier versions wrote it
    with pytest.raises(ValueError, match="hashed otherwise: train it anew"):
        HashedRows.from_config(config)
