"""What every feature kind must do, from the log to the TFLite file: those of the registry, and one
of another package."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
from ai_edge_litert.interpreter import Interpreter
from tensorflow_transform import beam as tft_beam
from tensorflow_transform import impl_helper
from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata

from ranklite.components.file_validator.validation import raw_rows_with_gaps
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.components.schema_from_config.schema import build_schema
from ranklite.components.schema_from_config.statistics import statistics_options
from ranklite.components.validation_gate.config import Comparison, ValidationConfig
from ranklite.models.compression.sizes import NotCompressible, check_item_columns
from ranklite.models.features import raw_values
from ranklite.models.features.analysis import Analysis
from ranklite.models.features.arrow import encode
from ranklite.models.features.constants import (
    PreprocessingConstants,
    layout_from_transform,
    read_constants,
)
from ranklite.models.features.examples import Arrays, as_sparse, raw_inputs, read_records
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.kind import Example, FeatureKind
from ranklite.models.features.kinds import KINDS
from ranklite.models.features.layout import PADDING_ROW, RESERVED_ROWS
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.features.transform import preprocessing_fn
from ranklite.models.features.transform_graph import TransformGraph
from ranklite.pipeline.digest import code_digest
from tests.other_package import toy_installed

TOYS = pathlib.Path(__file__).parent / "toys"
TOY = "day_part"
NAMES = [*KINDS.names, TOY]
ROWS = 80
USER = {"kind": "categorical", "name": "user"}  # a model needs a feature with ids
TENSORS = {"string": tf.string, "int64": tf.int64, "float32": tf.float32}
ADJUSTED = ("price", "spent")  # numbers whose mean is 0 in the train split


@pytest.fixture(scope="module", autouse=True)
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """The toy kind, installed: its module and an entry point on the path."""
    folder = tmp_path_factory.mktemp("toys")
    with toy_installed(folder, KINDS, "kind", f"{TOY} = toy_kind:DayPart"):
        yield folder


@dataclasses.dataclass(frozen=True)
class Case:
    """The examples of a kind, and what became of them.

    Attributes:
      features: All examples of the kind, and a user.
      rows: What the log says, row by row.
      folder: Of the logs, their Examples and the transform graph.
      examples: Of the kind.
    """

    features: FeatureSet
    rows: list[dict[str, Any]]
    folder: pathlib.Path
    examples: tuple[Example, ...]

    @property
    def own(self) -> list[FeatureKind]:
        """The features of the kind that is tested, without those that they name."""
        beside = {"user", *(b["name"] for e in self.examples for b in e.beside)}
        return [feature for feature in self.features.features if feature.name not in beside]

    @functools.cached_property
    def records(self) -> list[bytes]:
        """Serialized Examples in the order of the log, ingested from JSON lines."""
        return self.ingested("log.jsonl")

    @functools.cached_property
    def raw(self) -> Arrays:
        """What the Examples hold, as a raw signature takes it."""
        return raw_inputs(self.records, self.features.raw_columns)

    @functools.cached_property
    def statistics(self) -> Any:
        """TFDV's, of the Examples."""
        path = str(self.folder / "all.gz")
        with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP")) as writer:
            for record in self.records:
                writer.write(record)
        options = statistics_options(self.features)
        return tfdv.generate_statistics_from_tfrecord(path, stats_options=options)

    def ingested(self, log: str) -> list[bytes]:
        """Examples of a log by the pipeline's own ingestion."""
        config = IngestConfig.model_validate(
            {
                "source": {"files": log},
                "label": "y",
                "timestamp": "ts",
                "split": {"by": "time", "eval": 0.3},
                "features": self.features.model_dump(mode="json"),
            }
        )
        out = self.folder / f"{log}-examples"
        rejects = self.folder / "rejects"
        report = ingest(config, str(self.folder), str(rejects), lambda split: str(out / split))
        assert not report["rejected"]
        records = [
            record
            for split in config.split_names
            for record in read_records([str(path) for path in (out / split).iterdir()])
        ]
        return sorted(records, key=_row_number)

    @property
    def spec(self) -> dict[str, tf.io.VarLenFeature]:
        """Of the Examples' columns that Transform reads."""
        columns = self.features.raw_columns
        spec = {column.name: tf.io.VarLenFeature(TENSORS[column.dtype]) for column in columns}
        return {
            **spec,
            "label": tf.io.VarLenFeature(tf.float32),
            "row": tf.io.VarLenFeature(tf.string),
        }

    @functools.cached_property
    def graph(self) -> str:
        """Folder of the transform graph."""
        folder = str(self.folder / "graph")
        rows = [_values(record, self.spec) for record in self.records]
        with tft_beam.Context(temp_dir=tempfile.mkdtemp(dir=self.folder)):
            function = (
                rows,
                DatasetMetadata.from_feature_spec(self.spec),
            ) | tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, self.features))
            function | tft_beam.WriteTransformFn(folder)
        return folder

    @functools.cached_property
    def layer(self) -> Any:
        """The transform graph as a layer."""
        return tft.TFTransformOutput(self.graph).transform_features_layer()

    def transformed(self, raw: Arrays) -> dict[str, np.ndarray]:
        """`ids` and `numeric` of raw rows by Transform."""
        outputs = self.layer(as_sparse(raw, self.features.raw_columns))
        return {name: outputs[name].numpy() for name in ("ids", "numeric") if name in outputs}

    @functools.cached_property
    def lite(self) -> Any:
        """Runs a TFLite file of nothing but the preprocessing, in builtin operators."""
        module = tf.Module()
        module.raw = RawFeatures(
            self.features,
            read_constants(self.graph, self.features),
            layout_from_transform(self.graph, self.features),
        )
        call = tf.function(lambda **columns: module.raw(columns), autograph=False)
        function = call.get_concrete_function(**module.raw.input_signature())
        folder = str(self.folder / "saved")
        tf.saved_model.save(module, folder, {"serving_default": function})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        interpreter = Interpreter(model_content=converter.convert())
        types = {detail["index"]: detail["dtype"] for detail in interpreter.get_tensor_details()}
        made = {types[k] for op in interpreter._get_ops_details() for k in op["outputs"]}
        assert not made & {np.int64, np.bytes_}  # what no runtime of a browser computes
        runner = interpreter.get_signature_runner()
        return lambda **columns: runner(**module.raw.encoder.encode(columns))


def _values(record: bytes, names: Any) -> dict[str, list[Any]]:
    features = tf.train.Example.FromString(record).features.feature
    values = {}
    for name in names:
        kind = features[name].WhichOneof("kind")
        values[name] = list(getattr(features[name], kind).value) if kind else []
    return values


def _row_number(record: bytes) -> int:
    return int(_values(record, ["row"])["row"][0])


def _csv(value: Any, column: RawColumn) -> str:
    if isinstance(value, list):
        return (column.separator or "").join(map(str, value))
    return "" if value is None else str(value)


def made(kind: str, folder: pathlib.Path) -> Case:
    """Writes the logs of a kind's examples."""
    examples = KINDS.get(kind).examples()
    features = FeatureSet.model_validate(
        {
            "features": [
                *{b["name"]: b for e in examples for b in e.beside}.values(),
                *({"kind": kind, **e.settings} for e in examples),
                USER,
            ],
            "user": "user",
            "slices": ["row"],
        }
    )
    cycles = [itertools.cycle(example.rows) for example in examples]
    rows = []
    for k in range(ROWS):
        row: dict[str, Any] = {"y": k // 7 % 2, "row": str(k), "user": f"u{k % 7}"}
        row["ts"] = 1_700_000_000 + 900 * k
        for cycle in cycles:
            row |= next(cycle)
        rows.append(row)
    columns = {column.name: column for column in features.raw_columns}
    lines = [",".join(rows[0])]
    for row in rows:
        texts = (_csv(v, columns[n]) if n in columns else str(v) for n, v in row.items())
        lines.append(",".join(texts))
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Case(features, rows, folder, examples)


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return made(request.param, tmp_path_factory.mktemp(request.param))


def test_settings_survive_json(case: Case) -> None:
    again = FeatureSet.model_validate_json(case.features.model_dump_json())
    assert again == case.features
    assert len(case.own) == len(KINDS.get(case.own[0].kind).examples())
    assert [type(f) for f in again.features] == [type(f) for f in case.features.features]


def test_what_it_says_of_itself_fits_together(case: Case) -> None:
    for feature in case.own:
        assert feature.raw_columns()
        assert feature.is_id or feature.numbers
        assert feature.is_id == (feature.id_length > 0)
        assert not (feature.is_categorical and not feature.is_single_valued)
        assert not (feature.is_single_valued and feature.id_length != 1)


def test_csv_json_and_arrow_give_the_same_examples(case: Case) -> None:
    columns = case.features.logged_columns
    from_csv = raw_inputs(case.ingested("log.csv"), columns)
    table = pa.table(
        {
            column.name: pa.array([row[column.name] for row in case.rows], column.arrow_type())
            for column in columns
        }
    )
    (batch,) = table.to_batches()
    from_arrow = raw_inputs(encode(batch), columns)
    for column in columns:
        expected = case.raw[column.name]
        assert len(expected) == ROWS
        np.testing.assert_array_equal(from_csv[column.name], expected)
        np.testing.assert_array_equal(from_arrow[column.name], expected)


def test_a_scorer_makes_of_a_value_what_the_examples_hold(case: Case) -> None:
    for declared in case.features.logged_columns:
        # A scorer knows of a column what `model.json` says.
        column = RawColumn.of_entry(json.loads(json.dumps(declared.entry())))
        assert column.reads_like(dataclasses.replace(declared, categories=True))
        values = [row[column.name] for row in case.rows]
        for given in (values, [raw_values.parse(column, _csv(v, declared)) for v in values]):
            array = raw_values.array(column, [raw_values.convert(column, v) for v in given])
            np.testing.assert_array_equal(array, case.raw[column.name])
            assert array.dtype == case.raw[column.name].dtype


def test_the_schema_promises_the_columns_and_the_data_keep_it(case: Case) -> None:
    validation = ValidationConfig(drift=Comparison(threshold=0.1))
    schema = build_schema(case.statistics, case.features, validation)
    assert not tfdv.validate_statistics(
        case.statistics, schema, previous_statistics=case.statistics
    ).anomaly_info
    entries = {entry.name: entry for entry in schema.feature}
    for column in case.features.raw_columns:
        assert entries[column.name].type == column.schema_type()
        of_log = column.past is None  # what is computed from the past grows with it
        assert entries[column.name].HasField("drift_comparator") == of_log
        assert (entries[column.name].value_count.max == 1) != column.is_list


def test_without_beam_the_same_is_learned(case: Case, tmp_path: pathlib.Path) -> None:
    """A kind whose analyzers need Beam would have every run of it on Beam."""
    specs = impl_helper.get_type_specs_from_feature_specs(case.spec)
    given = tf.io.parse_example(case.records, case.spec)

    def preprocess(inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
        return preprocessing_fn(inputs, case.features)

    analysis = Analysis(preprocess, specs)
    batch = {name: tensor.numpy() for name, tensor in analysis.inputs(given).items()}
    graph = TransformGraph(
        preprocess, specs, analysis.run([batch], str(tmp_path)), str(tmp_path / "graph")
    )
    ours = dataclasses.asdict(read_constants(str(tmp_path / "graph"), case.features))
    expected = dataclasses.asdict(read_constants(case.graph, case.features))
    for what in ("means", "stds"):
        assert ours.pop(what) == pytest.approx(expected.pop(what), abs=1e-6)
    assert ours == expected
    beam = case.layer(dict(given))
    for name, tensor in graph(given).items():
        if tensor.dtype == tf.float32:
            np.testing.assert_allclose(tensor, beam[name], atol=1e-6)
        else:
            np.testing.assert_array_equal(tensor, beam[name])
    again = tft.TFTransformOutput(str(tmp_path / "graph")).transform_features_layer()(dict(given))
    for name, tensor in graph(given).items():
        np.testing.assert_array_equal(tensor, again[name])


def test_ids_and_numbers_fit_into_the_layout(case: Case) -> None:
    layout = layout_from_transform(case.graph, case.features)
    outputs = case.transformed(case.raw)
    ids = outputs["ids"]
    assert ids.shape == (ROWS, layout.num_ids)
    assert [field.name for field in layout.fields] == [f.name for f in case.features.id_features]
    for feature in case.own:
        if not feature.is_id:
            continue
        field = layout.field(feature.name)
        assert field.length == feature.id_length
        assert field.rows > RESERVED_ROWS
        values = ids[:, field.start : field.start + field.length]
        inside = (values >= field.offset) & (values < field.offset + field.rows)
        assert np.all(inside | (values == PADDING_ROW))
        assert inside[:, 0].all() or feature.pools  # whose weights say that there is none
        assert len(np.unique(values[:, 0])) > 2  # it tells rows apart
    assert layout.numeric == tuple(
        n for feature in case.features.features for n in _numeric_names(feature)
    )
    if layout.num_numeric:
        assert outputs["numeric"].shape == (ROWS, layout.num_numeric)
        assert np.isfinite(outputs["numeric"]).all()
        for name in set(layout.numeric) & set(ADJUSTED):
            column = outputs["numeric"][:, layout.numeric.index(name)]
            assert abs(column.mean()) < 1e-6


def _numeric_names(feature: FeatureKind) -> list[str]:
    return [name for number in feature.numbers for name in number.columns]


def test_a_row_of_nothing_is_missing_everywhere(case: Case) -> None:
    layout = layout_from_transform(case.graph, case.features)
    raw = {
        column.name: np.full_like(case.raw[column.name][:1], column.missing)
        for column in case.features.raw_columns
    }
    for outputs in (case.transformed(raw), case.lite(**raw)):
        for field in layout.fields:
            values = outputs["ids"][0, field.start : field.start + field.length]
            first = PADDING_ROW if field.pools else field.missing_row
            assert values.tolist() == [first, *[PADDING_ROW] * (field.length - 1)]
        of_lists = {n.name for f in case.own if f.pools for n in f.numbers}
        for k, name in enumerate(layout.numeric):
            if name not in of_lists:  # how many events there are is never missing
                assert outputs["numeric"][0, k] == float(name.endswith("_is_missing"))
        assert not np.any(outputs.get("numeric", np.zeros((1, 0)))[0, layout.num_numbers :])


def test_the_tflite_file_does_what_transform_does(case: Case) -> None:
    columns = case.features.raw_columns
    gaps = raw_rows_with_gaps(case.raw, columns)
    assert any(not np.array_equal(gaps[c.name], case.raw[c.name]) for c in columns)
    for raw in (case.raw, gaps):
        expected, outputs = case.transformed(raw), case.lite(**raw)
        np.testing.assert_array_equal(outputs["ids"], expected["ids"])
        assert set(outputs) == set(expected)
        if "numeric" in expected:
            np.testing.assert_allclose(
                # A logarithm in float32 against one in float64, over a small deviation.
                outputs["numeric"],
                expected["numeric"],
                rtol=1e-5,
                atol=2e-5,
            )


def test_the_constants_survive_json(case: Case) -> None:
    constants = read_constants(case.graph, case.features)
    again = PreprocessingConstants.from_dict(json.loads(json.dumps(constants.to_dict())))
    assert again == constants
    for feature in case.own:
        assert ("vocabulary" in constants.of(feature.name)) or not feature.is_categorical


def test_the_toy_by_hand(tmp_path: pathlib.Path) -> None:
    case = made(TOY, tmp_path)
    (clock, part) = case.own
    assert (clock.id_values(None), part.id_values(None)) == (4, 8)  # type: ignore[arg-type]
    hours = tf.constant([0, 5, 6, 12, 18, 23, 24, -1, -(2**63)], tf.int64)
    raw = {"clock": hours, "weekend": tf.ones_like(hours)}
    assert clock.id_rows(raw).numpy().tolist() == [2, 2, 3, 4, 5, 5, 0, 0, 1]  # type: ignore[attr-defined]
    assert part.id_rows(raw).numpy().tolist() == [6, 6, 7, 8, 9, 9, 0, 0, 1]  # type: ignore[attr-defined]
    # Both read the hour, which is one input; each is digested by the module of its kind.
    assert [column.name for column in case.features.raw_columns] == ["clock", "weekend", "user"]
    assert "toy_kind" in case.features.modules


def test_two_features_may_not_read_a_column_differently() -> None:
    with pytest.raises(ValueError, match="'part' reads the column 'clock' as int64"):
        FeatureSet.model_validate(
            {
                "features": [
                    {"kind": "categorical", "name": "clock"},
                    {"kind": TOY, "name": "part", "hour": "clock"},
                ]
            }
        )


def test_two_features_may_not_give_the_same_number() -> None:
    with pytest.raises(ValueError, match="several features give the number part_of_day"):
        FeatureSet.model_validate(
            {
                "features": [
                    {"kind": "numeric", "name": "part_of_day"},
                    {"kind": TOY, "name": "part", "hour": "clock"},
                ]
            }
        )


def test_what_an_item_changes() -> None:
    features = FeatureSet.model_validate(
        {
            "features": [
                {"kind": "categorical", "name": "item"},
                {"kind": "numeric", "name": "price"},
                {"kind": TOY, "name": "released", "hour": "release_hour"},
                {"kind": TOY, "name": "clicked", "hour": "hour"},
            ],
            "item": "item",
        }
    )
    assert features.changing_with_item(["price"]) == ("price",)
    assert features.changing_with_item(["release_hour", "price"]) == (
        *("release_hour", "price"),
        *("released", "released_of_day"),
    )
    mixed = {"kind": TOY, "name": "part", "hour": "release_hour", "weekend": "weekend"}
    features = FeatureSet.model_validate({"features": [USER, mixed], "item": "item"})
    with pytest.raises(ValueError, match="'part' reads weekend beside columns of the item"):
        features.changing_with_item(["release_hour"])
    with pytest.raises(NotCompressible, match="'part' reads weekend beside columns of the item"):
        check_item_columns(["release_hour"], features)


def test_an_item_changes_what_is_of_its_past_alone() -> None:
    """A history stays with its row; what is counted by item is unknown for another one."""
    item = {"kind": "categorical", "name": "item"}
    recent = {"kind": "history", "name": "recent", "of": "item", "by": "user"}
    mine = {"kind": "aggregate", "name": "mine", "by": "user"}
    base = {"item": "item", "user": "user"}
    features = FeatureSet.model_validate({**base, "features": [item, recent, mine]})
    assert features.changing_with_item([]) == ()
    for key in ("item", ["user", "item"]):
        popular = {"kind": "aggregate", "name": "popular", "by": key}
        features = FeatureSet.model_validate({**base, "features": [item, popular]})
        with pytest.raises(
            ValueError, match=r"'popular' reads .*popular_count.* beside columns of"
        ):
            features.changing_with_item([])


def test_an_unknown_kind_lists_what_is_registered() -> None:
    with pytest.raises(ValueError, match=f"no feature kind 'text'; registered are .*, {TOY}"):
        FeatureSet.model_validate({"features": [{"kind": "text", "name": "x"}]})


def test_the_digest_covers_the_kinds_that_are_used_and_no_other(toys: pathlib.Path) -> None:
    executor = "ranklite.components.log_example_gen.executor"
    features = FeatureSet.model_validate({"features": [USER]})
    assert features.modules == ["ranklite.models.features.kinds.categorical"]
    with_toy = FeatureSet.model_validate({"features": [USER, {"kind": TOY, "name": "hour"}]})
    assert code_digest(executor, *features.modules) != code_digest(executor, *with_toy.modules)
    assert code_digest(executor) != code_digest(executor, *features.modules)


def test_only_the_kinds_that_are_named_are_imported() -> None:
    code = (
        "import sys\n"
        "from ranklite.models.features.feature_set import FeatureSet\n"
        f"FeatureSet.model_validate({{'features': [{USER!r}]}})\n"
        "print([m.rpartition('.')[2] for m in sys.modules if '.features.kinds.' in m],"
        " [m for m in ('tensorflow', 'numpy', 'pyarrow', 'duckdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['categorical'] []"
