"""One row of a user's own lists for many candidates: the scores of many rows, and less work."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from ranklite.models.architectures import family
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques import from_json
from ranklite.models.export import once_per_user
from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW
from ranklite.models.export.tflite import TFLite
from ranklite.models.export.tflite_convert import to_tflite
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import MISSING_INT32, FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from tests.lite_files import buffers, written

Array = npt.NDArray[Any]

ITEMS, LENGTH = 20, 7
MISSING = {np.dtype(np.int32).char: MISSING_INT32, np.dtype(np.float32).char: np.nan}
HISTORY = {"name": "seen", "kind": "history", "of": "item", "by": "user", "length": LENGTH}
TRAINING = TrainingConfig(batch_size=128, epochs=1, learning_rate=0.02, oov_rate=0.0)
ENCODERS = ("pool", "attention", "gru")
# `alone`: a pooled list is the only one, so that signatures may join their parts in two scales.
CASES = [("deepfm", e) for e in (*ENCODERS, "alone")] + [
    ("dcn_v2", "attention"),
    ("gru4rec", "gru"),
]
every_case = pytest.mark.parametrize(("name", "encoder"), CASES)
TABLES: list[dict[str, Any]] = [
    {"kind": "hashed", "rows": 9},
    {"kind": "quotient_remainder", "buckets": 4},
    {"kind": "low_rank", "rank": 2},
    {"kind": "by_frequency", "head": 0.3, "tail_dim": 3},
    {"kind": "truncated", "values": [3, 10, 2]},
    {"kind": "pruned", "rows": 12},
]
STEPS: dict[str, list[dict[str, Any]]] = {
    "int8": [{"technique": "quantize", "epochs": 0}],
    "trained_int8": [{"technique": "quantize", "epochs": 1, "control": False}],
    "rows_int8": [{"technique": "quantize", "epochs": 0, "table": "int8_per_row"}],
    "four_bits": [{"technique": "quantize", "epochs": 0, "bits": 4, "table": "int4_per_row"}],
    "units": [{"technique": "quantize", "epochs": 0, "granularity": "per_channel"}],
    "dynamic_range": [{"technique": "quantize", "format": "dynamic_range"}],
    "float16": [{"technique": "quantize", "format": "float16"}],
    "pruned": [
        {"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1, "ramp": 0.5},
        {"technique": "quantize", "epochs": 0},
    ],
}


@dataclasses.dataclass(frozen=True)
class Case:
    """Features with a history, and rows of them.

    Attributes:
      features: A candidate's item and tags, an hour, and two lists of the user's own.
      layout: Of them.
      raw: Their preprocessing.
    """

    features: FeatureSet
    layout: FeatureLayout
    raw: RawFeatures

    def rows(self, count: int, users: int | None = None, seed: int = 0) -> dict[str, Array]:
        """Raw features of candidates, and of as many users, the first of whom has no history."""
        random = np.random.default_rng(seed)
        users = count if users is None else users
        kept = np.arange(LENGTH) < random.integers(1, LENGTH + 1, (users, 1))
        kept[0] = users == 1
        given = {
            "item": random.integers(0, ITEMS + 2, count),
            "tags": np.where(random.random((count, 2)) < 0.3, -(2**63), random.integers(0, 4)),
            "hour": random.integers(0, 4, count),
            "seen": np.where(kept, random.integers(0, ITEMS + 2, (users, LENGTH)), -(2**63)),
            "hours": np.where(kept, random.integers(0, 4, (users, LENGTH)), -(2**63)),
        }
        outcome = random.integers(0, 2, (users, LENGTH))
        outcomes = {f"{f}_outcome": np.where(kept, outcome, np.nan) for f in ("seen", "hours")}
        made = {**given, **{n: v.astype(np.float32) for n, v in outcomes.items()}}
        return {column.name: made[column.name] for column in self.features.raw_columns}

    def repeated(self, rows: dict[str, Array]) -> dict[str, Array]:
        """The rows with the one of the user's own lists for each candidate."""
        count = len(rows["item"])
        return {n: np.repeat(v, count, axis=0) if len(v) == 1 else v for n, v in rows.items()}

    def fused(self, rows: dict[str, Array]) -> dict[str, Array]:
        """What `serving_default` takes."""
        keys = self.raw.encoder.encode(rows)
        made = self.raw({name: tf.constant(values) for name, values in keys.items()})
        return {name: values.numpy() for name, values in made.items()}


@functools.cache
def case(encoder: str) -> Case:
    others = [
        {**HISTORY, "name": "hours", "of": "hour", "pool": ["all"]},
        {
            **{"name": "tags", "kind": "multi_categorical", "dtype": "int64"},
            **{"max_length": 2, "separator": "|"},
        },
    ]
    features = FeatureSet.model_validate(
        {
            "user": "user",
            "item": "item",
            "features": [
                *([] if encoder == "alone" else others[:1]),
                {"name": "item", "kind": "categorical", "dtype": "int64"},
                {**HISTORY, "encoder": "pool" if encoder == "alone" else encoder},
                {"name": "hour", "kind": "categorical", "dtype": "int64"},
                *([] if encoder == "alone" else others[1:]),
            ],
        }
    )
    counts = {"item": ITEMS, "hour": 4, "tags": 4}
    sizes = [(f.name, f.id_length, counts.get(f.name, 0)) for f in features.id_features]
    layout = FeatureLayout.build(sizes, features.numeric_names, features.list_fields)
    constants = PreprocessingConstants(
        {name: [str(k) for k in range(count)] for name, count in counts.items()},
        dict.fromkeys(features.numeric_names, 0.5),
        dict.fromkeys(features.numeric_names, 2.0),
        {},
    )
    return Case(features, layout, RawFeatures(features, constants, layout))


def made(name: str, encoder: str, **settings: Any) -> Checkpoint:
    """A model with random weights."""
    given = {
        **{"family": name, "embedding_dim": 4, "hidden_units": [16, 8], "dropout": 0.0},
        **settings,
    }
    config, layout = parse_settings(given), case(encoder).layout
    model, random = family.build(layout, config), np.random.default_rng(1)
    for layer in model.layers:
        low = 0.5 if layer.name.endswith("_bn") else -0.6
        weights = [random.uniform(low, 0.6, w.shape).astype(w.dtype) for w in layer.get_weights()]
        if layer.name == "rows" and weights:  # the map of a pruned table
            weights = [random.integers(0, config.table.rows, w.shape) for w in weights]
        layer.set_weights(weights)
    return Checkpoint(model, layout, config)


def check(checkpoint: Checkpoint, encoder: str) -> LiteModel:
    """Exports; one row of the user's lists, the same repeated, and Keras's inputs score alike."""
    of = case(encoder)
    target = TFLite()
    nodes = [len(layer.inbound_nodes) for layer in checkpoint.model.layers]
    file = LiteModel(to_tflite(checkpoint, of.raw))
    assert [len(layer.inbound_nodes) for layer in checkpoint.model.layers] == nodes
    file.try_out()
    assert not target.foreign(file.operators())
    for count in (1, 7, 600):
        rows = of.rows(count, users=1, seed=count)
        once = file.score(rows, SERVING_RAW)
        repeated = of.repeated(rows)
        np.testing.assert_array_equal(once, file.score(repeated, SERVING_RAW))
        np.testing.assert_array_equal(once, file.score(of.fused(repeated), SERVING_DEFAULT))
    assert np.ptp(once) > 0.02
    check_halves(file, of)
    different = of.rows(50)
    np.testing.assert_array_equal(
        file.score(different, SERVING_RAW), file.score(of.fused(different), SERVING_DEFAULT)
    )
    return file


def check_halves(file: LiteModel, of: Case) -> None:
    """What is computed of candidates before gives the scores of the whole signature."""
    own = {"item", "tags"} & {column.name for column in of.features.raw_columns}
    once = [column.name for column in of.features.past_columns]
    halves = file.halves(own, once)
    assert halves is not None
    for count, seed in ((600, 3), (600, 4), (5, 5), (1, 6)):
        rows = of.rows(count, users=1, seed=seed)
        rows["hour"][:] = seed - 3
        rows = dict(of.raw.encoder.encode(rows))
        missing = {n: np.full_like(x, MISSING[x.dtype.char]) for n, x in rows.items()}
        of_items = {n: x if n in own else missing[n] for n, x in rows.items()}
        of_user = {n: missing[n][:1] if n in own else x[:1] for n, x in rows.items()}
        prepared = halves.prepared(of_items)
        scores = halves.score(prepared, of_user, count)
        np.testing.assert_array_equal(scores, file.score(rows, SERVING_RAW))
        if count == 600:
            assert np.ptp(scores) > 0.02
    assert halves is file.halves(own, once)


@every_case
def test_one_row_of_the_user_scores_as_many(name: str, encoder: str) -> None:
    checkpoint, of = made(name, encoder), case(encoder)
    file = check(checkpoint, encoder)
    rows = of.rows(30, users=1)
    expected = tf.sigmoid(checkpoint.model(of.fused(of.repeated(rows)))).numpy()[:, 0]
    np.testing.assert_allclose(file.score(rows, SERVING_RAW), expected, atol=1e-5)
    other = {**rows, "seen": rows["seen"] + 1}
    assert np.abs(file.score(other, SERVING_RAW) - expected).max() > 1e-3  # the list is read


@every_case
def test_a_list_is_looked_up_and_encoded_once(name: str, encoder: str) -> None:
    """Counted in what operators write: time would tell how busy the machine is."""
    count, of = 11, case(encoder)
    content = to_tflite(made(name, encoder), of.raw)
    once = of.rows(count, users=1)
    one, many = (
        [
            operator
            for operator, shape in written(content, SERVING_RAW, rows)
            if shape[:1] == [count]
            and {LENGTH, 2 * LENGTH} & set(shape)  # no other axis is so long
        ]
        for rows in map(of.raw.encoder.encode, (once, of.repeated(once)))
    )
    assert "GATHER" in many
    assert "GATHER" not in one
    if encoder == "attention":  # it weighs each event by each candidate
        assert len(one) < len(many) / 3
    else:
        assert not one


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table["kind"]))
@pytest.mark.parametrize(("name", "encoder"), [("deepfm", "attention"), ("gru4rec", "gru")])
def test_every_table_is_looked_up_in_parts(name: str, encoder: str, table: dict[str, Any]) -> None:
    check(made(name, encoder, table=table), encoder)


def test_a_model_that_has_no_parts_reads_whole_rows() -> None:
    """One of a family of another package, with inputs of its own."""
    of = case("pool")
    fields = tuple(dataclasses.replace(field, of_user=False) for field in of.layout.fields)
    whole = dataclasses.replace(of.layout, fields=fields)
    parted = made("deepfm", "pool")
    model = family.build(whole, parted.config)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(parted.model.get_layer(layer.name).get_weights())
    assert once_per_user.has_parts(parted.model)
    assert not once_per_user.has_parts(model)
    rows = of.rows(9, users=1)
    file, other = (
        LiteModel(to_tflite(checkpoint, of.raw))
        for checkpoint in (parted, dataclasses.replace(parted, model=model))
    )
    expected = file.score(rows, SERVING_RAW)
    np.testing.assert_allclose(other.score(rows, SERVING_RAW), expected, atol=1e-6)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory, write_examples: Any) -> dict[str, Splits]:
    """By encoder: rows of users with a history each, and labels that a model can learn."""

    def write(of: Case, name: str, count: int, seed: int) -> str:
        rows = of.rows(count, seed=seed)
        likes = rows["item"] % 3 == rows["seen"][:, 0] % 3
        label = np.where(np.random.default_rng(seed).random(count) < 0.1, ~likes, likes)
        columns = {**of.fused(rows), "label": label[:, None].astype(np.float32)}
        return str(write_examples(tmp_path_factory.mktemp("seen") / name, columns))

    pool, alone = (
        Splits([write(case(each), "train.gz", 1500, 1)], [write(case(each), "eval.gz", 300, 2)])
        for each in ("pool", "alone")
    )
    return {**dict.fromkeys(ENCODERS, pool), "alone": alone}


@pytest.mark.slow
@pytest.mark.parametrize("steps", STEPS)
@every_case
def test_a_compressed_model_scores_so_too(
    name: str, encoder: str, steps: str, splits: dict[str, Splits], tmp_path: pathlib.Path
) -> None:
    checkpoint, of = made(name, encoder), case(encoder)
    for step in STEPS[steps]:
        setting = Setting(of.features, splits[encoder], TRAINING)
        checkpoint = apply(from_json(json.dumps(step)), checkpoint, setting).model
    checkpoint.save(str(tmp_path))
    file = check(Checkpoint.load(str(tmp_path)), encoder)
    large = [data for data in buffers(file.content) if len(data) >= 100]
    assert len(large) == len(set(large)) > 1  # what both parts and both signatures read
