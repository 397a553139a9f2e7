"""A ranker in a notebook: fit, compress, export, score; the same code as the pipeline's stages."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from ranklite.models.architectures.settings import parse_settings
from ranklite.models.compression.config import STAGES, Recipe
from ranklite.models.compression.sizes import kernel_shapes
from ranklite.models.evaluation.score_calibration import Method
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.training.config import TrainingConfig

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.notebook.prepared import Prepared

_RECIPE: TypeAdapter[Recipe] = TypeAdapter(Recipe)
FLOAT, EXPORTED = "float", "exported"


@dataclasses.dataclass(frozen=True)
class Ranker:
    """A trained model with the data that it was trained on; made by `fit`, changed by nothing.

    Attributes:
      checkpoint: The Keras model, its layout and its settings.
      metrics: `auc`, `log_loss`, `calibration` on the validation table and what else each stage
        measured, by stage: `float`, `pruned`, `quantized`.
      steps: The compression steps that led here.

    Example:
        >>> import pyarrow as pa
        >>> from ranklite import Ranker, Scorer
        >>> clicks = {"user": ["ann", "ben"] * 500, "item": [1, 2, 2, 1] * 250,
        ...           "label": [1, 1, 0, 0] * 250}
        >>> ranker = Ranker.fit(
        ...     pa.table(clicks),
        ...     pa.table(clicks),
        ...     features=[
        ...         {"kind": "categorical", "name": "user"},
        ...         {"kind": "categorical", "name": "item", "dtype": "int64"},
        ...     ],
        ...     model={"embedding_dim": 4, "hidden_units": [8]},
        ...     training={"batch_size": 50, "epochs": 20, "learning_rate": 0.02},
        ... )
        >>> small = ranker.compress([{"technique": "quantize", "epochs": 1}])
        >>> list(small.metrics)
        ['float', 'quantized']
        >>> scores = Scorer(small.export("pushed")).score(
        ...     [{"user": "ann", "item": 1}, {"user": "ann", "item": 2}]
        ... )
        >>> bool(scores[0] > scores[1])
        True
    """

    checkpoint: Checkpoint
    metrics: Mapping[str, Mapping[str, Any]]
    steps: Recipe
    _model: FamilySettings
    _training: TrainingConfig
    _data: Prepared

    @classmethod
    def fit(
        cls,
        train: pa.Table | pd.DataFrame,
        valid: pa.Table | pd.DataFrame,
        *,
        features: Sequence[Mapping[str, Any]] | FeatureSet,
        label: str = "label",
        user: str | None = None,
        item: str | None = None,
        model: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | TrainingConfig | None = None,
        log_dir: str | None = None,
    ) -> Ranker:
        """Preprocesses two tables and trains a float model.

        Args:
          train: A row an example.
          valid: Rows that training is stopped by and models are measured on.
          features: The features, as the YAML file lists them; or a whole FeatureSet, in place of
            `label`, `user` and `item` as well.
          label: Column of 0 and 1.
          user: Feature of the user, where a technique has to know it.
          item: Likewise of the item.
          model: Settings of a model family, as under `model` in the YAML file.
          training: Likewise of the training.
          log_dir: Folder for TensorBoard; None logs nothing.

        Raises:
          ValidationError: A setting is wrong.
          ValueError: The features are not what the model's family needs.
          UnreadableTable: A table does not fit the features.
          TrainingFailed: The loss is not finite, or a table is of no use.
        """
        from ranklite.models.notebook.prepared import Prepared

        if not isinstance(features, FeatureSet):
            given = {"features": list(features), "label": label, "user": user, "item": item}
            features = FeatureSet.model_validate(given)
        settings = parse_settings(dict(model or {}))
        if not isinstance(training, TrainingConfig):
            training = TrainingConfig.model_validate(dict(training or {}))
        if training.warm_start:
            raise ValueError("warm_start starts from a pushed model: that is for `ranklite run`")
        kernel_shapes(settings, features)  # raises where the family needs other features
        data = Prepared.make(train, valid, features)
        checkpoint = data.trained(settings, training, log_dir)
        return cls(checkpoint, {FLOAT: checkpoint.metrics}, (), settings, training, data)

    def compress(self, steps: Sequence[Mapping[str, Any]], log_dir: str | None = None) -> Ranker:
        """A smaller ranker.

        Args:
          steps: Compression steps, as the YAML file lists them; they follow those that were applied
            before.
          log_dir: Folder for TensorBoard; None logs nothing.

        Raises:
          ValidationError: A setting, or the order of the steps, is wrong.
          NotCompressible: A step does not fit the model; nothing was trained.
          PostConditionFailed: A result is not what was asked for.
        """
        from ranklite.models.compression.recipe import apply, check_recipe
        from ranklite.models.compression.technique import Setting
        from ranklite.models.compression.techniques import technique

        before = [step.model_dump() for step in self.steps]
        recipe = _RECIPE.validate_python((*before, *steps))
        check_recipe(recipe, self._model, self._data.features)
        checkpoint, metrics = self.checkpoint, dict(self.metrics)
        for step in recipe[len(self.steps) :]:
            chosen = technique(step)
            teachers = [
                self._data.trained(
                    sizes, self._training.model_copy(update={"seed": self._training.seed + 1 + k})
                )
                for k, sizes in enumerate(chosen.teachers(self._model))
            ]
            setting = Setting(
                self._data.features, self._data.splits, self._training, teachers, control=False
            )
            checkpoint = apply(chosen, checkpoint, setting, log_dir).model
            metrics[STAGES[step.technique]] = checkpoint.metrics
        return dataclasses.replace(self, checkpoint=checkpoint, metrics=metrics, steps=recipe)

    def predict(self, table: pa.Table | pd.DataFrame) -> npt.NDArray[np.float32]:
        """Probabilities of a positive [R] by the Keras model, in the order of the table.

        What `export` writes is calibrated as well: its scores have the same order.

        Args:
          table: R rows; the label may be absent.

        Raises:
          UnreadableTable: The table does not fit the features.
        """
        return self._data.predict(self.checkpoint, table)

    def export(
        self,
        folder: str,
        target: str = "tflite",
        keep: int | None = None,
        calibration: Method = "auto",
    ) -> str:
        """Writes the file that ships as a new version in a folder, as the Pusher does.

        The file is run before it is written, and measured on the validation table through its raw
        signature. No gate judges it.

        Args:
          folder: Of the versions; made if needed.
          target: Name of the export target.
          keep: Newest versions to keep; None keeps all.
          calibration: How scores become probabilities, learned on the validation table: `auto`,
            `none`, `platt` or `isotonic`.

        Returns:
          Folder of the version: `model.tflite`, `model.json`, clients. `Scorer` takes it.

        Raises:
          UnknownEntry: There is no such target.
          NotExportable: The target has no way to compute the model.
          UnreadableModel: The runtime that ships cannot run the file.
        """
        from ranklite.models.export import export_target
        from ranklite.models.serving import for_apps
        from ranklite.models.serving.metadata import describe
        from ranklite.models.serving.versions import write_version
        from ranklite.models.training.calibrated import calibrated

        chosen = export_target(target)
        ending = calibrated(self.checkpoint, self._data.splits.eval, calibration)
        raw = self._data.raw_features(ending)
        content = chosen.export(ending, raw)
        loaded = chosen.load(content)
        loaded.try_out()
        metrics = {**self.metrics, EXPORTED: self._data.measured(loaded)}
        config = {
            **self._data.features.model_dump(mode="json"),
            "model": self._model.model_dump(mode="json"),
            "training": self._training.model_dump(mode="json"),
            "compression": [step.model_dump(mode="json") for step in self.steps],
        }
        document = describe(
            chosen,
            loaded,
            self._data.features.raw_columns,
            self.checkpoint.layout.to_dict(),
            {"split": "eval", **metrics},
            [],
            config,
            score_calibration=ending.calibration.to_dict(),
        )
        files = for_apps.files(chosen, loaded, document, json.dumps(raw.to_dict()).encode())
        return write_version(
            folder, {chosen.file: content}, {"model": document}, keep=keep, files=files
        )
