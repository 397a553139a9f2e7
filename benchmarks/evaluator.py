"""TFMA's own metrics, called once a row, against ours on whole batches, and numpy without TFMA.

    python -m benchmarks.evaluator [--rows 10000] [--more 200000]

Prints a table: seconds of the processor for an evaluation of two models by three columns of slices,
without reading and scoring: of `--rows` rows for TFMA's own metrics, of `--more` for the others.
`us a row` leaves out what the first thousand rows take, which is what any pipeline of Beam costs.
The largest difference is from TFMA's own figures, on `--rows` rows. Rows are whole thousands.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

from benchmarks.report import Figure, write
from ranklite.components.evaluator.eval_config import BASELINE, CANDIDATE, eval_config
from ranklite.components.evaluator.module import slice_extractor
from ranklite.models.evaluation.metrics import binary_metrics
from ranklite.models.reporting.tables import table

BATCH = 1000  # rows, as TFX reads them
HUNDRED_THOUSAND = 100_000
SLICES = {"slice_user": 2, "slice_popularity": 4, "slice_device": 3}  # values by column
NAMES = {"auc": "auc", "log_loss": "binary_crossentropy", "calibration": "calibration"}
Figures = dict[tuple[Any, ...], float]


def scored(number: int) -> dict[str, Any]:
    """TFMA's extracts of a batch of random rows, seeded, as they are when they have scores."""
    rng = np.random.default_rng(number)
    labels = (rng.random((BATCH, 1)) < 0.2).astype(np.float32)
    features = {
        name: np.array([b"v%d" % v for v in rng.integers(0, values, BATCH)], object)[:, None]
        for name, values in SLICES.items()
    }
    scores = {name: rng.beta(1 + labels, 4) for name in (CANDIDATE, BASELINE)}
    return {
        tfma.INPUT_KEY: np.array([b""] * BATCH, object),
        tfma.FEATURES_KEY: features,
        tfma.LABELS_KEY: dict.fromkeys(scores, labels),
        tfma.PREDICTIONS_KEY: scores,
    }


def own_metrics(config: tfma.EvalConfig) -> tfma.EvalConfig:
    """The same with TFMA's metrics."""
    result = tfma.EvalConfig()
    result.CopyFrom(config)
    for metric in result.metrics_specs[0].metrics:
        metric.class_name, metric.module = metric.class_name.removeprefix("Batched"), ""
        if metric.class_name == "AUC":
            metric.config = '{"num_thresholds": 1000}'
    return result


def evaluate(batches: int, *, own: bool) -> Figures:
    """Figures by slice, model and name, from what TFMA wrote."""
    config = eval_config(label="label", signature="serving_default", slices=list(SLICES))
    extractors = [slice_extractor(config)]
    if own:
        config = own_metrics(config)
        slicer = tfma.extractors.SliceKeyExtractor(eval_config=config, materialize=False)
        extractors = [tfma.extractors.UnbatchExtractor(), slicer]
    config = tfma.utils.update_eval_config_with_defaults(config, has_baseline=True)
    with tempfile.TemporaryDirectory() as name:
        out = str(pathlib.Path(name) / "evaluation")
        with beam.Pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create(range(batches))
                | beam.Map(scored)
                | tfma.ExtractAndEvaluate(extractors, tfma.default_evaluators(eval_config=config))
                | tfma.WriteResults(tfma.default_writers(out, eval_config=config))
            )
        return {
            (*((k.column, k.bytes_value) for k in one.slice_key.single_slice_keys), *model): value
            for one in tfma.load_metrics(out)
            for item in one.metric_keys_and_values
            if not item.key.is_diff
            for model in [(item.key.model_name, item.key.name)]
            for value in [item.value.double_value.value]
        }


def numpy_alone(number: int) -> Figures:
    """The same figures, the AUC exact, of arrays that are cut by slice."""
    batches = [scored(k) for k in range(number)]
    joined = {
        name: np.concatenate([batch[tfma.FEATURES_KEY][name][:, 0] for batch in batches])
        for name in SLICES
    }
    figures: Figures = {}
    for model in (CANDIDATE, BASELINE):
        labels, scores = (
            np.concatenate([batch[key][model][:, 0] for batch in batches])
            for key in (tfma.LABELS_KEY, tfma.PREDICTIONS_KEY)
        )
        masks: dict[tuple[Any, ...], Any] = {(): slice(None)}
        for name, values in joined.items():
            masks |= {((name, value),): values == value for value in set(values)}
        for key, mask in masks.items():
            found = binary_metrics(labels[mask], scores[mask])
            figures |= {(*key, model, NAMES[name]): value for name, value in found.items()}
            counted = (*key, model, "example_count")
            figures[counted] = labels[mask].size
    return figures


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--more", type=int, default=200_000, help="rows for all but TFMA's metrics")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args()
    ways: dict[str, tuple[Callable[[int], Figures], int]] = {
        "TFMA, its own metrics": (lambda batches: evaluate(batches, own=True), arguments.rows),
        "TFMA, whole batches": (lambda batches: evaluate(batches, own=False), arguments.more),
        "numpy, no TFMA": (numpy_alone, arguments.more),
    }
    evaluate(1, own=False)  # imports and first calls
    expected: Figures = {}
    slowest = 0.0
    rows, measured = [], {}
    for name, (way, number) in ways.items():
        figures = way(arguments.rows // BATCH)
        expected = expected or figures
        apart = max(abs(figures[key] - value) for key, value in expected.items())
        times = []
        for batches in (1, number // BATCH):
            start = time.process_time()
            way(batches)
            times.append(time.process_time() - start)
        per_row = (times[1] - times[0]) / (number - BATCH)
        slowest = slowest or per_row
        measured[name] = (times[0] + per_row * (HUNDRED_THOUSAND - BATCH), per_row)
        seconds = [f"{times[0]:.2f}", f"{number:,}", f"{times[1]:.2f}", f"{1e6 * per_row:.1f}"]
        rows.append([name, *seconds, f"{slowest / per_row:.0f}", f"{apart:.0e}"])
    head = ["1,000 rows, s", "rows", "s", "us a row", "times as fast", "largest difference"]
    print(table(["", *head], rows))
    if arguments.json:
        (own, own_row), (ours, ours_row), _ = measured.values()
        hundred = "100,000 rows, two models, without reading and scoring, against TFMA's own"
        write(
            arguments.json,
            "evaluator",
            [
                Figure(hundred, ours, own, own / ours, "s", "<= 5 s"),
                Figure("a row", 1e6 * ours_row, 1e6 * own_row, own_row / ours_row, "us"),
            ],
        )


if __name__ == "__main__":
    main()
