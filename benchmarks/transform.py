"""Transform in this process against TensorFlow Transform on Beam, on the same Examples.

    python -m benchmarks.transform [--rows 1000000] [--users 1000000] [--items 300000] [--history 0]
                                   [--repeat 1] [--only ours|peer] [--json FILE]

Both run the executor of the Transform stage on one machine, in a process of their own each: what is
told is the time of the stage alone, without imports, its processor seconds, which others on the
machine change less, and the most memory that the process had. The last lines say whether
vocabularies, moments and rows are equal. `--history` adds the user's last items with their
outcomes, so many of them.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
from typing import Any

import numpy as np

from benchmarks.beam_comparison import BATCH, SPLITS, WAYS, Measured, features, main, measured


def _transform(folder: str, way: str, arguments: argparse.Namespace) -> Measured:
    """Runs the stage; seconds, processor seconds and the peak of memory in MB."""
    from tfx.types import artifact_utils, standard_artifacts

    from ranklite.components.transform.executor import Executor

    class OnBeam(Executor):
        def _done_in_process(self, *args: Any) -> bool:
            return False

    def artifact(kind: Any, name: str) -> list[Any]:
        made = kind()
        made.uri = f"{folder}/{name}"
        return [made]

    examples = artifact(standard_artifacts.Examples, "examples")
    examples[0].split_names = artifact_utils.encode_split_names(list(SPLITS))
    inputs = {"examples": examples, "schema": artifact(standard_artifacts.Schema, "schema")}
    outputs = {
        "transform_graph": artifact(standard_artifacts.TransformGraph, f"{way}/graph"),
        "transformed_examples": artifact(standard_artifacts.Examples, f"{way}/rows"),
    }
    properties = {
        "preprocessing_fn": "ranklite.components.transform.module.preprocessing_fn",
        "splits_config": json.dumps({"analyze": ["train"], "transform": list(SPLITS)}),
        "disable_statistics": 1,
        "custom_config": json.dumps({"features": json.dumps(features(arguments.history))}),
    }
    shutil.rmtree(f"{folder}/{way}", ignore_errors=True)  # of an earlier repeat
    executor = (Executor if way == "ours" else OnBeam)()
    return measured(lambda: executor.Do(inputs, outputs, properties))


def _differences(folder: str, arguments: argparse.Namespace) -> dict[str, float]:
    """What differs between both: vocabularies, the largest of a moment's, and rows."""
    import tensorflow as tf
    import tensorflow_transform as tft

    from ranklite.models.features.constants import read_constants
    from ranklite.models.features.feature_set import FeatureSet

    of = FeatureSet.model_validate(features(arguments.history))
    ours, peer = (read_constants(f"{folder}/{way}/graph", of) for way in WAYS)
    numbers = [(ours.means, peer.means), (ours.stds, peer.stds)]
    columns = tft.TFTransformOutput(f"{folder}/peer/graph").transformed_feature_spec()
    rows = 0
    for split in SPLITS:
        both = []
        for way in WAYS:
            files = sorted(map(str, pathlib.Path(folder, way, "rows", f"Split-{split}").iterdir()))
            records = tf.data.TFRecordDataset(files, "GZIP").batch(BATCH)
            both.append(records.map(lambda batch: tf.io.parse_example(batch, columns)))
        for one, other in tf.data.Dataset.zip(tuple(both)).as_numpy_iterator():
            same = [np.all(one[name] == other[name], axis=1) for name in other]
            rows += int(np.sum(~np.all(same, axis=0)))
    return {
        "vocabularies that differ": sum(
            ours.vocabularies[name] != words for name, words in peer.vocabularies.items()
        ),
        "boundaries that differ": float(ours.boundaries != peer.boundaries),
        "moments that differ": max(abs(a[name] - b[name]) for a, b in numbers for name in b),
        "rows that differ": rows,
    }


if __name__ == "__main__":
    main("transform", "Transform", _transform, _differences, "1M rows in 30 s")
