"""Hooks for TFX's Evaluator: TFMA scores exported files in the runtime that ships them.

TFMA's own extractor knows a TFLite file only, runs TensorFlow's interpreter without its delegates,
reads the default signature, and puts -1 where it does not find a feature. This one takes the
runtime of the file's export target (see `ranklite.components.model_file`) and the signature that
the model specification names. `serving_raw` reads raw Examples, which makes models comparable whose
vocabularies differ: tonight's and the one pushed last.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

from ranklite.components import model_file
from ranklite.components.evaluator.slicing import SliceBatches
from ranklite.models.export.target import SERVING_RAW, LoadedModel
from ranklite.models.features.examples import raw_inputs
from ranklite.models.features.layout import IDS, NUMERIC

_LEFT_OUT = (
    # It looks for preprocessing in a model, and loads the file in TensorFlow to do so.
    "ExtractTransformedFeatures",
    # These take batches apart.
    "ExtractUnbatchedInputs",
    tfma.extractors.SLICE_KEY_EXTRACTOR_STAGE_NAME,
)
_DTYPES = {IDS: np.int64, NUMERIC: np.float32}


class Predict(beam.DoFn):
    """Adds the scores of one or two files to TFMA's batched extracts.

    Args:
      folders: Where the file of each model lies, by the model's name.
      signatures: The signature that scores, by model name.
    """

    def __init__(self, folders: dict[str, str], signatures: dict[str, str]) -> None:
        self._folders, self._signatures = folders, signatures
        self._models: dict[str, LoadedModel] = {}

    def setup(self) -> None:
        """Loads the files once a worker."""
        self._models = {name: model_file.load_in(path) for name, path in self._folders.items()}

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Scores a batch."""
        result = copy.copy(extracts)
        scores, raw = {}, {}
        for name, model in self._models.items():
            signature = self._signatures[name]
            if signature == SERVING_RAW:
                columns = model_file.raw_columns(model)
                if columns not in raw:  # mostly those of the other file
                    raw[columns] = raw_inputs(extracts[tfma.INPUT_KEY], columns)
                inputs = raw[columns]
            else:
                inputs = inputs_of(extracts[tfma.FEATURES_KEY], model.inputs(signature))
            scores[name] = model.score(inputs, signature)[:, None].astype(np.float64)
        single = len(scores) == 1
        result[tfma.PREDICTIONS_KEY] = next(iter(scores.values())) if single else scores
        yield result


def inputs_of(features: Mapping[str, Any], names: Iterable[str]) -> dict[str, np.ndarray[Any, Any]]:
    """What `serving_default` takes, from the features of a batch.

    Raises:
      KeyError: The examples lack an input: a wrong default would go unnoticed.
    """
    for name in names:
        if name not in features:
            raise KeyError(f"the examples have no {name!r}, only {sorted(features)}")
    return {name: np.asarray(features[name], _DTYPES[name]) for name in names}


def slice_extractor(eval_config: tfma.EvalConfig) -> tfma.extractors.Extractor:
    """The stage that stands where TFMA's evaluator expects its own slicer."""
    return tfma.extractors.Extractor(
        stage_name=tfma.extractors.SLICE_KEY_EXTRACTOR_STAGE_NAME,
        ptransform=beam.ParDo(SliceBatches(eval_config.slicing_specs)),
    )


def custom_extractors(
    eval_shared_model: Any, eval_config: tfma.EvalConfig, tensor_adapter_config: Any
) -> list[Any]:
    """TFMA's default extractors with ours in the place of its prediction. Called by TFX."""
    shared = eval_shared_model if isinstance(eval_shared_model, list) else [eval_shared_model]
    names = [spec.name if len(shared) > 1 else "" for spec in eval_config.model_specs]
    predict = tfma.extractors.Extractor(
        stage_name="ExtractRuntimePredictions",
        ptransform=beam.ParDo(
            Predict(
                {name: model.model_path for name, model in zip(names, shared, strict=True)},
                {
                    name: spec.signature_name
                    for name, spec in zip(names, eval_config.model_specs, strict=True)
                },
            )
        ),
    )
    extractors = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
        custom_predict_extractor=predict,
    )
    return [
        *(stage for stage in extractors if stage.stage_name not in _LEFT_OUT),
        slice_extractor(eval_config),
    ]
