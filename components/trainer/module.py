"""The training function that TFX's Trainer finds by its dotted name."""

from __future__ import annotations

import glob
from typing import Any

from models import training
from models.checkpoint import Checkpoint
from models.config import DeepFMConfig, FeatureSet, TrainingConfig
from models.preprocessing import layout_from_transform


def run_fn(fn_args: Any) -> None:
    """Trains a DeepFM and writes its checkpoint.

    Args:
      fn_args: TFX's FnArgs: `train_files`, `eval_files` (globs), `transform_output`,
        `serving_model_dir`, `model_run_dir`, and `custom_config` with JSON of a FeatureSet
        (`features`), a DeepFMConfig (`model`) and a TrainingConfig (`training`).
    """
    config = fn_args.custom_config
    features = FeatureSet.model_validate_json(config["features"])
    model_config = DeepFMConfig.model_validate_json(config["model"])
    settings = TrainingConfig.model_validate_json(config["training"])
    layout = layout_from_transform(fn_args.transform_output, features)
    model = training.build(layout, model_config, settings)
    metrics = training.fit(
        model,
        layout,
        _files(fn_args.train_files),
        _files(fn_args.eval_files),
        settings,
        log_dir=fn_args.model_run_dir,
    )
    if settings.precision != "float32" or settings.strategy != "none":
        model = training.as_float32(model, layout, model_config)
    Checkpoint(model, layout, model_config, metrics).save(fn_args.serving_model_dir)


def _files(patterns: list[str]) -> list[str]:
    return sorted(path for pattern in patterns for path in glob.glob(pattern))
