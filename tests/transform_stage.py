"""The Transform stage's executor on hand-written rows, in this process or on Beam."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.types import artifact_utils, standard_artifacts

from ranklite.components.transform.executor import Executor
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.row_counts import ROWS_FILE

Row = Mapping[str, Sequence[Any]]
TYPES = {"int64": schema_pb2.INT, "float32": schema_pb2.FLOAT, "string": schema_pb2.BYTES}


class OnBeam(Executor):
    """TFX's own way."""

    def _done_in_process(self, *args: Any) -> bool:
        return False


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run has written.

    Attributes:
      graph: Folder of the transform graph.
      rows: Folder of the transformed Examples.
    """

    graph: str
    rows: str

    def split(self, name: str) -> list[Any]:
        """The rows of a split, as Examples."""
        folder = pathlib.Path(self.rows, f"Split-{name}")
        files = sorted(str(path) for path in folder.iterdir())
        records = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
        return [tf.train.Example.FromString(record) for record in records]

    def files(self) -> set[str]:
        """What the transform graph's folder holds."""
        paths = (path for path in pathlib.Path(self.graph).rglob("*") if path.is_file())
        return {str(path.relative_to(self.graph)) for path in paths}


def dtypes(features: FeatureSet) -> dict[str, str]:
    """The types of the columns that Transform reads."""
    known: dict[str, str] = {c.name: c.dtype for c in features.raw_columns}
    names = {name: known.get(name, "string") for name in features.input_columns}
    return names | {features.label: "float32"}


def serialized(row: Row, types: Mapping[str, str]) -> bytes:
    """A row as an Example; a column that it lacks is left out."""
    example = tf.train.Example()
    for name, values in row.items():
        feature = example.features.feature[name]
        if types[name] == "int64":
            feature.int64_list.value.extend(values)
        elif types[name] == "float32":
            feature.float_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(values)
    return bytes(example.SerializeToString())


def write(
    folder: pathlib.Path,
    splits: Mapping[str, Sequence[Sequence[Row]]],
    types: Mapping[str, str],
    schema: schema_pb2.Schema | None = None,
) -> None:
    """Writes Examples, a file for each list of rows, and their schema: by itself of the types."""
    for split, files in splits.items():
        for number, rows in enumerate(files):
            path = folder / "examples" / f"Split-{split}" / f"data-{number}.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for row in rows:
                    writer.write(serialized(row, types))
    counted = {split: sum(map(len, files)) for split, files in splits.items()}
    (folder / "examples" / ROWS_FILE).write_text(json.dumps(counted))
    if schema is None:
        schema = schema_pb2.Schema()
        for name, dtype in types.items():
            schema.feature.add(name=name, type=TYPES[dtype])
    (folder / "schema").mkdir()
    (folder / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(schema))


def run(
    folder: pathlib.Path,
    features: FeatureSet,
    executor: Executor,
    out: str,
    preprocessing_fn: str = "ranklite.components.transform.module.preprocessing_fn",
) -> Result:
    """Runs an executor on what `write` has written."""

    def artifact(kind: Any, path: str) -> list[Any]:
        made = kind()
        made.uri = str(folder / path)
        return [made]

    examples = artifact(standard_artifacts.Examples, "examples")
    splits = sorted(
        name.removeprefix("Split-") for name in os.listdir(folder / "examples") if "-" in name
    )
    examples[0].split_names = artifact_utils.encode_split_names(splits)
    executor.Do(
        {"examples": examples, "schema": artifact(standard_artifacts.Schema, "schema")},
        {
            "transform_graph": artifact(standard_artifacts.TransformGraph, f"{out}/graph"),
            "transformed_examples": artifact(standard_artifacts.Examples, f"{out}/rows"),
        },
        {
            "preprocessing_fn": preprocessing_fn,
            "splits_config": json.dumps({"analyze": ["train"], "transform": splits}),
            "disable_statistics": 1,
            "custom_config": json.dumps({"features": features.model_dump_json()}),
        },
    )
    return Result(str(folder / out / "graph"), str(folder / out / "rows"))
