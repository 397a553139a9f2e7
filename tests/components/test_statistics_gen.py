"""Without Beam, StatisticsGen writes what TFX's StatisticsGen writes on Beam."""

from __future__ import annotations

import collections
import json
import math
import pathlib
import pickle
from collections.abc import Callable
from typing import Any
from unittest import mock

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.components.statistics_gen import executor as tfx_executor
from tfx.types import artifact_utils, standard_artifacts

from ranklite.components.engines.current import used
from ranklite.components.engines.local import Local
from ranklite.components.statistics_gen import executor, frequent, in_process
from ranklite.models import progress
from tests import transform_stage
from tests.transform_stage import Row

TYPES = {
    "user": "int64",
    "count": "int64",
    "item": "string",
    "city": "string",
    "tags": "string",
    "price": "float32",
    "scores": "float32",
    "late": "string",
    "void": "float32",
}
ODD = [b"", b"line\nbreak", b"\xff\xfe", "ü".encode(), "日本".encode(), b" two words ", b"\x00"]
NUMBERS = [0.0, -1.5, 1e-8, 3.25, 1e30, math.nan, math.inf, -math.inf, 100.0]
SCHEMA = schema_pb2.Schema()
for _name in ("user", "item"):  # the latter holds texts all the same
    _feature = SCHEMA.feature.add(name=_name, type=schema_pb2.INT)
    _feature.int_domain.is_categorical = True
OPTIONS = tfdv.StatsOptions(schema=SCHEMA)
BATCH = 64


def odd(count: int, seed: int) -> list[Row]:
    """Rows with missing columns, empty lists, ties in counts, odd texts and numbers."""
    rng = np.random.default_rng(seed)

    def some(values: list[Any], most: int) -> list[Any]:
        return [values[k] for k in rng.integers(0, len(values), rng.integers(0, most + 1))]

    rows: list[Row] = []
    for number in range(count):
        row: dict[str, list[Any]] = {
            "user": some([-3, 0, 7, 2**62, -(2**62)], 1),
            "count": some([-3, 0, 7, 2**40], 1),
            "item": some(ODD + [b"a", b"b"], 1),
            "tags": some(ODD, 4),
            "price": some(NUMBERS, 1),
            "scores": some([0.5, 1.5, -2.0], 3),
            "void": [],
        }
        if number > count // 2:
            row["late"] = some([b"x", b"y"], 2)
        rows.append({name: x for name, x in row.items() if rng.random() < 0.9})
    return rows


def many(count: int) -> list[Row]:
    """More different values than TFDV keeps, most of them equally frequent."""
    rng = np.random.default_rng(4)
    users, items = rng.integers(0, 2_000, count), rng.integers(0, 3_000, count)
    price = rng.normal(5, 2, count)
    return [
        {"user": [int(u)], "item": [b"i%d" % i], "price": [float(p)], "city": [b"c%d" % (i % 3)]}
        for u, i, p in zip(users, items, price, strict=True)
    ]


LOGS: dict[str, list[list[Row]]] = {
    "odd": [odd(90, 1), [], odd(60, 2)],
    "empty": [[]],
    "one": [[{"item": [b"a"], "price": [math.nan]}]],
    "equal": [[{"item": [b"a"], "price": [2.0], "count": [3]}] * 130],
    "many": [many(4_000)],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Examples, a split for each log."""
    result = tmp_path_factory.mktemp("examples")
    transform_stage.write(result, LOGS, TYPES, SCHEMA)
    return result


def run(
    folder: pathlib.Path,
    stage: Any,
    out: pathlib.Path,
    options: tfdv.StatsOptions | None = OPTIONS,
    *,
    schema: bool = False,
    **properties: Any,
) -> Any:
    """Runs an executor; returns its artifact."""
    examples, statistics = standard_artifacts.Examples(), standard_artifacts.ExampleStatistics()
    examples.uri, statistics.uri = str(folder / "examples"), str(out)
    examples.split_names = artifact_utils.encode_split_names(list(LOGS))
    examples.span = 3
    inputs = {"examples": [examples]}
    if schema:
        inputs["schema"] = [standard_artifacts.Schema()]
        inputs["schema"][0].uri = str(folder / "schema")
    if options is not None:
        properties["stats_options_json"] = options.to_json()
    stage.Do(inputs, {"statistics": [statistics]}, properties)
    return statistics


def read(statistics: Any, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    path = pathlib.Path(statistics.uri, f"Split-{split}", "FeatureStats.pb")
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())


def same(one: Any, other: Any) -> bool:
    """Whether parts of two messages are equal, numbers but for a relative 1e-9."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def columns(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, Any]:
    """What is said of each column; of the whole under the empty name."""
    (dataset,) = json_format.MessageToDict(statistics)["datasets"]
    of = {feature["path"]["step"][0]: feature for feature in dataset.pop("features", [])}
    return {"": dataset, **of}


@pytest.fixture(scope="module")
def on_beam(folder: pathlib.Path) -> Any:
    return run(folder, tfx_executor.Executor(), folder / "beam")


@pytest.fixture(scope="module")
def here(folder: pathlib.Path) -> Any:
    with mock.patch.object(in_process, "BATCH_ROWS", BATCH), no_beam():
        return run(folder, executor.Executor(), folder / "here")


def no_beam() -> Any:
    """Within, no pipeline of Beam's may be made."""
    return mock.patch.object(beam.Pipeline, "__init__", side_effect=AssertionError("Beam"))


@pytest.mark.parametrize("split", LOGS)
def test_statistics_are_those_on_beam(here: Any, on_beam: Any, split: str) -> None:
    ours, theirs = columns(read(here, split)), columns(read(on_beam, split))
    assert ours.keys() == theirs.keys()
    different = [(ours[name], theirs[name]) for name in ours if not same(ours[name], theirs[name])]
    assert not different


def test_the_artifact_is_described_as_tfx_does(here: Any, on_beam: Any) -> None:
    ours, theirs = here.mlmd_artifact, on_beam.mlmd_artifact
    assert dict(ours.properties) == dict(theirs.properties)
    assert ours.custom_properties.keys() == theirs.custom_properties.keys()
    assert here.span == 3


def test_equal_rows_give_equal_bytes(folder: pathlib.Path, here: Any) -> None:
    with mock.patch.object(in_process, "BATCH_ROWS", BATCH):
        again = run(folder, executor.Executor(), folder / "again")
    for split in LOGS:
        content = [
            pathlib.Path(each.uri, f"Split-{split}", "FeatureStats.pb").read_bytes()
            for each in (here, again)
        ]
        assert content[0] == content[1]


@pytest.mark.parametrize("size", [1, 999])
def test_wide_rows_are_decoded_in_pieces(
    folder: pathlib.Path, tmp_path: pathlib.Path, here: Any, size: int
) -> None:
    """Of a row each, and of some; columns and whole pieces are empty."""
    with (
        mock.patch.object(in_process, "BATCH_ROWS", BATCH),
        mock.patch.object(in_process, "PIECE_BYTES", size),
    ):
        result = run(folder, executor.Executor(), tmp_path, exclude_splits='["many"]')
    for split in set(LOGS) - {"many"}:
        assert of_split(result, split)[0].read_bytes() == of_split(here, split)[0].read_bytes()


@pytest.mark.slow  # a worker imports TFDV
def test_an_engine_gives_equal_bytes(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Of files that are merged in their order, however many work on them."""
    reports: list[progress.Report] = []
    results = []
    for workers in (None, 1, 2):
        engine = Local(workers=workers) if workers else None
        with no_beam(), used(engine), progress.listening(reports.append):
            results.append(run(folder, executor.Executor(), tmp_path / str(workers)))
    assert (reports[-1].where, reports[-1].share) == ("read 7/7 files", 1.0)
    for split in LOGS:
        names = [sorted(path.name for path in of_split(one, split)) for one in results]
        assert names == [["FeatureStats.pb"]] * 3
        contents = {of_split(one, split)[0].read_bytes() for one in results}
        assert len(contents) == 1
    assert [path.name for path in (tmp_path / "2").iterdir() if path.name.startswith(".")] == []


def of_split(statistics: Any, split: str) -> list[pathlib.Path]:
    """Files that were written."""
    return list(pathlib.Path(statistics.uri, f"Split-{split}").iterdir())


def test_a_merge_of_files_is_what_one_file_has(tmp_path: pathlib.Path) -> None:
    """Counts, extremes and frequent values to the last digit, the rest to 1e-9."""
    rows = odd(150, 3)
    parts = [rows[:40], rows[40:41], [], rows[41:]]
    transform_stage.write(tmp_path, {"one": [rows], "parts": parts}, TYPES, SCHEMA)
    found = {
        split: in_process.Statistics(OPTIONS).of(
            sorted(str(p) for p in (tmp_path / f"examples/Split-{split}").iterdir()),
            progress.Rows("read"),
        )
        for split in ("one", "parts")
    }
    one, other = columns(found["one"]), columns(found["parts"])
    assert one.keys() == other.keys()
    assert not [(one[name], other[name]) for name in one if not same(one[name], other[name])]


def test_every_row_is_read_once(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    reports: list[progress.Report] = []
    decoded = []
    decode = in_process.batches

    def counting(files: Any) -> Any:
        for batch in decode(files):
            decoded.append(batch.num_rows)
            yield batch

    with (
        progress.listening(reports.append),
        mock.patch.object(in_process, "batches", counting),
        mock.patch.object(in_process, "BATCH_ROWS", 1_000),
    ):
        run(folder, executor.Executor(), tmp_path)
    assert decoded == [90, 60, 1, 130, 1_000, 1_000, 1_000, 1_000]
    assert (reports[-1].where, reports[-1].share) == ("read 4,281/4,281 rows", 1.0)


def test_a_schema_may_be_an_input(folder: pathlib.Path, tmp_path: pathlib.Path, here: Any) -> None:
    with no_beam(), mock.patch.object(in_process, "BATCH_ROWS", BATCH):
        given = run(
            folder, executor.Executor(), tmp_path, None, schema=True, exclude_splits='["many"]'
        )
    assert columns(read(given, "odd")) == columns(read(here, "odd"))
    assert artifact_utils.decode_split_names(given.split_names) == [x for x in LOGS if x != "many"]
    assert not (tmp_path / "Split-many").exists()


def test_two_schemas_are_refused(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="At most one"):
        run(folder, executor.Executor(), tmp_path, schema=True)


def _arguments() -> Any:
    context = executor.Executor.Context(
        beam_pipeline_args=["--direct_num_workers=1"], tmp_dir="", unique_id="1"
    )
    return executor.Executor(context)


@pytest.mark.parametrize(
    ("stage", "options", "properties"),
    [
        (_arguments, OPTIONS, {}),
        (executor.Executor, tfdv.StatsOptions(schema=SCHEMA, num_top_values=3), {}),
        (executor.Executor, OPTIONS, {"sample_rate_by_split": '{"odd": 1.0}'}),
    ],
    ids=["arguments of Beam", "an option", "samples"],
)
def test_what_needs_beam_runs_there(
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
    stage: Callable[[], Any],
    options: tfdv.StatsOptions,
    properties: dict[str, Any],
    on_beam: Any,
) -> None:
    others = json.dumps([split for split in LOGS if split != "odd"])
    with mock.patch.object(executor, "Statistics", side_effect=AssertionError("in this process")):
        result = run(folder, stage(), tmp_path, options, exclude_splits=others, **properties)
    ours, theirs = columns(read(result, "odd")), columns(read(on_beam, "odd"))
    top = ours["item"]["stringStats"].pop("topValues")
    assert top == theirs["item"]["stringStats"]["topValues"][: options.num_top_values]
    assert ours.keys() == theirs.keys()


@settings(deadline=None)
@given(
    st.one_of(
        st.lists(st.lists(st.binary(max_size=2), min_size=1)),
        st.lists(st.lists(st.integers(-4, 4), min_size=1)),
    ),
    st.integers(1, 6),
    st.integers(1, 5),
)
def test_values_are_counted_exactly(parts: list[list[Any]], k: int, at_once: int) -> None:
    counted = frequent.Occurrences()
    with mock.patch.object(frequent, "_AT_ONCE", at_once):
        for part in parts:
            counted.add(pa.array(part))
        values, unique = counted.most(k)
    expected = collections.Counter(value for part in parts for value in part)
    assert unique == len(expected)
    most = sorted(((n, value) for value, n in expected.items()), reverse=True)[:k]
    assert sorted(((each.count, each.feature_value) for each in values), reverse=True) == most


@given(
    st.lists(st.lists(st.binary(max_size=1)), min_size=1),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_counts_of_parts_add_up(parts: list[list[bytes]], k: int, at_once: int) -> None:
    whole, merged = frequent.Occurrences(), frequent.Occurrences()
    with mock.patch.object(frequent, "_AT_ONCE", at_once):
        for part in filter(None, parts):
            other = frequent.Occurrences()
            other.add(pa.array(part))
            whole.add(pa.array(part))
            merged.merge(pickle.loads(pickle.dumps(other)))
        (most, unique), (ours, also) = whole.most(k), merged.most(k)
    assert (sorted(most), unique) == (sorted(ours), also)


def test_what_is_held_does_not_grow_with_the_rows() -> None:
    counted = frequent.Occurrences()
    for _ in range(40):
        counted.add(pa.array(np.arange(frequent._AT_ONCE) % 5))
        assert sum(map(len, counted._parts)) <= 10
        assert not counted._waiting
