"""The Keras model that one stage hands to the next: a folder with `model.h5` and `checkpoint.json`.

HDF5 is the one full-model format that a quantization-aware tfmot model survives in a form that can
be loaded and trained further (`.keras` saves but does not load with tfmot 0.8.1). The JSON holds
the layout and the hyperparameters, so that a stage can rebuild the model in another form.
"""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from ranklite.models.architectures import family, safe_model
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.architectures.parts import Parts
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.architectures.spec import read_spec
from ranklite.models.compression.techniques import TECHNIQUES
from ranklite.models.config import SPEC_FILE, Format
from ranklite.models.evaluation.score_calibration import UNCALIBRATED, ScoreCalibration
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers import (  # noqa: F401  registers what a saved model names
    pooling,
    quantizers,
    row_quantization,
    sequences,
    table_rows,
)
from ranklite.models.layers.tables import WRAPPED_LAYERS
from ranklite.models.training import runtime
from ranklite.models.training.config import TrainingConfig

MODEL_FILE = "model.h5"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A trained model with all that is needed to continue from it.

    Attributes:
      model: From {`ids`, `numeric`} to the logit [B, 1].
      layout: Where the features live in its inputs.
      config: Its family and hyperparameters; `batch_norm` is False once it was folded.
      metrics: Figures that the stage measured, by name.
      format: How the exported file stores the weights.
      techniques: Names of the compression techniques that made it, in order.
      calibration: What the exported file does to its logits.
      training: How the float model was trained, which is how it is trained on; None where whoever
        made it did not say.
    """

    model: keras.Model
    layout: FeatureLayout
    config: FamilySettings
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict)
    format: Format = "float32"
    techniques: tuple[str, ...] = ()
    calibration: ScoreCalibration = UNCALIBRATED
    training: TrainingConfig | None = None

    @property
    def parts(self) -> Parts:
        """What the model is made of."""
        return family.parts(self.layout, self.config)

    def rebuilt(self, **changes: Any) -> Checkpoint:
        """This with a new model, its weights drawn now.

        Args:
          **changes: Settings that the new model has instead, such as `hidden_units` or `table`.
        """
        config = self.config.model_copy(update=changes)
        return dataclasses.replace(self, model=family.build(self.layout, config), config=config)

    def save(self, folder: str) -> None:
        """Writes the checkpoint into a folder, which is made if needed."""
        os.makedirs(folder, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "HDF5 is legacy": see the module's text
            self.model.save(os.path.join(folder, MODEL_FILE), include_optimizer=False)
        spec = {
            "layout": self.layout.to_dict(),
            "config": self.config.model_dump(mode="json"),
            "metrics": self.metrics,
            "format": self.format,
            "techniques": list(self.techniques),
            "calibration": self.calibration.to_dict(),
            "training": self.training and self.training.model_dump(mode="json"),
        }
        with open(os.path.join(folder, SPEC_FILE), "w", encoding="utf-8") as file:
            json.dump(spec, file, indent=2, sort_keys=True)

    @classmethod
    def load(cls, folder: str) -> Checkpoint:
        """Reads what `save` wrote, now or before there were families.

        Raises:
          FileNotFoundError: The folder holds no checkpoint.
          UnknownEntry: Its family, or a compression technique that made it, is not registered here.
          UnsafeModel: The model holds what could run code.
        """
        runtime.configure()
        spec = read_spec(folder)
        config = parse_settings(spec["config"])
        techniques = tuple(spec.get("techniques", ()))
        layers = {**WRAPPED_LAYERS, **family.family(config).layers()}
        for name in techniques:
            layers |= TECHNIQUES.get(name).custom_objects()
        path = os.path.join(folder, MODEL_FILE)
        safe_model.check(path, layers)
        with tfmot.quantization.keras.quantize_scope(layers):
            model = keras.models.load_model(path, compile=False)
        return cls(
            model,
            FeatureLayout.from_dict(spec["layout"]),
            config,
            spec["metrics"],
            spec["format"],
            techniques,
            ScoreCalibration.from_dict(spec.get("calibration")),
            TrainingConfig.model_validate(training) if (training := spec.get("training")) else None,
        )
