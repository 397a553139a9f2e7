"""Summaries of parts of the rows make one of all rows, and what analyzers cannot do is refused."""

from __future__ import annotations

import collections
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.models.features.analysis import Analysis, NotInProcess
from ranklite.models.features.vocabulary_files import Counts, Wanted, in_order

SPECS = {
    "x": tf.TensorSpec([None], tf.float32),
    "y": tf.TensorSpec([None], tf.float32),
    "word": tf.TensorSpec([None], tf.string),
}
WORDS = st.lists(
    st.lists(st.sampled_from([b"", b"a", b"b", b"\xff", "\u00fc".encode(), b"a b"]), max_size=6)
)


@settings(deadline=None)
@given(parts=WORDS, cut=st.integers(0, 5))
def test_counts_of_parts_add_up(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[bytes]], cut: int
) -> None:
    wanted = [Wanted("all"), Wanted("frequent", min_count=2), Wanted("few", size=2)]
    first, second = Counts(wanted), Counts(wanted)
    for k, part in enumerate(parts):
        array = np.array(part, object).reshape(1, -1)
        (first if k < cut else second).add([array] * len(wanted))
    first.merge(second)
    counts = collections.Counter(word for part in parts for word in part)
    for path, one in zip(first.outputs(str(tmp_path_factory.mktemp("w"))), wanted, strict=True):
        words = list(tf.data.TFRecordDataset(path, "GZIP").as_numpy_iterator())
        assert words == in_order(counts, one) or not in_order(counts, one)


def numbers(inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
    x = tf.cast(inputs["x"], tf.float64)
    return {
        "mean": x - tft.mean(x),
        "var": x - tft.var(x),
        "least": x - tft.min(x),
        "bucket": tft.apply_buckets(inputs["y"], tft.quantiles(inputs["y"], 4, epsilon=0.01)),
    }


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return Analysis(numbers, SPECS)


def test_parts_learn_what_the_whole_learns(analysis: Analysis, tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(5, 2, 4_000).astype(np.float32), rng.exponential(1, 4_000).astype(np.float32)

    def batches(rows: slice) -> list[dict[str, Any]]:
        places = np.array_split(np.arange(4_000)[rows], 3)
        given = [{"x": x[k], "y": y[k], "word": np.full(len(k), b"w")} for k in places]
        return [
            {name: tensor.numpy() for name, tensor in analysis.inputs(tensors).items()}
            for batch in given
            for tensors in [{name: tf.constant(values) for name, values in batch.items()}]
        ]

    whole = analysis.run(batches(slice(None)), str(tmp_path))
    parts = []
    for rows in (slice(0, 900), slice(900, 4_000)):
        parts.append(analysis.summaries())
        for batch in batches(rows):
            analysis.add(parts[-1], batch)
    for one, other in zip(*parts, strict=True):
        one.merge(other)
    merged = analysis.learned(parts[0], str(tmp_path))
    assert set(merged) == set(whole)
    values = sorted(float(value.numpy().ravel()[0]) for value in whole.values() if value.ndim == 0)
    for expected in (x.mean(dtype=np.float64), x.var(dtype=np.float64)):
        assert any(abs(value - expected) < 1e-6 for value in values)
    for name, value in whole.items():
        if "quantiles" in name:  # a sketch: ranks are within its error
            ranks = np.searchsorted(np.sort(y), merged[name].numpy().ravel()) / len(y)
            np.testing.assert_allclose(ranks, [0.25, 0.5, 0.75], atol=0.02)
        else:
            np.testing.assert_allclose(merged[name], value, rtol=1e-9)


def test_an_analyzer_of_what_was_learned_is_refused() -> None:
    def two_phases(inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
        return {"z": tft.scale_to_0_1(inputs["x"] - tft.mean(inputs["x"]))}

    with pytest.raises(NotInProcess, match="what another one has learned"):
        Analysis(two_phases, SPECS)


def test_an_analyzer_without_a_summary_is_refused() -> None:
    def vocabulary(inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
        return {"rank": tft.compute_and_apply_vocabulary(inputs["word"])}

    with pytest.raises(NotInProcess, match="Vocabulary"):
        Analysis(vocabulary, SPECS)
