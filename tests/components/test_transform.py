"""TFX's own runner takes examples through statistics, schema, gate and Transform."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import transform_pb2
from tfx.types import standard_artifacts

from ranklite.components.schema_from_config.component import SchemaFromConfig
from ranklite.components.schema_from_config.statistics import statistics_options
from ranklite.components.statistics_gen.component import StatisticsGen
from ranklite.components.transform.component import Transform
from ranklite.components.validation_gate.component import ValidationGate
from ranklite.components.validation_gate.config import ValidationConfig
from ranklite.components.validation_gate.validation import DataRefused
from ranklite.models import progress
from ranklite.models.features.constants import layout_from_transform, read_constants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.row_counts import ROWS_FILE
from ranklite.pipeline.local.beam_progress import counted

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "multi_categorical", "name": "tags", "max_length": 2},
            {"kind": "categorical", "name": "userId", "dtype": "int64"},
            {"kind": "categorical", "name": "item", "min_count": 2},
            {"kind": "numeric", "name": "Age"},
        ],
        "user": "userId",
        "item": "item",
    }
)
Row = dict[str, list[Any]]
TRAIN: list[Row] = [
    {"userId": [7], "item": [b"a"], "tags": [b"x"], "Age": [2.0], "label": [1.0]},
    {"userId": [7], "item": [b"a"], "tags": [b"x", b"y", b"z"], "Age": [6.0], "label": [0.0]},
    {"userId": [3], "item": [b"b"], "tags": [], "Age": [], "label": [1.0]},
]
EVAL: list[Row] = [
    {"userId": [3], "item": [b"b"], "tags": [b"z", b"y"], "Age": [8.0], "label": [0.0]},
    {"userId": [9], "item": [b"a"], "tags": [b"x"], "Age": [100.0], "label": [1.0]},
]

# Rows of the table: 0 padding; userId 1 new, 2 missing, then 7 and 3; item 5 new, 6 missing, then a
# (b is too rare); tags 8 new, 9 missing, then x and y (z is the third of its list, which keeps 2).
TRAIN_IDS = [[3, 7, 10, 0], [3, 7, 10, 11], [4, 5, 9, 0]]
EVAL_IDS = [[4, 5, 8, 11], [1, 7, 10, 0]]


def serialized(row: Row) -> bytes:
    example = tf.train.Example()
    for name, values in row.items():
        feature = example.features.feature[name]
        if name == "userId":
            feature.int64_list.value.extend(values)
        elif name in ("item", "tags"):
            feature.bytes_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    return bytes(example.SerializeToString())


def run(folder: pathlib.Path, train: list[Row], **validation: Any) -> pathlib.Path:
    """Runs the four stages on hand-written examples; returns the folder of their artifacts."""
    for split, rows in (("train", train), ("eval", EVAL)):
        path = folder / "examples" / f"Split-{split}" / "data.gz"
        path.parent.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for row in rows:
                writer.write(serialized(row))
    rows_by_split = {"train": len(train), "eval": len(EVAL)}
    (folder / "examples" / ROWS_FILE).write_text(json.dumps(rows_by_split))
    importer = Importer(
        source_uri=str(folder / "examples"),
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": '["train", "eval"]'},
    ).with_id("Examples")
    examples = importer.outputs["result"]
    statistics = StatisticsGen(
        examples=examples, stats_options=statistics_options(FEATURES), code_digest=""
    )
    config = ValidationConfig(**validation).model_dump_json()
    schema = SchemaFromConfig(
        statistics=statistics.outputs["statistics"],
        features=FEATURES.model_dump_json(),
        validation=config,
        code_digest="",
    )
    gate = ValidationGate(
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        config=config,
        code_digest="",
    )
    transform = Transform(
        examples=examples,
        schema=schema.outputs["schema"],
        preprocessing_fn="ranklite.components.transform.module.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "eval"]),
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config={"features": FEATURES.model_dump_json()},
    )
    transform.add_upstream_node(gate)
    root = folder / "root"
    LocalDagRunner().run(
        Pipeline(
            pipeline_name="chain",
            pipeline_root=str(root),
            components=[importer, statistics, schema, gate, transform],
            metadata_connection_config=sqlite_metadata_connection_config(str(folder / "mlmd.db")),
        )
    )
    return root


@pytest.fixture(scope="module")
def reported() -> list[progress.Report]:
    """What the stages say of how far they are."""
    return []


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, reported: list[progress.Report]) -> pathlib.Path:
    with progress.listening(reported.append), counted():
        return run(tmp_path_factory.mktemp("good"), TRAIN)


def transformed(root: pathlib.Path, split: str) -> list[dict[str, list[Any]]]:
    files = sorted(map(str, root.glob(f"Transform/transformed_examples/*/Split-{split}/*")))
    rows = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP"):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        rows.append(
            {name: list(getattr(f, f.WhichOneof("kind")).value) for name, f in features.items()}
        )
    return rows


@pytest.mark.parametrize(("split", "ids"), [("train", TRAIN_IDS), ("eval", EVAL_IDS)])
def test_ids_by_hand(root: pathlib.Path, split: str, ids: list[list[int]]) -> None:
    assert [row["ids"] for row in transformed(root, split)] == ids


def test_numbers_by_hand(root: pathlib.Path) -> None:
    # Over the train split alone: mean 4, standard deviation 2; a missing value is the mean.
    assert [row["numeric"] for row in transformed(root, "train")] == [[-1.0], [1.0], [0.0]]
    # The other one is 48 deviations away: it counts as 10.
    assert [row["numeric"] for row in transformed(root, "eval")] == [[2.0], [10.0]]


def test_labels_and_evaluation_columns(root: pathlib.Path) -> None:
    rows = transformed(root, "eval")
    assert [row["label"] for row in rows] == [[0.0], [1.0]]
    assert [
        tuple(row[name][0].decode() for name in ("group", "slice_user", "slice_item"))
        for row in rows
    ] == [("3", "seen", "new"), ("9", "new", "seen")]


@pytest.mark.usefixtures("root")
def test_beam_stages_tell_how_far_they_are(reported: list[progress.Report]) -> None:
    done = [(report.where, report.share) for report in reported]
    # StatisticsGen reads both splits, Transform the train split once more, to analyze it.
    assert done.index(("read 5/5 rows", 1.0)) < done.index(("read 3/8 rows", 3 / 8))
    assert done[-1] == ("read 8/8 rows", 1.0)


def test_transformed_examples_know_their_rows(root: pathlib.Path) -> None:
    (result,) = root.glob(f"Transform/transformed_examples/*/{ROWS_FILE}")
    assert json.loads(result.read_text()) == {"train": 3, "eval": 2}


def test_what_was_learned_is_read_back(root: pathlib.Path) -> None:
    (graph,) = root.glob("Transform/transform_graph/*")
    constants = read_constants(str(graph), FEATURES)
    assert constants.vocabularies == {"userId": ["7", "3"], "item": ["a"], "tags": ["x", "y"]}
    assert (constants.means, constants.stds) == ({"Age": 4.0}, {"Age": 2.0})
    layout = layout_from_transform(str(graph), FEATURES)
    assert layout.num_ids == np.shape(TRAIN_IDS)[1]
    assert layout.field("tags").offset == 8


def test_bad_examples_stop_at_the_gate(tmp_path: pathlib.Path) -> None:
    bad = [{**row, "label": [2.0 * row["label"][0]]} for row in TRAIN]
    with pytest.raises(DataRefused, match=r"train: label: Out-of-range values(.|\n)*Mend the log"):
        run(tmp_path, bad)
    assert list((tmp_path / "root").glob("SchemaFromConfig/schema/*/schema.pbtxt"))
    assert not list((tmp_path / "root").glob("ValidationGate/blessing/*"))
    assert not (tmp_path / "root" / "Transform").exists()
