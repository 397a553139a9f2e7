"""Splits in memory against the same splits read from their files."""

from __future__ import annotations

import collections
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.python.eager.polymorphic_function import tracing_compilation

from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.pooling import Columns, FieldPooling, columns
from ranklite.models.training import data, in_memory
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig

MODEL = DeepFMConfig(embedding_dim=4, hidden_units=(16,), dropout=0.3, embedding_stddev=0.1)
TRAINING = TrainingConfig(batch_size=256, epochs=3, learning_rate=0.05, oov_rate=0.1)
LAYOUT = FeatureLayout.build([("user", 1, 300)])
MOST_CALLS = 2_500  # of Python a step, of Keras and of our callbacks


@pytest.fixture(autouse=True)
def nothing_in_memory() -> Iterator[None]:
    in_memory.clear()
    yield
    in_memory.clear()


def trained(clicks: Any, **fitting: Any) -> list[np.ndarray]:
    model = training.build(clicks.layout, MODEL, TRAINING)
    training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING, **fitting)
    return [*model.get_weights(), training.predict(model, clicks.layout, clicks.eval)[0]]


def test_trains_to_the_same_bits_as_from_the_files(
    clicks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = trained(clicks)
    monkeypatch.setattr(in_memory, "MOST_BYTES", 100)
    in_memory.clear()
    for ours, theirs in zip(held, trained(clicks), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(1, 80),
    batch=st.integers(1, 90),
    shuffle=st.integers(0, 90),
    drop=st.booleans(),
    seed=st.integers(0, 5),
)
def test_batches_are_those_of_the_files(
    tmp_path_factory: Any, write_examples: Any, rows: int, batch: int, shuffle: int, drop: bool,
    seed: int,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("rows") / "x.gz"
    ids = np.arange(rows)[:, None] + LAYOUT.fields[0].missing_row + 1
    file = write_examples(path, {"ids": ids, "label": np.zeros((rows, 1), "f")})
    held = data._in_memory([file], LAYOUT)
    assert held is not None
    ours = data._gathered(held, batch, shuffle, seed, drop)
    theirs = data._parsed([file], LAYOUT, batch, shuffle, seed, drop)
    for _ in range(2):  # epochs
        a, b = ([f["ids"].numpy().tolist() for f, _ in one] for one in (ours, theirs))
        assert a == b
    if not (drop or shuffle):
        assert a == [f["ids"].numpy().tolist() for f, _ in data.in_order([file], LAYOUT, batch)]


def test_a_training_parses_each_split_once_and_traces_each_function_once(
    clicks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: collections.Counter[str] = collections.Counter()
    traced: collections.Counter[str] = collections.Counter()
    parse, trace = data._parsed, tracing_compilation._create_concrete_function

    def counted(files: Any, *args: Any, **kwargs: Any) -> Any:
        parsed.update(files)
        return parse(files, *args, **kwargs)

    def seen(function_type: Any, context: Any, graph: Any, *args: Any, **kwargs: Any) -> Any:
        made = trace(function_type, context, graph, *args, **kwargs)
        traced[made.name.decode().partition("inference_")[2].rpartition("_")[0]] += 1
        return made

    monkeypatch.setattr(data, "_parsed", counted)
    monkeypatch.setattr(tracing_compilation, "_create_concrete_function", seen)
    model = training.build(clicks.layout, MODEL, TRAINING)
    training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING)
    assert parsed == dict.fromkeys([*clicks.train, *clicks.eval], 1)
    assert traced["train_function"] == 1
    assert sum(count for name, count in traced.items() if "lambda" in name.lower()) <= 3, traced


class CountedCalls(keras.callbacks.Callback):
    """Counts calls of Python functions in the steps of the last epoch."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs, self.calls, self.steps = epochs, 0, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch + 1 == self.epochs:
            sys.setprofile(self._count)

    def _count(self, frame: Any, event: str, arg: Any) -> None:
        self.calls += event == "call"

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += sys.getprofile() is not None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        sys.setprofile(None)


def test_a_step_takes_few_calls_of_python(clicks: Any) -> None:
    counted = CountedCalls(TRAINING.epochs)
    trained(clicks, callbacks=[counted])
    assert counted.steps == 2000 // 256
    assert counted.calls / counted.steps < MOST_CALLS


def pieces(count: int) -> Callable[[], Iterator[in_memory.Arrays]]:
    return lambda: iter([{"x": np.zeros((10, 1), np.float32)} for _ in range(count)])


def test_forgets_what_was_used_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_memory, "MOST_BYTES", 100)
    first = in_memory.columns([], ("a",), pieces(1))
    assert in_memory.columns([], ("a",), pieces(0)) is first
    in_memory.columns([], ("b",), pieces(1))
    assert in_memory.columns([], ("a",), pieces(0)) is first  # 80 bytes are held
    in_memory.columns([], ("c",), pieces(1))
    assert in_memory._bytes() == 80
    assert in_memory.columns([], ("a",), pieces(0)) is first
    assert in_memory.columns([], ("b",), pieces(2)) is not None
    assert in_memory.columns([], ("d",), pieces(3)) is None  # 120 bytes
    assert in_memory.columns([], ("d",), pieces(0)) is None


def test_reads_a_file_anew_that_was_written_anew(
    tmp_path: pathlib.Path, write_examples: Any
) -> None:
    def written(rows: int) -> int:
        ids = np.full((rows, 1), LAYOUT.fields[0].missing_row)
        file = write_examples(tmp_path / "x.gz", {"ids": ids, "label": np.zeros((rows, 1), "f")})
        os.utime(file, ns=(rows, rows))
        return data.count_rows([file], LAYOUT)

    assert [written(5), written(7)] == [5, 7]


@pytest.mark.parametrize(("start", "count"), [(0, 2), (1, 3), (4, 2), (0, 6)])
def test_cut_while_training_is_a_slice_with_its_gradient(start: int, count: int) -> None:
    inputs = tf.Variable(np.random.default_rng(0).normal(size=(5, 6, 2)).astype("f"))
    results = []
    for is_training in (True, False):
        with tf.GradientTape() as tape:
            part = columns(inputs, start, count, training=is_training)
            loss = tf.reduce_sum(part**3)
        results.append((part.numpy(), tape.gradient(loss, inputs).numpy()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("layer", [Columns(1, 3), FieldPooling((1, 1, 2, 3))])
def test_cut_has_as_many_operators_as_a_slice(layer: keras.layers.Layer) -> None:
    """Dropout draws by the number of its operator: models would differ from those before."""

    def operators(is_training: bool) -> int:
        values = tf.TensorSpec([4, 7, 2])
        inputs = values if isinstance(layer, Columns) else (tf.TensorSpec([4, 7], tf.int32), values)
        function = tf.function(lambda x: layer(x, training=is_training), autograph=False)
        return len(function.get_concrete_function(inputs).graph.get_operations())

    assert operators(True) == operators(False)
