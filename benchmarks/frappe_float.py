"""A float model on Frappe: validation AUC and log loss over seeds, and training speed.

    RANKLITE_DATA=<folder that holds frappe/> python benchmarks/frappe_float.py
    ... --config configs/frappe-dcn.yaml

Trains on frappe/train.csv with the `model` and `training` settings of a configuration, by default
configs/frappe.yaml, and validates on frappe/valid.csv, as the pipeline does, but without its other
stages. `--family` trains another family of models with the same settings. Published on this
validation split (BARS benchmark): AUC 0.98517 and log loss 0.1421 for DeepFM, AUC 0.9852 for DCN
V2.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import tempfile
import time

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import duckdb  # isort: skip
import numpy as np  # isort: skip
import pandas as pd  # isort: skip
import tensorflow as tf  # isort: skip
import yaml  # isort: skip

from ranklite.models.training import fit as training  # isort: skip
from ranklite.models.architectures import FAMILIES
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.training.config import TrainingConfig

from ranklite.models.features.layout import FeatureLayout  # isort: skip

CONFIG = pathlib.Path(__file__).parent.parent / "configs" / "frappe.yaml"
LEAST_AUC = 0.984


def write_examples(rows: pd.DataFrame, layout: FeatureLayout, ids: dict, path: str) -> str:
    """Writes transformed Examples; values that the train split lacks are out of vocabulary."""
    columns = [
        rows[field.name].map(ids[field.name]).fillna(field.oov_row).to_numpy(np.int64)
        for field in layout.fields
    ]
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP", compression_level=1)) as writer:
        for values, label in zip(np.stack(columns, axis=1), rows["label"], strict=True):
            feature = {
                "ids": tf.train.Feature(int64_list=tf.train.Int64List(value=values)),
                "label": tf.train.Feature(float_list=tf.train.FloatList(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    return path


def prepare(data: str, folder: str) -> tuple[FeatureLayout, str, str]:
    """Reads both splits and writes their transformed Examples into a folder."""
    train, valid = (
        duckdb.read_csv(os.path.join(data, "frappe", name)).df()
        for name in ("train.csv", "valid.csv")
    )
    vocabularies = {
        name: train[name].value_counts().index for name in train.columns if name != "label"
    }
    layout = FeatureLayout.build([(name, 1, len(v)) for name, v in vocabularies.items()])
    ids = {
        field.name: dict(
            zip(
                vocabularies[field.name],
                range(field.missing_row + 1, field.offset + field.rows),
                strict=True,
            )
        )
        for field in layout.fields
    }
    return (
        layout,
        write_examples(train, layout, ids, os.path.join(folder, "train.gz")),
        write_examples(valid, layout, ids, os.path.join(folder, "valid.gz")),
    )


def main() -> int:
    """Prints a row a seed and their mean; 1 if the mean AUC is below what it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        default=os.environ.get("RANKLITE_DATA"),
        help="folder that holds frappe/train.csv and frappe/valid.csv (default: $RANKLITE_DATA)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings (default: 3)")
    parser.add_argument("--config", default=CONFIG, help="YAML with `model` and `training`")
    parser.add_argument(
        "--family", choices=FAMILIES.names, help="in place of the configuration's model family"
    )
    arguments = parser.parse_args()
    if not arguments.data:
        parser.error("where is the data? Give --data or set RANKLITE_DATA")
    settings = yaml.safe_load(pathlib.Path(arguments.config).read_text(encoding="utf-8"))
    chosen = {"family": arguments.family} if arguments.family else {}
    config = parse_settings({**settings.get("model", {}), **chosen})
    base = TrainingConfig(**settings.get("training", {}))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        layout, train, valid = prepare(arguments.data, folder)
        print(f"{'seed':<8}{'auc':>9}{'log loss':>10}{'epochs':>8}{'seconds':>9}{'rows/s':>9}")
        for seed in range(1, arguments.seeds + 1):
            start = time.monotonic()
            model = training.build(layout, config, base.model_copy(update={"seed": seed}))
            result = training.fit(
                model, layout, [train], [valid], base.model_copy(update={"seed": seed})
            )
            results.append([result["auc"], result["log_loss"]])
            print(
                f"{seed:<8}{result['auc']:>9.5f}{result['log_loss']:>10.4f}{result['epochs']:>8}"
                f"{time.monotonic() - start:>9.1f}{result['rows_per_second']:>9,.0f}",
                flush=True,
            )
    mean, spread = np.mean(results, axis=0), np.std(results, axis=0)
    print(f"{'mean':<8}{mean[0]:>9.5f}{mean[1]:>10.4f}")
    print(f"{'std':<8}{spread[0]:>9.5f}{spread[1]:>10.4f}")
    print(f"{model.count_params():,} parameters")
    return int(mean[0] < LEAST_AUC)


if __name__ == "__main__":
    sys.exit(main())
