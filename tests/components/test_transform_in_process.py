"""Without Beam, Transform writes what TensorFlow Transform writes on Beam."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from google.protobuf import text_format
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ranklite.components.engines.current import used
from ranklite.components.engines.local import Local
from ranklite.components.transform import in_process, module
from ranklite.components.transform.executor import Executor
from ranklite.models import progress
from ranklite.models.features import columns, transform
from ranklite.models.features.columns import scalars_together
from ranklite.models.features.constants import layout_from_transform, read_constants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.row_counts import RowsMissing
from tests import transform_stage
from tests.transform_stage import OnBeam, Result, Row

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user", "dtype": "int64"},
            {"kind": "categorical", "name": "item"},
            {"kind": "categorical", "name": "city", "min_count": 3},
            {"kind": "categorical", "name": "shop", "max_vocabulary": 2},
            {"kind": "multi_categorical", "name": "tags", "max_length": 3},
            {"kind": "multi_categorical", "name": "seen", "max_length": 2, "shares": "item"},
            {"kind": "numeric", "name": "price", "log": True, "missing_indicator": True},
            {"kind": "numeric", "name": "age", "buckets": 4},
            {"kind": "numeric", "name": "flat"},
            {"kind": "numeric", "name": "void"},
            {"kind": "history", "name": "recent", "of": "item", "by": "user", "length": 4},
            {"kind": "aggregate", "name": "stats", "by": "item", "stats": ["count", "rate"]},
        ],
        "user": "user",
        "item": "item",
        "slices": ["city"],
    }
)
ODD = [b"", b"line\nbreak", b"\xff\xfe", "\u00fc".encode(), "\u65e5\u672c".encode(), b" two words "]
WORDS = [*ODD, b"a", b"b", b"a ", b"A", b"007", b"7", b"\x00"]
NUMBERS = [0.0, -1.5, 1e-8, 3.25, 1e30, -1e30, math.nan, math.inf, 100.0]
TYPES = transform_stage.dtypes(FEATURES)


def rows_of(count: int, seed: int) -> list[Row]:
    """Rows with missing values, ties in counts, odd texts and numbers out of any range."""
    rng = np.random.default_rng(seed)

    def some(values: list[Any], most: int, power: float = 1.0) -> list[Any]:
        places = rng.random(rng.integers(0, most + 1)) ** power * len(values)
        return [values[k] for k in places.astype(int)]

    rows: list[Row] = []
    for k in range(count):
        row = {
            "user": some([7, -3, 2**40, 5, -(2**63)], 1),
            "item": some(WORDS, 1, 2.0),
            "city": some(WORDS, 1, 3.0),
            "shop": some(WORDS[:4], 1),
            "tags": some(WORDS, 6),
            "seen": some(WORDS, 3),
            "price": some(NUMBERS, 1),
            "age": some([float(x) for x in range(50)], 1),
            "flat": [0.1],
            "recent": some(WORDS, 5),
            "stats_count": some([0.0, 3.0, 1e6], 1),
            "stats_rate": [float(rng.random())],
            "label": [float(k % 2)],
        }
        row["recent_outcome"] = [float(len(word) % 2) for word in row["recent"]]
        # A column that a row lacks altogether is one that it has without values.
        rows.append({name: v for name, v in row.items() if v or rng.random() < 0.5})
    return rows


SPLITS = {
    "train": [rows_of(1_500, 1), rows_of(700, 2)],  # several batches, in two files
    "eval": [rows_of(60, 3)],
    "test": [[], rows_of(5, 4)],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Of both ways, on the same Examples."""
    folder = tmp_path_factory.mktemp("stage")
    transform_stage.write(folder, SPLITS, TYPES)
    return {
        name: transform_stage.run(folder, FEATURES, executor, name)
        for name, executor in (("ours", Executor()), ("beam", OnBeam()))
    }


def test_the_graph_has_the_same_files(results: dict[str, Result]) -> None:
    ours, beam = results["ours"], results["beam"]
    assert ours.files() == beam.files()
    for name in sorted(ours.files()):
        if not name.startswith(("transform_fn/saved_model", "transform_fn/fingerprint")):
            both = [pathlib.Path(r.graph, name).read_bytes() for r in (ours, beam)]
            if name.startswith("transformed_metadata/asset_map"):
                assert len({json.dumps(json.loads(text)) for text in both}) == 1
            elif not name.startswith(("transform_fn/assets", "transform_fn/variables")):
                assert both[0] == both[1], name


def test_the_same_is_learned(results: dict[str, Result]) -> None:
    ours, beam = (read_constants(results[name].graph, FEATURES) for name in ("ours", "beam"))
    assert ours == beam  # to the last digit: both see batches of one size
    assert ours.vocabularies["city"]
    assert len(ours.vocabularies["shop"]) == 2
    assert len(set(ours.boundaries["age"])) == 3


@pytest.mark.parametrize("split", sorted(SPLITS))
def test_rows_are_the_same(results: dict[str, Result], split: str) -> None:
    ours, beam = (results[name].split(split) for name in ("ours", "beam"))
    assert len(ours) == sum(map(len, SPLITS[split]))
    if split == "train":  # Beam reads several files in an order of its own
        ours, beam = (sorted(rows, key=text_format.MessageToString) for rows in (ours, beam))
    assert ours == beam


def test_rows_stay_in_their_order(results: dict[str, Result]) -> None:
    rows = [transform_stage.serialized(row, TYPES) for file in SPLITS["train"] for row in file]
    output = tft.TFTransformOutput(results["beam"].graph)
    given = tf.io.parse_example(rows, output.raw_feature_spec())
    expected = output.transform_features_layer()(given)["ids"]
    ids = [list(r.features.feature["ids"].int64_list.value) for r in results["ours"].split("train")]
    np.testing.assert_array_equal(ids, expected)


def test_a_file_is_written_for_each_that_is_read(results: dict[str, Result]) -> None:
    files = sorted(p.name for p in pathlib.Path(results["ours"].rows, "Split-train").iterdir())
    assert files == [f"transformed_examples-0000{k}-of-00002.gz" for k in range(2)]
    counted = json.loads(pathlib.Path(results["ours"].rows, "rows.json").read_text())
    assert counted == {"train": 2_200, "eval": 60, "test": 5}


def test_tft_reads_the_graph(results: dict[str, Result]) -> None:
    ours, beam = (tft.TFTransformOutput(results[name].graph) for name in ("ours", "beam"))
    assert ours.transformed_feature_spec() == beam.transformed_feature_spec()
    assert ours.raw_feature_spec() == beam.raw_feature_spec()
    assert ours.transformed_metadata.schema == beam.transformed_metadata.schema
    for name in ("user", "item", "city", "shop", "tags"):
        assert list(ours.vocabulary_by_name(name)) == list(beam.vocabulary_by_name(name))
        assert ours.vocabulary_size_by_name(name) == beam.vocabulary_size_by_name(name)
    layouts = [layout_from_transform(results[name].graph, FEATURES) for name in results]
    assert layouts[0] == layouts[1]
    unseen = transform_stage.serialized({**rows_of(1, 9)[0], "item": [b"unseen"]}, TYPES)
    given = tf.io.parse_example([unseen], ours.raw_feature_spec())
    layers = [output.transform_features_layer()(dict(given)) for output in (ours, beam)]
    for name, tensor in layers[0].items():
        np.testing.assert_array_equal(tensor, layers[1][name], err_msg=name)


def test_many_columns_are_made_together_and_the_same(
    results: dict[str, Result], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def together(some: list[Any]) -> Any:
        taken.append(len(some))
        return scalars_together(some)

    for each in (columns, transform):
        monkeypatch.setattr(each, "TOGETHER", 1)
    monkeypatch.setattr(columns, "scalars_together", together)
    transform_stage.write(tmp_path, SPLITS, TYPES)
    result = transform_stage.run(tmp_path, FEATURES, Executor(), "out")
    assert {1, 3, 6} <= set(taken)  # columns of int64, of texts and of numbers
    for split in SPLITS:
        assert result.split(split) == results["ours"].split(split)
    assert read_constants(result.graph, FEATURES) == read_constants(results["ours"].graph, FEATURES)


@pytest.mark.fault("Transform reads fewer rows than LogExampleGen wrote", "stops, with the file")
def test_rows_that_are_missed_stop_the_stage(tmp_path: pathlib.Path) -> None:
    transform_stage.write(tmp_path, {"train": [rows_of(30, 1)], "eval": [rows_of(9, 2)]}, TYPES)
    counts = tmp_path / "examples" / "rows.json"
    counts.write_text(json.dumps({"train": 31, "eval": 9}))
    with pytest.raises(RowsMissing, match=r"data-0\.gz: 30 rows were read, and it should have 31"):
        transform_stage.run(tmp_path, FEATURES, Executor(), "out")


@pytest.mark.slow  # a worker imports TFT
def test_an_engine_writes_the_same(
    results: dict[str, Result], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of rows and vocabularies, and what was learned to the last digit."""
    transform_stage.write(tmp_path, SPLITS, TYPES)
    reports: list[progress.Report] = []
    monkeypatch.setattr(in_process, "write_transformed", None)  # workers write
    with used(Local(workers=2)), progress.listening(reports.append):
        result = transform_stage.run(tmp_path, FEATURES, Executor(), "out")
    assert reports[-1].where == "transformed 5/5 files"
    for split in SPLITS:
        files = [
            {path.name: path.read_bytes() for path in pathlib.Path(of, f"Split-{split}").iterdir()}
            for of in (results["ours"].rows, result.rows)
        ]
        assert files[0] == files[1]
    assert result.files() == results["ours"].files()
    assert read_constants(result.graph, FEATURES) == read_constants(results["ours"].graph, FEATURES)


A_ROW = st.integers(0, 2**32).map(lambda seed: rows_of(1, seed)[0])


@settings(  # each example is two runs of the stage, one of them on Beam
    max_examples=3,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(train=st.lists(A_ROW, min_size=1, max_size=12), evaluated=st.lists(A_ROW, max_size=4))
def test_small_tables(
    tmp_path_factory: pytest.TempPathFactory, train: list[Row], evaluated: list[Row]
) -> None:
    few = FeatureSet.model_validate(
        {"features": [f.model_dump() for f in FEATURES.features if f.name in SMALL]}
    )
    types = transform_stage.dtypes(few)
    folder = tmp_path_factory.mktemp("small")
    known = {"item": [b"a"], "user": [7], "label": [1.0]}  # or the stage refuses the log
    splits = {"train": [[*train, known]], "eval": [evaluated]}
    kept = {
        split: [[{n: v for n, v in row.items() if n in types} for row in file] for file in files]
        for split, files in splits.items()
    }
    transform_stage.write(folder, kept, types)
    both = [
        transform_stage.run(folder, few, executor, name)
        for name, executor in (("ours", Executor()), ("beam", OnBeam()))
    ]
    constants = [dataclasses.asdict(read_constants(result.graph, few)) for result in both]
    np.testing.assert_equal(*constants)
    for split in kept:
        assert both[0].split(split) == both[1].split(split)


SMALL = ("user", "item", "price", "age", "void")


def test_work_is_counted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two traces of the function, and no row of a split that is not analyzed is read twice."""
    calls, read, operations = [], [], []
    function, graph = transform.preprocessing_fn, in_process.TransformGraph

    def traced(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return function(*args, **kwargs)

    class Noted(graph):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            operations.append(self.operations)

    monkeypatch.setattr(transform, "preprocessing_fn", traced)
    monkeypatch.setattr(in_process, "TransformGraph", Noted)
    monkeypatch.setattr(in_process.progress.Rows, "add", lambda self, rows: read.append(rows))
    transform_stage.write(tmp_path, SPLITS, TYPES)
    transform_stage.run(tmp_path, FEATURES, Executor(), "out")
    assert len(calls) == 2  # to find the analyzers, and with what they have learned
    assert sum(read) == 2_200 + 2_200 + 60 + 5  # the train split is analyzed, and transformed
    assert operations[0] < 650, "each operation is traced, saved, and loaded by each later stage"


def with_tfts_vocabulary(inputs: dict[str, Any], custom_config: Any) -> dict[str, tf.Tensor]:
    """Has an analyzer that no summary stands for."""
    rank = tft.compute_and_apply_vocabulary(inputs["item"], vocab_filename="tfts")
    return {**module.preprocessing_fn(inputs, custom_config), "rank": rank}


def with_two_phases(inputs: dict[str, Any], custom_config: Any) -> dict[str, tf.Tensor]:
    """Has an analyzer that looks at what another one has learned."""
    x = inputs["flat"].values  # one a row
    scaled = x - tft.mean(x)
    return {**module.preprocessing_fn(inputs, custom_config), "scaled": scaled / tft.max(scaled)}


@pytest.mark.parametrize("name", ["with_tfts_vocabulary", "with_two_phases"])
def test_what_needs_beam_runs_on_beam(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(in_process.InProcess, "run", None)
    transform_stage.write(tmp_path, {"train": SPLITS["eval"]}, TYPES)
    result = transform_stage.run(tmp_path, FEATURES, Executor(), "out", f"{__name__}.{name}")
    assert len(result.split("train")) == 60


def test_arguments_of_beam_choose_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process.InProcess, "__init__", None)
    executor = Executor()
    executor._beam_pipeline_args = ["--runner=FlinkRunner"]
    assert not executor._done_in_process({"examples": []}, {}, {})
