"""Ranking candidates for one user: a history that is encoded once against one a candidate.

    python -m benchmarks.top_k [--items 10000] [--before <checkout>] [--json <file>]

Exports calibrated int8 files of a DeepFM with a history of 20 events, for each encoder, and times
them in turns on one thread. Rows are generated and weights are random: they do not matter to speed.
Each file is loaded three times, since where its tensors lie in memory moves a call by some percent.
Figures are medians over the rounds, and the least and greatest ratio of a round beside them.

- Candidates of one user: the history sent as one row, against the same file with the row repeated
  for each candidate. `Scorer.top_k` sends one row.
- With --before, a checkout of RankLite as it was: rows of different users, one at a time and 512
  together, against the file that it exports with the same weights.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip
import numpy.typing as npt  # isort: skip
import tensorflow as tf  # isort: skip

from ranklite.models.architectures import family
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques import from_json
from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW
from ranklite.models.export.tflite_convert import to_tflite
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import MISSING_INT64, FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.reporting.tables import table
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits

ENCODERS = ("pool", "attention", "gru")
ITEMS, GENRES, LENGTH = 10_000, 20, 20
TOGETHER = 512  # rows of different users
MANY = 2048  # rows that are timed together
COPIES = 3  # of each file
CALIBRATION_ROWS = 2048
MODEL = {"family": "deepfm", "embedding_dim": 12, "hidden_units": [96, 48], "dropout": 0.0}
INT8 = {"technique": "quantize", "epochs": 0}

Rows = dict[str, npt.NDArray[Any]]
Call = Callable[[], object]


def features_of(encoder: str) -> FeatureSet:
    """A candidate with genres and a price, and the last items of the user."""
    return FeatureSet.model_validate(
        {
            "user": "user",
            "item": "item",
            "features": [
                {"kind": "categorical", "name": "item", "dtype": "int64"},
                {
                    **{"kind": "multi_categorical", "name": "genres", "dtype": "int64"},
                    **{"max_length": 6, "separator": "|"},
                },
                {"kind": "numeric", "name": "price"},
                {
                    **{"kind": "history", "name": "recent", "of": "item", "by": "user"},
                    **{"length": LENGTH, "encoder": encoder},
                },
            ],
        }
    )


def generated(count: int, users: int, seed: int = 0) -> Rows:
    """Raw features of candidates and full histories of as many users."""
    random = np.random.default_rng(seed)
    genres = random.integers(0, GENRES, (count, 6))
    return {
        "item": random.integers(0, ITEMS, count),
        "genres": np.where(np.arange(6) < random.integers(1, 7, (count, 1)), genres, MISSING_INT64),
        "price": random.normal(size=count).astype(np.float32),
        "recent": random.integers(0, ITEMS, (users, LENGTH)),
        "recent_outcome": random.integers(0, 2, (users, LENGTH)).astype(np.float32),
    }


def exported(encoder: str, folder: str) -> bytes:
    """The int8 file of a model with random weights, which depend on the names of layers alone."""
    features, config = features_of(encoder), parse_settings(MODEL)
    counts, numbers = {"item": ITEMS, "genres": GENRES}, features.numeric_names
    sizes = [(f.name, f.id_length, counts.get(f.name, 0)) for f in features.id_features]
    layout = FeatureLayout.build(sizes, numbers, features.list_fields)
    constants = PreprocessingConstants(
        {name: [str(k) for k in range(count)] for name, count in counts.items()},
        dict.fromkeys(numbers, 0.5),
        dict.fromkeys(numbers, 1.0),
        {},
    )
    raw, model = RawFeatures(features, constants, layout), family.build(layout, config)
    for layer in model.layers:
        random = np.random.default_rng(zlib.crc32(layer.name.encode()))
        low, high = (0.5, 1.0) if layer.name.endswith("_bn") else (-0.4, 0.4)
        layer.set_weights([random.uniform(low, high, w.shape) for w in layer.get_weights()])
    files = [write(raw, os.path.join(folder, f"{encoder}-{k}.gz"), seed=k) for k in range(2)]
    setting = Setting(features, Splits(files[:1], files[1:]), TrainingConfig())
    smaller = apply(from_json(json.dumps(INT8)), Checkpoint(model, layout, config), setting)
    return to_tflite(smaller.model, raw)


def fused(raw: RawFeatures, rows: Rows) -> Rows:
    """What `serving_default` takes."""
    encoder = getattr(raw, "encoder", None)  # an earlier checkout takes rows as they are
    rows = encoder.encode(rows) if encoder else rows
    return {n: v.numpy() for n, v in raw({n: tf.constant(v) for n, v in rows.items()}).items()}


def write(raw: RawFeatures, path: str, seed: int) -> str:
    """Writes transformed Examples to calibrate on; returns the path."""
    columns = fused(raw, generated(CALIBRATION_ROWS, CALIBRATION_ROWS, seed))
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP")) as writer:
        for number, (ids, numeric) in enumerate(zip(*columns.values(), strict=True)):
            example = tf.train.Example()
            example.features.feature["ids"].int64_list.value.extend(ids)
            example.features.feature["numeric"].float_list.value.extend(numeric)
            example.features.feature["label"].float_list.value.append(number % 2)
            writer.write(example.SerializeToString())
    return path


def export_all(folder: str) -> None:
    """Writes a file for each encoder."""
    for encoder in ENCODERS:
        content = exported(encoder, folder)
        pathlib.Path(folder, f"{encoder}.tflite").write_bytes(content)


def exported_before(checkout: str, folder: str) -> None:
    """Has another checkout export files with the same weights."""
    command = [sys.executable, os.path.abspath(__file__), "--export", folder]
    environment = {**os.environ, "PYTHONPATH": os.path.abspath(checkout)}
    subprocess.run(command, check=True, env=environment, cwd=folder)


def compared(
    what: str, first: Sequence[Call], second: Sequence[Call], rounds: int
) -> dict[str, Any]:
    """Two ways, timed in turns: milliseconds, and the first over the second.

    Args:
      what: Their names.
      first: Calls that do the same.
      second: As many.
      rounds: How often each is timed.

    Returns:
      Medians of the rounds, a round's time being the mean of a way's calls, and the ratios.
    """
    times: list[list[float]] = [[], []]
    for number in range(-1, rounds):  # one more to warm up
        spent = [0.0, 0.0]
        for pair in zip(first, second, strict=True):
            for way, call in enumerate(pair):
                start = time.perf_counter()
                call()
                spent[way] += time.perf_counter() - start
        if number >= 0:
            for way, seconds in enumerate(spent):
                times[way].append(1e3 * seconds / len(first))
    ratios = [a / b for a, b in zip(*times, strict=True)]
    medians = [float(np.median(each)) for each in times]
    return {
        "what": what,
        "milliseconds": medians,
        "ratio": medians[0] / medians[1],
        "range": [min(ratios), max(ratios)],
    }


def calls(files: Sequence[LiteModel], rows: Rows, signature: str, times: int = 1) -> list[Call]:
    """A call for each copy of a file that scores some rows so many times, encoded beforehand."""

    def of(file: LiteModel) -> Call:
        is_encoded = file.encoder is not None and signature == SERVING_RAW
        about = file.inputs(signature)
        taken = file.encoder.encode(rows) if is_encoded else rows  # type: ignore[union-attr]
        if signature == SERVING_DEFAULT:
            taken = {n: values.astype(about[n]["dtype"]) for n, values in rows.items()}
        return lambda: [file.score(taken, signature) for _ in range(times)]

    return [of(file) for file in files]


def measured(encoder: str, folder: str, before: str | None, items: int, rounds: int) -> list[Any]:
    """All comparisons of an encoder."""
    folders = [folder, before or folder] * COPIES  # in turns, so that none has the better places
    loaded = [LiteModel(os.path.join(each, f"{encoder}.tflite")) for each in folders]
    now, then = loaded[::2], loaded[1::2]
    once = generated(items, users=1)
    repeated = {n: np.repeat(v, items, axis=0) if len(v) == 1 else v for n, v in once.items()}
    scores = [now[0].score(rows, SERVING_RAW) for rows in (once, repeated)]
    np.testing.assert_array_equal(scores[0], scores[1])
    many = f"{items:,} candidates"
    first, second = (calls(now, rows, SERVING_RAW) for rows in (repeated, once))
    result = [compared(f"{many}: repeated / once", first, second, rounds)]
    if before:
        first, second = (calls(files, once, SERVING_RAW) for files in (now, then))
        result.append(compared(f"{many}: now / before", first, second, rounds))
        for count in (1, TOGETHER):
            for signature in (SERVING_RAW, SERVING_DEFAULT):
                is_raw = signature == SERVING_RAW
                rows = generated(count, count) if is_raw else inputs(now[0], count)
                times = MANY // count
                first, second = (calls(files, rows, signature, times) for files in (now, then))
                what = f"{count} users, {signature}: now / before"
                result.append(compared(what, first, second, rounds))
    return result


def inputs(file: LiteModel, count: int) -> Rows:
    """Something that `serving_default` takes; no list is shorter for it."""
    random = np.random.default_rng(0)
    about = file.inputs(SERVING_DEFAULT)
    ids, numeric = ((count, about[name]["shape"][1]) for name in ("ids", "numeric"))
    return {
        "ids": random.integers(1, ITEMS, ids),
        "numeric": random.random(numeric).astype(np.float32),
    }


def main() -> int:
    """Exports, measures, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000, help="candidates (default: 10000)")
    parser.add_argument("--rounds", type=int, default=15, help="times each is measured")
    parser.add_argument("--before", help="checkout of RankLite to compare with")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--export", help=argparse.SUPPRESS)  # a folder: export to it alone
    arguments = parser.parse_args()
    if arguments.export:
        export_all(arguments.export)
        return 0
    with tempfile.TemporaryDirectory() as now, tempfile.TemporaryDirectory() as then:
        export_all(now)
        if arguments.before:
            exported_before(arguments.before, then)
        figures = {
            encoder: measured(
                encoder, now, then if arguments.before else None, arguments.items, arguments.rounds
            )
            for encoder in ENCODERS
        }
    rows = [
        [encoder, each["what"], *(f"{ms:.2f}" for ms in each["milliseconds"])]
        + [f"{each['ratio']:.2f}", "{:.2f} to {:.2f}".format(*each["range"])]
        for encoder, comparisons in figures.items()
        for each in comparisons
    ]
    print(table(["encoder", "", "ms", "ms", "ratio", "by round"], rows))
    if arguments.json:
        from benchmarks.report import Figure  # an earlier checkout, which exports, has none
        from benchmarks.report import write as write_report

        write_report(
            arguments.json,
            "top_k",
            [
                Figure(f"{encoder}: {each['what']}", second, first, each["ratio"], "ms")
                for encoder, comparisons in figures.items()
                for each in comparisons
                for first, second in [each["milliseconds"]]
            ],
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
