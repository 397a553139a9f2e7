"""Executor of Exporter."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_executor

from ranklite.components import artifact_io, comparable, model_file
from ranklite.models.export import export_target
from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.training.calibrated import calibrated


class Executor(base_executor.BaseExecutor):
    """Converts a checkpoint."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes a file with the signatures `serving_default` and `serving_raw`.

        Args:
          input_dict:
            - keras_model: Model with a checkpoint.
            - transform_graph: TransformGraph that made the model's inputs.
            - transformed_examples: Examples, on whose split `eval` scores are calibrated.
            - ingest_report: IngestReport with what the file stores of the past, if anything.
          output_dict:
            - model: Model; the file is `Format-Serving/<target>`.
          exec_properties:
            - features: JSON of a FeatureSet.
            - stage: What the checkpoint is; becomes a custom property of the model.
            - target: Name of the export target.
            - calibration: How scores are calibrated.
            - code_digest: Only keys the cache.

        Raises:
          NotExportable: The target has no way to compute the model.
          UnreadableModel: The runtime that ships cannot load or run the file.
        """
        features = FeatureSet.model_validate_json(exec_properties["features"])
        checkpoint = calibrated(
            artifact_io.load(input_dict["keras_model"]),
            artifact_io.split_files(input_dict["transformed_examples"], "eval"),
            exec_properties["calibration"],
        )
        chosen = export_target(exec_properties["target"])
        raw = artifact_io.raw_features(input_dict, features, checkpoint.layout)
        (artifact,) = output_dict["model"]
        model_file.note_preprocessing(artifact, raw)
        model_file.note_calibration(artifact, checkpoint.calibration)
        stored = sum(state.num_bytes for state in raw.states.values())
        convert = chosen.begin(checkpoint, raw)
        del checkpoint, raw
        content = convert()
        model = chosen.load(content)
        if set(model.signatures) != {SERVING_DEFAULT, SERVING_RAW}:
            raise RuntimeError(f"the converted file has signatures {sorted(model.signatures)}")
        model.try_out()
        model_file.write([artifact], chosen, content)
        for name, value in comparable.properties(features).items():
            artifact.set_string_custom_property(name, value)
        artifact.set_string_custom_property("stage", exec_properties["stage"])
        artifact.set_int_custom_property("bytes", len(content))
        artifact.set_int_custom_property("state_bytes", stored)
