"""A small log of clicks, and what stages make of it: for tests of single components."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from ranklite.components.artifact_types import StageReport
from ranklite.components.file_validator.executor import Executor as FileValidator
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.features import arrow
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.notebook import preprocess
from ranklite.models.notebook.table import raw_batches

FEATURES = FeatureSet.model_validate(
    {
        "features": [
            {"kind": "categorical", "name": "user"},
            {"kind": "categorical", "name": "item", "dtype": "int64"},
        ],
        "label": "click",
        "user": "user",
        "item": "item",
    }
)


def clicks(rows: int, seed: int) -> pd.DataFrame:
    """Users who like items of the other parity, as a rule."""
    random = np.random.default_rng(seed)
    user, item = random.integers(0, 40, rows), random.integers(0, 20, rows)
    liked = random.random(rows) < np.where((user + item) % 2, 0.8, 0.2)
    return pd.DataFrame({"user": [f"u{u}" for u in user], "item": item, "click": liked.astype(int)})


def artifact(kind: Any, uri: pathlib.Path) -> Any:
    """One that lies there."""
    made = kind()
    made.uri = str(uri)
    return made


def examples(uri: pathlib.Path, tables: Mapping[str, pd.DataFrame], graph: str = "") -> Any:
    """Examples of some tables by split, raw or, with a transform graph, transformed."""
    made = artifact(standard_artifacts.Examples, uri)
    made.split_names = artifact_utils.encode_split_names(list(tables))
    for split, table in tables.items():
        where = uri / f"Split-{split}"
        where.mkdir(parents=True, exist_ok=True)
        file, batches = str(where / "rows.gz"), raw_batches(table, FEATURES)
        if graph:
            preprocess.apply(graph, batches, file)
            continue
        with tf.io.TFRecordWriter(file, "GZIP") as writer:
            for batch in batches:
                for record in arrow.encode(batch):
                    writer.write(record)
    return made


def judge(
    inputs: dict[str, list[Any]], gates: Mapping[str, Any], folder: pathlib.Path
) -> tuple[Any, dict[str, Any]]:
    """FileValidator's blessing and report of the split `test`."""
    blessing = artifact(standard_artifacts.InfraBlessing, folder / "blessing")
    report = artifact(StageReport, folder / "report")
    FileValidator().Do(
        inputs,
        {"blessing": [blessing], "report": [report]},
        {
            "features": FEATURES.model_dump_json(),
            "gates": GatesConfig.model_validate(gates).model_dump_json(),
            "split": "test",
            "code_digest": "",
        },
    )
    return blessing, json.loads(pathlib.Path(report.uri, "report.json").read_text("utf-8"))
