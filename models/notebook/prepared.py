"""Two tables once Transform has seen them: files to train on, and what was learned."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.evaluation.metrics import binary_metrics
from ranklite.models.export.target import SERVING_RAW, LoadedModel
from ranklite.models.features import arrow
from ranklite.models.features.constants import (
    PreprocessingConstants,
    layout_from_transform,
    read_constants,
)
from ranklite.models.features.examples import raw_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.notebook import preprocess
from ranklite.models.notebook.table import raw_batches
from ranklite.models.training import fit, float_model
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A train and a validation table after Transform, in a temporary folder.

    Attributes:
      features: What they hold.
      layout: Where the features live in the model's inputs.
      constants: What was learned from the train table.
      splits: Files of transformed Examples.
      graph: Folder of the transform graph.
      valid: The raw columns of the validation table.
      folder: The temporary folder; it goes with the last object that refers to it.
    """

    features: FeatureSet
    layout: FeatureLayout
    constants: PreprocessingConstants
    splits: Splits
    graph: str
    valid: list[pa.RecordBatch]
    folder: tempfile.TemporaryDirectory[str]

    @classmethod
    def make(
        cls,
        train: pa.Table | pd.DataFrame,
        valid: pa.Table | pd.DataFrame,
        features: FeatureSet,
    ) -> Prepared:
        """Reads both tables, learns from the first one and transforms both.

        Raises:
          UnreadableTable: A table does not fit the features.
        """
        batches = {"train": raw_batches(train, features), "eval": raw_batches(valid, features)}
        folder = tempfile.TemporaryDirectory(prefix="ranklite-")
        graph = preprocess.learn(batches["train"], features, folder.name)
        files = {
            split: [preprocess.apply(graph, rows, os.path.join(folder.name, f"{split}.gz"))]
            for split, rows in batches.items()
        }
        return cls(
            features,
            layout_from_transform(graph, features),
            read_constants(graph, features),
            Splits(**files),
            graph,
            batches["eval"],
            folder,
        )

    def trained(
        self, settings: FamilySettings, training: TrainingConfig, log_dir: str | None = None
    ) -> Checkpoint:
        """A float model, as the Trainer makes it."""
        return float_model.trained(self.layout, settings, training, self.splits, log_dir)

    def predict(
        self, checkpoint: Checkpoint, table: pa.Table | pd.DataFrame
    ) -> npt.NDArray[np.float32]:
        """Probabilities [R] of the rows of a table, by the Keras model."""
        batches = raw_batches(table, self.features, labelled=False)
        with tempfile.TemporaryDirectory(dir=self.folder.name) as folder:
            file = preprocess.apply(self.graph, batches, os.path.join(folder, "rows.gz"))
            scores, _ = fit.predict(checkpoint.model, checkpoint.layout, [file])
        return scores

    def raw_features(self, checkpoint: Checkpoint) -> RawFeatures:
        """The preprocessing inside of an exported file."""
        return RawFeatures(self.features, self.constants, checkpoint.layout)

    def measured(self, model: LoadedModel) -> dict[str, float]:
        """Figures of an exported file on the validation table, through its raw signature."""
        records = [record for batch in self.valid for record in arrow.encode(batch)]
        scores = model.score(raw_inputs(records, self.features.raw_columns), SERVING_RAW)
        labels = np.concatenate([batch.column(self.features.label) for batch in self.valid])
        return {**binary_metrics(labels, scores), "bytes": len(model.content)}
