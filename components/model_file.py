"""The exported file of a Model artifact: it lies in a folder of its own, named after its target.

For TFLite that is the name under which TFMA looks for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from tfx.types import artifact_utils
from tfx.utils import path_utils

from ranklite.models.evaluation.score_calibration import ScoreCalibration
from ranklite.models.export import export_target
from ranklite.models.export.target import SERVING_RAW, LoadedModel, Target
from ranklite.models.features.examples import raw_inputs
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.serving.versions import PREPROCESSING_FILE

FALSE_MATCHES = "false_matches"  # custom property: `RawFeatures.false_matches`, the most
_CALIBRATION = "score_calibration"


def folder(models: list[Any]) -> str:
    """The folder of the file of a Model artifact."""
    result: str = path_utils.serving_model_dir(artifact_utils.get_single_uri(models))
    return result


def target_in(folder: str) -> Target:
    """The export target of the file in a folder.

    Raises:
      FileNotFoundError: There is no file, or more than one.
      UnknownEntry: Its target is not registered here.
    """
    names = os.listdir(folder) if os.path.isdir(folder) else []
    if len(names) != 1:
        raise FileNotFoundError(f"{folder} holds {sorted(names) or 'nothing'}, not one model file")
    return export_target(names[0])


def load_in(folder: str) -> LoadedModel:
    """The file in a folder, loaded in the runtime that ships it.

    Raises:
      UnreadableModel: The runtime refuses it.
    """
    result = target_in(folder)
    return result.read(os.path.join(folder, result.name))


def load(models: list[Any]) -> LoadedModel:
    """The file of a Model artifact, as `load_in` reads it."""
    return load_in(folder(models))


def raw_columns(model: LoadedModel) -> tuple[RawColumn, ...]:
    """The raw columns that a file itself describes: an older model has its own."""
    logged = model.encoder.dtypes if model.encoder else {}
    return tuple(
        RawColumn.of_input(name, detail["shape"], logged.get(name, detail["dtype"]))
        for name, detail in model.inputs(SERVING_RAW).items()
    )


def raw_rows(records: Sequence[bytes], model: LoadedModel) -> dict[str, np.ndarray[Any, Any]]:
    """Raw inputs of Examples, as `raw_columns` describes them."""
    return raw_inputs(records, raw_columns(model))


def write(models: list[Any], target: Target, content: bytes) -> None:
    """Writes the file of a Model artifact."""
    where = folder(models)
    os.makedirs(where, exist_ok=True)
    with open(os.path.join(where, target.name), "wb") as file:
        file.write(content)


def note_preprocessing(artifact: Any, raw: RawFeatures) -> None:
    """Keeps what the raw signature of a file does, as data, and how often it takes a value for
    another.
    """
    worst = max(raw.false_matches.values(), default=0.0)
    artifact.set_float_custom_property(FALSE_MATCHES, worst)
    os.makedirs(artifact.uri, exist_ok=True)
    with open(os.path.join(artifact.uri, PREPROCESSING_FILE), "w", encoding="utf-8") as file:
        json.dump(raw.to_dict(), file)


def preprocessing(models: list[Any]) -> bytes:
    """What `note_preprocessing` wrote of the file of a Model artifact, as JSON."""
    uri = artifact_utils.get_single_uri(models)
    with open(os.path.join(uri, PREPROCESSING_FILE), "rb") as file:
        return file.read()


def note_calibration(artifact: Any, calibration: ScoreCalibration) -> None:
    """Keeps what a file does to the logits of its checkpoint on its Model artifact."""
    artifact.set_string_custom_property(_CALIBRATION, json.dumps(calibration.to_dict()))


def calibration(models: list[Any]) -> ScoreCalibration:
    """What the file of a Model artifact does to the logits of its checkpoint."""
    (artifact,) = models
    noted = artifact.get_string_custom_property(_CALIBRATION)
    return ScoreCalibration.from_dict(json.loads(noted) if noted else None)
