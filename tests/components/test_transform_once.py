"""What TFT would trace or load again it gets from the first time."""

from __future__ import annotations

import tempfile
from typing import Any

import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.testing.util import assert_that, equal_to
from tensorflow_transform import beam as tft_beam
from tensorflow_transform import impl_helper
from tensorflow_transform.beam import impl

from ranklite.components.transform.once import traced_and_loaded_once

SPECS = {"x": tf.TensorSpec([None], tf.float32), "y": tf.TensorSpec([None], tf.float32)}


class Counted:
    """A preprocessing function that knows how often it was traced."""

    def __init__(self) -> None:
        self.traces = 0

    def __call__(self, inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
        self.traces += 1
        return {"z": inputs["x"] - tft.mean(inputs["x"]), "y": inputs["y"]}


def test_equal_questions_are_traced_once() -> None:
    function, other = Counted(), Counted()
    with traced_and_loaded_once():
        assert tft.get_analyze_input_columns(function, SPECS) == ["x"]
        assert tft.get_analyze_input_columns(function, dict(SPECS)) == ["x"]
        assert sorted(tft.get_transform_input_columns(function, SPECS)) == ["x", "y"]
        assert function.traces == 1
        assert tft.get_analyze_input_columns(other, SPECS) == ["x"]
        wide = {name: tf.TensorSpec([None, 1], tf.float32) for name in SPECS}
        assert tft.get_analyze_input_columns(function, wide) == ["x"]
        assert (function.traces, other.traces) == (2, 1)


def transform() -> None:
    """Analyzes three rows, and transforms them as two splits."""
    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in SPECS}
    metadata = tft.DatasetMetadata.from_feature_spec(spec)
    rows = [{"x": float(x), "y": 0.0} for x in (1, 2, 6)]
    with beam.Pipeline() as pipeline, tft_beam.Context(temp_dir=tempfile.mkdtemp()):
        train = pipeline | beam.Create(rows)
        learned = (train, metadata) | tft_beam.AnalyzeDataset(Counted())
        for split, given, expected in (("train", rows, [-2, -1, 3]), ("eval", rows[:1], [-2])):
            data = pipeline | f"Read {split}" >> beam.Create(given)
            done, _ = ((data, metadata), learned) | split >> tft_beam.TransformDataset()
            numbers = done | f"Take {split}" >> beam.Map(lambda row: float(row["z"]))
            assert_that(numbers, equal_to(expected), label=f"Check {split}")


def test_a_graph_is_loaded_once_for_all_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    state: Any = impl._RunMetaGraphDoFn._GraphStateV2
    init = state.__init__

    def noted(self: Any, folder: str, *args: Any) -> None:
        loads.append(folder)
        init(self, folder, *args)

    monkeypatch.setattr(state, "__init__", noted)
    transform()
    assert (len(loads), len(set(loads))) == (3, 2)  # to analyze, and for each split
    loads.clear()
    with traced_and_loaded_once():
        transform()
    assert (len(loads), len(set(loads))) == (2, 2)


def test_tft_is_as_it_was_afterwards() -> None:
    before = impl_helper.trace_preprocessing_function, impl._RunMetaGraphDoFn._make_graph_state
    with pytest.raises(KeyError), traced_and_loaded_once():
        raise KeyError
    after = impl_helper.trace_preprocessing_function, impl._RunMetaGraphDoFn._make_graph_state
    assert before == after
    function = Counted()
    for times in (1, 2):
        tft.get_analyze_input_columns(function, SPECS)
        assert function.traces == times
