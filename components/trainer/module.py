"""The training function that TFX's Trainer finds by its dotted name."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from typing import Any, TypeVar

from models import training
from models.checkpoint import Checkpoint
from models.config import DeepFMConfig, FeatureSet, Strict, TrainingConfig
from models.preprocessing import layout_from_transform

ConfigT = TypeVar("ConfigT", bound=Strict)


def run_fn(fn_args: Any) -> None:
    """Trains a DeepFM and writes its checkpoint.

    Args:
      fn_args: TFX's FnArgs, of which are read
        `train_files`, `eval_files`: patterns of the files of each split;
        `transform_output`: folder of the transform graph;
        `custom_config`: JSON of a FeatureSet (`features`), a DeepFMConfig (`model`) and a
        TrainingConfig (`training`);
        `serving_model_dir`: folder that receives the checkpoint, in plain float32;
        `model_run_dir`: folder that receives TensorBoard's logs.

    Raises:
      ValueError: `custom_config` lacks a key, or a pattern matches no file.
    """
    features = _config(fn_args, "features", FeatureSet)
    config = _config(fn_args, "model", DeepFMConfig)
    settings = _config(fn_args, "training", TrainingConfig)
    train, evaluation = _files(fn_args, "train_files"), _files(fn_args, "eval_files")
    layout = layout_from_transform(fn_args.transform_output, features)
    model = training.build(layout, config, settings)
    metrics = training.fit(
        model, layout, train, evaluation, settings, log_dir=fn_args.model_run_dir
    )
    if not training.is_chief(model):
        return
    if settings.precision != "float32" or settings.strategy != "none":
        model = training.as_float32(model, layout, config)
        metrics |= training.evaluate(model, layout, evaluation)
    Checkpoint(model, layout, config, metrics).save(fn_args.serving_model_dir)


def _config(fn_args: Any, key: str, kind: type[ConfigT]) -> ConfigT:
    given = fn_args.custom_config or {}
    if key not in given:
        raise ValueError(
            f"custom_config of the Trainer has no {key!r} (it has {sorted(given)}): give it "
            f"{kind.__name__}.model_dump_json()"
        )
    return kind.model_validate_json(given[key])


def _files(fn_args: Any, name: str) -> Sequence[str]:
    patterns = getattr(fn_args, name)
    files = sorted(path for pattern in patterns for path in glob.glob(pattern))
    if not files:
        raise ValueError(f"the Trainer's {name} match no file: {patterns}")
    return files
