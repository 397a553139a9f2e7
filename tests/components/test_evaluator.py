"""TFMA measures whole batches, and its figures are those of its own metrics and slicer."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow_model_analysis as tfma
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_model_analysis.extractors.slice_key_extractor import ExtractSliceKeysFn
from tensorflow_model_analysis.utils import util

from ranklite.components.evaluator import metrics, module
from ranklite.components.evaluator.eval_config import eval_config
from ranklite.components.evaluator.slicing import SliceBatches, slices
from ranklite.models.evaluation import metrics as exact

SINGLE, BOTH = ("",), ("candidate", "baseline")
SLICES = ("slice_user", "slice_tags")
Figures = dict[tuple[Any, ...], float]


def with_tfma_metrics(config: tfma.EvalConfig) -> tfma.EvalConfig:
    """The same with TFMA's own metrics in the place of ours."""
    result = tfma.EvalConfig()
    result.CopyFrom(config)
    for metric in result.metrics_specs[0].metrics:
        metric.class_name = metric.class_name.removeprefix("Batched")
        metric.module = ""
        if metric.class_name == "AUC":
            metric.config = '{"num_thresholds": 1000}'
    return result


def of_tfma(labels: Any, scores: Any) -> dict[str, float]:
    """TFMA's own metrics of some rows, computed as its evaluator does."""
    figures: dict[str, float] = {}
    for metric in (
        tfma.metrics.ExampleCount(),
        tfma.metrics.AUC(num_thresholds=1000),
        tfma.metrics.BinaryCrossEntropy(),
        tfma.metrics.Calibration(),
    ):
        found: dict[Any, Any] = {}
        for part in metric.computations(eval_config=tfma.EvalConfig(), model_names=[""]):
            if isinstance(part, tfma.metrics.DerivedMetricComputation):
                found |= part.result(found)
                continue
            sums = part.combiner.create_accumulator()
            for label, score in zip(labels, scores, strict=True):
                row = tfma.metrics.StandardMetricInputs(
                    labels=np.array([label]), predictions=np.array([score])
                )
                sums = part.combiner.add_input(sums, row)
            found |= part.combiner.extract_output(sums)
        figures |= {key.name: v for key, v in found.items() if not key.name.startswith("_")}
    return figures


def ours(labels: Any, scores: Any) -> dict[str, float]:
    """Our metrics of some rows, in two parts that are merged."""
    figures: dict[str, float] = {}
    for metric in metrics.METRICS:
        summed, derived = metric().computations(model_names=[""])
        combiner, parts = summed.combiner, []
        for some in (slice(None, None, 2), slice(1, None, 2)):
            rows = tfma.metrics.StandardMetricInputs(
                labels=np.array(labels)[some, None], predictions=np.array(scores)[some, None]
            )
            parts.append(combiner.add_input(combiner.create_accumulator(), rows))
        found = combiner.extract_output(combiner.merge_accumulators(parts))
        figures |= {key.name: v for key, v in derived.result(found).items()}
    return figures


ROWS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 0.25]),  # TFMA takes shares of a label
        st.one_of(
            st.floats(1e-6, 1 - 1e-6),
            # at a threshold, about one, and where one of TFMA's buckets ends
            st.integers(1, 998).map(lambda k: k / 999),
            st.builds(lambda k, apart: k / 999 + apart, st.integers(1, 9), st.floats(-1e-4, 1e-4)),
            st.integers(1, 9999).map(lambda k: k / 10_000),
        ),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_the_figures_are_those_of_tfma(rows: list[tuple[float, float]]) -> None:
    labels, scores = map(list, zip(*rows, strict=True))
    expected = of_tfma(labels, scores)
    if set(labels) in ({0.0}, {1.0}):
        assert expected["auc"] == 0.0
        expected["auc"] = math.nan
    assert ours(labels, scores) == pytest.approx(expected, abs=1e-6, rel=1e-9, nan_ok=True)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 998)), min_size=2),
)
def test_auc_is_exact_where_thresholds_part_unequal_scores(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([label for label, _ in rows], float)
    scores = np.array([(k + 0.5) / 999 for _, k in rows])
    found = metrics.sums(labels, scores).auc()
    assert found == pytest.approx(exact.auc(labels, scores), abs=1e-9, nan_ok=True)


def test_by_hand() -> None:
    found = ours([1, 0, 0, 1], [0.8, 0.5, 0.25, 0.5])
    assert found["example_count"] == 4
    assert found["auc"] == 3.5 / 4  # of four pairs three are in order and one is equal
    mean = -(np.log(0.8) + np.log(0.5) + np.log(0.75) + np.log(0.5)) / 4
    assert found["binary_crossentropy"] == pytest.approx(mean)
    assert found["calibration"] == pytest.approx(2.05 / 2)


@pytest.mark.parametrize(("label", "calibration"), [(0, math.nan), (1, 0.5)])
def test_one_class_has_no_auc(label: int, calibration: float) -> None:
    found = ours([label] * 3, [0.25, 0.5, 0.75])
    assert math.isnan(found["auc"])
    assert found["calibration"] == pytest.approx(calibration, nan_ok=True)
    assert found["binary_crossentropy"] == pytest.approx(-np.log([0.25, 0.5, 0.75]).mean())


def test_scores_of_0_and_1_have_a_loss() -> None:
    assert np.isnan(of_tfma([1, 0], [1.0, 0.0])["binary_crossentropy"])
    found = ours([1, 0], [1.0, 0.0])
    assert found["binary_crossentropy"] == pytest.approx(exact.log_loss([1, 0], [1.0, 0.0]))
    assert found["auc"] == 1


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("tie", [0.0, 1.0])
def test_ties_at_0_and_1_count_one_half(tie: float) -> None:
    labels, scores = [1, 0, 1, 0], [tie, tie, 0.75, 0.5]
    assert of_tfma(labels, scores)["auc"] == pytest.approx(2.5 / 4)
    assert ours(labels, scores)["auc"] == pytest.approx(2.5 / 4)


def test_a_score_that_is_no_number_is_not_hidden() -> None:
    found = ours([1, 0, 1], [0.5, math.nan, 0.25])
    assert found.pop("example_count") == 3
    assert list(found) == ["auc", "binary_crossentropy", "calibration"]
    assert all(map(math.isnan, found.values()))


def test_weights_are_refused_and_not_ignored() -> None:
    with pytest.raises(ValueError, match="does not support example weights"):
        metrics.BatchedAUC().computations(model_names=[""], example_weighted=True)


# Slices


def batch(columns: dict[str, list[Any]], rows: int) -> dict[str, Any]:
    """Extracts of a batch, its features as TFMA reads them from Arrow."""
    arrow = pa.RecordBatch.from_pydict({name: pa.array(v) for name, v in columns.items()})
    features = util.record_batch_to_tensor_values(arrow)
    return {tfma.INPUT_KEY: np.array([b""] * rows, object), tfma.FEATURES_KEY: features}


def slices_of_tfma(
    extracts: dict[str, Any], specs: list[tfma.SlicingSpec]
) -> dict[tuple[Any, ...], list[int]]:
    """The rows of each slice, row by row as TFMA's own stages find them."""
    config = tfma.EvalConfig(slicing_specs=specs)
    asked = [tfma.slicer.SingleSliceSpec(spec=spec) for spec in specs]
    found: dict[tuple[Any, ...], list[int]] = {}
    for row, part in enumerate(util.split_extracts(extracts)):
        (sliced,) = ExtractSliceKeysFn(config, materialize=False).process(part, asked)
        for key in sliced[tfma.SLICE_KEY_TYPES_KEY]:
            found.setdefault(key, []).append(row)
    return found


# An Example without values is null to Arrow, so that no list is empty.
TEXTS = st.one_of(st.none(), st.lists(st.sampled_from(["a", "b", "é"]), min_size=1, max_size=3))
SPECS = [
    tfma.SlicingSpec(),
    tfma.SlicingSpec(feature_keys=["one"]),
    tfma.SlicingSpec(feature_keys=["many"]),
    tfma.SlicingSpec(feature_keys=["one", "many"]),
    tfma.SlicingSpec(feature_keys=["many"], feature_values={"one": "a"}),
    tfma.SlicingSpec(feature_keys=["never there"]),
]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), TEXTS), min_size=1, max_size=12))
def test_slices_are_those_of_tfma(rows: list[tuple[str, list[str] | None]]) -> None:
    texts = [many and [text.encode() for text in many] for _, many in rows]
    columns: dict[str, list[Any]] = {"one": [[one.encode()] for one, _ in rows]}
    if any(many is not None for many in texts):  # else Arrow knows no type, and TFXIO no column
        columns["many"] = texts
    extracts = batch(columns, len(rows))
    found = {key: sorted(set(some)) for key, some in slices(extracts, SPECS).items()}
    assert found == slices_of_tfma(extracts, SPECS)


def test_a_column_without_a_value_has_no_slice() -> None:
    columns = {"slice_user": pa.array([None, None], pa.list_(pa.binary()))}
    features = util.record_batch_to_tensor_values(pa.RecordBatch.from_pydict(columns))
    extracts = {tfma.INPUT_KEY: np.array([b"", b""]), tfma.FEATURES_KEY: features}
    specs = [tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=["slice_user"])]
    assert slices(extracts, specs) == {(): [0, 1]}


# TFMA's whole evaluation


def extracts_of(rows: int, names: tuple[str, ...], seed: int) -> dict[str, Any]:
    """A batch of random labels and scores, as it comes from the prediction."""
    rng = np.random.default_rng(seed)
    tags = [
        list(rng.choice([b"x", b"y", b"z"], n, replace=False)) or None
        for n in rng.integers(0, 3, rows)
    ]
    columns = {"slice_user": [[u] for u in rng.choice([b"new", b"seen"], rows)], "slice_tags": tags}
    labels = (rng.random((rows, 1)) < 0.3).astype(np.float32)
    scores = {name: rng.beta(1, 3, (rows, 1)) for name in names}
    return batch(columns, rows) | {
        tfma.LABELS_KEY: labels if len(names) == 1 else dict.fromkeys(names, labels),
        tfma.PREDICTIONS_KEY: scores if len(names) > 1 else scores[names[0]],
    }


def evaluated(
    folder: pathlib.Path,
    config: tfma.EvalConfig,
    batches: list[dict[str, Any]],
    extractors: list[Any],
) -> tuple[Figures, bool]:
    """Figures by slice, name and model as TFMA writes them, and whether it blesses."""
    out = str(folder)
    models = len(config.model_specs)
    config = tfma.utils.update_eval_config_with_defaults(
        config, has_baseline=models > 1, rubber_stamp=True
    )
    with beam.Pipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create(batches)
            | tfma.ExtractAndEvaluate(extractors, tfma.default_evaluators(eval_config=config))
            | tfma.WriteResults(tfma.default_writers(out, eval_config=config))
        )
    figures = {}
    for of_slice in tfma.load_metrics(out):
        key = tuple((k.column, k.bytes_value) for k in of_slice.slice_key.single_slice_keys)
        for item in of_slice.metric_keys_and_values:
            name = item.key.SerializeToString(deterministic=True)
            figures[key, name] = item.value.double_value.value
    return figures, bool(tfma.load_validation_result(out).validation_ok)


def configured(names: tuple[str, ...]) -> tfma.EvalConfig:
    """What the pipeline asks of TFMA, of one model or two."""
    config = eval_config(label="label", signature="serving_default", slices=SLICES)
    if names == SINGLE:
        del config.model_specs[1]
    return config


@pytest.mark.parametrize("names", [SINGLE, BOTH])
def test_a_whole_evaluation_is_that_of_tfma(tmp_path: pathlib.Path, names: tuple[str, ...]) -> None:
    config = configured(names)
    batches = [extracts_of(rows, names, seed=rows) for rows in (1, 40, 300)]
    found, blessed = evaluated(tmp_path / "ours", config, batches, [sliced(config)])
    expected, expected_blessed = evaluated(
        tmp_path / "theirs",
        with_tfma_metrics(config),
        batches,
        [
            tfma.extractors.UnbatchExtractor(),
            tfma.extractors.SliceKeyExtractor(eval_config=config, materialize=False),
        ],
    )
    assert len(expected) == 6 * 4 * (
        1 if names == SINGLE else 3
    )  # slices, figures, and differences
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert blessed is expected_blessed is True


def sliced(config: tfma.EvalConfig) -> tfma.extractors.Extractor:
    """Our last stage alone."""
    return module.slice_extractor(config)


def test_no_rows_are_not_blessed(tmp_path: pathlib.Path) -> None:
    config = configured(BOTH)
    figures, blessed = evaluated(tmp_path, config, [], [sliced(config)])
    assert (figures, blessed) == ({}, False)


def test_an_extract_holds_what_metrics_read() -> None:
    """Rows of a slice go on without features: they are most of a batch."""
    extracts = extracts_of(50, BOTH, seed=1)
    parts = list(SliceBatches(configured(BOTH).slicing_specs).process(extracts))
    whole = parts[0]
    assert set(whole) == {tfma.LABELS_KEY, tfma.PREDICTIONS_KEY, tfma.SLICE_KEY_TYPES_KEY}
    assert whole[tfma.SLICE_KEY_TYPES_KEY] == [()]
    scores = whole[tfma.PREDICTIONS_KEY]["baseline"]
    np.testing.assert_array_equal(scores, extracts[tfma.PREDICTIONS_KEY]["baseline"])
    by_user = [p for p in parts if "slice_user" in dict(*p[tfma.SLICE_KEY_TYPES_KEY])]
    assert sum(len(part[tfma.LABELS_KEY]["candidate"]) for part in by_user) == 50


def test_a_missing_input_is_named() -> None:
    with pytest.raises(KeyError, match=r"the examples have no 'numeric', only \['ids'\]"):
        module.inputs_of({"ids": np.zeros((2, 3))}, ["ids", "numeric"])
