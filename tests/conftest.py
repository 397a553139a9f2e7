"""Shared by all tests."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import ranklite.models  # noqa: F401  chooses Keras 2 before any test imports TensorFlow
from tests.fault_table import OPTION, FaultTable

pytest.register_assert_rewrite("tests.small_logs")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fault-table FILE` writes what was broken on purpose, and what became of it."""
    parser.addoption(OPTION, metavar="FILE", help="Markdown file for the table of faults")


def pytest_configure(config: pytest.Config) -> None:
    """Faults are told by reports, which processes of xdist send to the first one."""
    config.pluginmanager.register(FaultTable(config.getoption(OPTION)))


if TYPE_CHECKING:
    from ranklite.models.features.layout import FeatureLayout


@dataclasses.dataclass(frozen=True)
class Clicks:
    """Transformed Examples with a signal in them: active users, liked items, high numbers."""

    layout: FeatureLayout
    train: list[str]
    eval: list[str]


def _write_examples(path: pathlib.Path, rows: dict[str, Any]) -> str:
    """Writes columns [R, size] as gzipped Examples; int64 or float32 by their dtype."""
    import tensorflow as tf

    def feature(values: np.ndarray) -> tf.train.Feature:
        if np.issubdtype(values.dtype, np.integer):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    arrays = {name: np.asarray(values) for name, values in rows.items()}
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
        for row in zip(*arrays.values(), strict=True):
            features = {name: feature(values) for name, values in zip(arrays, row, strict=True)}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return str(path)


@pytest.fixture(scope="session")
def write_examples() -> Callable[[pathlib.Path, dict[str, Any]], str]:
    """Writes columns [R, size] to a file of gzipped Examples and returns its path."""
    return _write_examples


@pytest.fixture(scope="session")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Clicks:
    """2,000 train rows in two files and 600 eval rows: user, item, up to 3 tags, one number."""
    from ranklite.models.features.layout import FeatureLayout

    layout = FeatureLayout.build([("user", 1, 40), ("item", 1, 30), ("tags", 3, 6)], ["x"])
    random = np.random.default_rng(0)
    appeal = 1.5 * random.normal(size=layout.table_rows)
    folder = tmp_path_factory.mktemp("clicks")

    def write(name: str, rows: int) -> str:
        ids = np.stack(
            [
                random.integers(field.missing_row, field.offset + field.rows, rows)
                for field in layout.fields
                for _ in range(field.length)
            ],
            axis=1,
        )
        tags = ids[:, 2:]
        tags[np.arange(3) >= random.integers(0, 4, rows)[:, None]] = 0
        x = random.normal(size=(rows, 1))
        logit = appeal[ids[:, :2]].sum(axis=1) + x[:, 0] - 0.5
        label = random.random(rows) < 1 / (1 + np.exp(-logit))
        columns = {"ids": ids, "numeric": x.astype("f4"), "label": label[:, None].astype("f4")}
        return _write_examples(folder / f"{name}.gz", columns)

    return Clicks(layout, [write("train-0", 1000), write("train-1", 1000)], [write("eval-0", 600)])
