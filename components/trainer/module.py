"""The training function that TFX's Trainer finds by its dotted name."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import logging
import os
import pathlib
import types
from collections.abc import Sequence
from typing import Any, TypeVar

import tf_keras as keras

from ranklite.components import run_logs, unfinished
from ranklite.components.trainer import expected, hyperparameters, workers
from ranklite.models.architectures.checkpoint import MODEL_FILE, Checkpoint
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.config import Strict
from ranklite.models.features import tfrecords
from ranklite.models.features.constants import layout_from_transform, read_constants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import fit as training
from ranklite.models.training import float_model, warm_start
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.tuning_config import merged, sections

_READ = (  # of TFX's FnArgs
    "train_files",
    "eval_files",
    "transform_output",
    "custom_config",
    "hyperparameters",
    "base_model",
    "serving_model_dir",
    "model_run_dir",
)

_log = logging.getLogger(__name__)

ConfigT = TypeVar("ConfigT", bound=Strict)


def run_fn(fn_args: Any) -> None:
    """Trains a model and writes its checkpoint.

    A training that was killed resumes from the last epoch that it kept. Where the training asks for
    workers and nobody started them, they are started here.

    Args:
      fn_args: TFX's FnArgs, of which are read
        `train_files`, `eval_files`: patterns of the files of each split;
        `transform_output`: folder of the transform graph;
        `custom_config`: JSON of a FeatureSet (`features`), the settings of a model family
        (`model`) and a
        TrainingConfig (`training`);
        `hyperparameters`: what a search chose, in place of some of these settings;
        `base_model`: folder of the checkpoint to start from, where `warm_start` asks for one;
        `serving_model_dir`: folder that receives the checkpoint, in plain float32;
        `model_run_dir`: folder that receives TensorBoard's logs.

    Raises:
      ValueError: `custom_config` lacks a key, or a pattern matches no file.
      FileTooLarge: No file could hold the model.
    """
    count = _config(fn_args, "training", TrainingConfig).workers
    if count > 1 and workers.CLUSTER not in os.environ:
        read = {name: getattr(fn_args, name, None) for name in _READ}  # others cannot be pickled
        workers.together(f"{__name__}:run_fn", types.SimpleNamespace(**read), count)
        return
    with unfinished.resumed(fn_args.model_run_dir, _digest(fn_args)):
        _train(fn_args)


def _digest(fn_args: Any) -> str:
    """Of all that the weights follow from."""
    files = [_files(fn_args, name) for name in ("train_files", "eval_files")]
    given = [fn_args.custom_config, fn_args.hyperparameters, fn_args.transform_output]
    base = getattr(fn_args, "base_model", None)
    told = [*map(unfinished.files_digest, files), *given, base]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _train(fn_args: Any) -> None:
    features = _config(fn_args, "features", FeatureSet)
    config = parse_settings(json.loads(_given(fn_args, "model")))
    settings = _config(fn_args, "training", TrainingConfig)
    tuned = hyperparameters.values(fn_args.hyperparameters)
    config, settings = merged(config, settings, tuned)
    training.strategy(settings.strategy)  # connects the workers, before the graph is read
    train, evaluation = _files(fn_args, "train_files"), _files(fn_args, "eval_files")
    layout = layout_from_transform(fn_args.transform_output, features)
    expected.tell(layout, config)
    model = training.build(layout, config, settings)
    started: dict[str, Any] = {}
    if settings.warm_start:
        vocabularies = read_constants(fn_args.transform_output, features).vocabularies
        started = _warm_start(model, layout, config, vocabularies, fn_args.base_model)
    with run_logs.kept(fn_args.model_run_dir):
        metrics = training.fit(
            model, layout, train, evaluation, settings, log_dir=fn_args.model_run_dir
        )
    if not training.is_chief(model):
        return
    made = float_model.plain(model, layout, config, settings, evaluation, metrics)
    chosen = {"tuned": sections(tuned)} if tuned else {}
    checkpoint = dataclasses.replace(made, metrics={**made.metrics, **started, **chosen})
    checkpoint.save(fn_args.serving_model_dir)
    if settings.warm_start:
        warm_start.save_vocabularies(vocabularies, fn_args.serving_model_dir)


def _warm_start(
    model: keras.Model,
    layout: FeatureLayout,
    config: FamilySettings,
    vocabularies: warm_start.Vocabularies,
    base_model: str | None,
) -> dict[str, Any]:
    """Copies the weights of the model pushed last, if there is one that fits; says which it was."""
    if base_model is None:
        _log.info("no model was pushed before: training starts from scratch")
        return {"warm_started": 0.0}
    try:
        known = warm_start.warm_start(
            model,
            layout,
            config,
            vocabularies,
            Checkpoint.load(base_model),
            warm_start.load_vocabularies(base_model),
        )
    except warm_start.NotWarm as reason:
        _log.warning("training starts from scratch, not from %s: %s", base_model, reason)
        return {"warm_started": 0.0}
    _log.info("training starts from %s, which knows %d of the values", base_model, known)
    folder = pathlib.Path(base_model)
    parent = {
        "folder": "/".join(folder.parts[-4:-1]),  # such as `Trainer/model/7`
        "sha256": hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest(),
    }
    return {"warm_started": 1.0, "known_values": float(known), "parent": parent}


def _config(fn_args: Any, key: str, kind: type[ConfigT]) -> ConfigT:
    return kind.model_validate_json(_given(fn_args, key, kind.__name__))


def _given(fn_args: Any, key: str, kind: str = "the model's settings") -> str:
    given = fn_args.custom_config or {}
    if key not in given:
        raise ValueError(
            f"custom_config of the Trainer has no {key!r} (it has {sorted(given)}): give it "
            f"{kind}.model_dump_json()"
        )
    return str(given[key])


def _files(fn_args: Any, name: str) -> Sequence[str]:
    patterns = getattr(fn_args, name)
    files = tfrecords.in_order([path for pattern in patterns for path in glob.glob(pattern)])
    if not files:
        raise ValueError(f"the Trainer's {name} match no file: {patterns}")
    return files
