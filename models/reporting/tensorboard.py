"""What TensorBoard shows of a run as a whole: text, curves, and its line among the HParams."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.pr_curve import summary as precision_recall

from ranklite.models.compression.search.hparams import (
    FIGURES_TAG,
    NAMED_BY_RUN,
    HParams,
    run_settings,
)
from ranklite.models.evaluation.scored_rows import ScoredRows
from ranklite.models.reporting.facts import Scalars
from ranklite.models.reporting.gate_words import HEAD, verdict_cells
from ranklite.models.reporting.metric_names import ACCURACY, OF_TRIALS

_SETTINGS = ("model", "training")
SUMMARY = "summary"  # of TensorBoard's runs, the one with the figures


def scalars(folder: str) -> Scalars:
    """Curves in the logs of a training, by `<sub-folder>/<tag>`.

    Args:
      folder: TensorBoard's logs of one stage.

    Returns:
      (step, value) in order; empty where nothing was logged.
    """
    curves: Scalars = {}
    for path, _, files in sorted(os.walk(folder)):
        if not any("tfevents" in name for name in files):
            continue
        events = EventAccumulator(path, size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        part = os.path.relpath(path, folder)
        for tag in events.Tags()["scalars"]:
            curves[f"{part}/{tag}"] = [(e.step, e.value) for e in events.Scalars(tag)]
        for tag in events.Tags()["tensors"]:
            values = [(e.step, tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
            if all(
                value.ndim == 0 and np.issubdtype(value.dtype, np.number) for _, value in values
            ):
                curves[f"{part}/{tag}"] = [(step, float(value)) for step, value in values]
    return curves


def settings(config: dict[str, Any]) -> HParams:
    """What a run was configured to do, as flat HParams."""
    sections = {section: config.get(section) or {} for section in _SETTINGS}
    return {"recipe": _recipe(config), **run_settings(sections)}


def _recipe(config: dict[str, Any]) -> str:
    steps = config["compression"]
    return " + ".join(s["technique"] for s in steps) if isinstance(steps, list) else "search"


def write(report: dict[str, Any], config: dict[str, Any], rows: ScoredRows, folder: str) -> None:
    """Writes the summary of a run.

    Args:
      report: `report.json` of FileValidator.
      config: The run's configuration.
      rows: The scores that were judged.
      folder: Receives TensorBoard's logs.
    """
    figures = report["stages"]["shipped"]
    with _writer(folder, SUMMARY) as writer, writer.as_default(step=0):
        hparams.hparams(settings(config), trial_id=NAMED_BY_RUN)
        for metric in OF_TRIALS:
            if metric.name in figures:
                tf.summary.scalar(f"{FIGURES_TAG}/{metric.name}", figures[metric.name])
        tf.summary.text("run", summary(report, config))
    for name, measured in report.get("baselines", {}).items():
        with _writer(folder, f"baseline {name}") as writer, writer.as_default(step=0):
            for metric in ACCURACY:
                if metric.name in measured:
                    tf.summary.scalar(f"{FIGURES_TAG}/{metric.name}", measured[metric.name])
    # Apart from the figures: HParams takes every scalar beside it for a figure of the run.
    for stage in ("float", "shipped"):
        with _writer(folder, stage) as writer, writer.as_default(step=0):
            labels, scores = rows.labels.astype(bool), rows.scores[stage]
            counted = precision_recall.pb("precision_recall", labels, scores)
            tf.summary.experimental.write_raw_pb(counted.SerializeToString())
            for key in ("roc", "calibration"):
                curve = report["evidence"][key][stage]
                for x, y in zip(curve["x"], curve["y"], strict=True):
                    tf.summary.scalar(f"{key}_percent", y, step=round(100 * x))


def _writer(folder: str, part: str) -> contextlib.closing[Any]:
    return contextlib.closing(tf.summary.create_file_writer(os.path.join(folder, part)))


def summary(report: dict[str, Any], config: dict[str, Any]) -> str:
    """Configuration and gates in Markdown, for TensorBoard's text tab."""
    gates = "\n".join(f"| {' | '.join(verdict_cells(v))} |" for v in report["verdicts"])
    indented = "\n".join(f"    {line}" for line in json.dumps(config, indent=2).splitlines())
    head = f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|"
    return f"{head}\n{gates}\n\n{indented}"
