"""Executor of Pusher."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from ranklite.components import artifact_json, model_file, repeated_inputs
from ranklite.components.artifact_json import PAGE_FILE, PUSHED_FILE, REPORT_FILE
from ranklite.components.blessings import refused_by, verdicts
from ranklite.models.export.target import LoadedModel, Target
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.serving import for_apps
from ranklite.models.serving.metadata import changed_inputs, changed_task, describe
from ranklite.models.serving.versions import digest, latest_metadata, write_version

_log = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Pushes a model."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes a new version where every gate blessed, and does nothing otherwise.

        Args:
          input_dict:
            - model: Model, the exported file.
            - further_model_0, ...: Models, the same model in the files of further targets.
            - model_blessing, baseline_blessing: ModelBlessings.
            - infra_blessing: InfraBlessing.
            - evaluation, baseline_evaluation: ModelEvaluations.
            - stage_report: StageReport.
            - page: RunPage.
            - float_checkpoint: Model, the float parent.
            - examples: Examples that it was trained on.
          output_dict:
            - pushed_model: PushedModel; `pushed`, `pushed_version`, the `sha256` of the file and
              the ids of the model, its float parent, their examples and the stage report are its
              custom properties
              (of a further target `sha256.<target>` and `model_id.<target>`),
              and `pushed.json` says what was pushed, which nodes refused, the verdict of every
              gate, and where the inputs, or the log and the task, differ from those of the
              version before.
          exec_properties:
            - features: JSON of a FeatureSet.
            - config: JSON of the run's configuration.
            - push_destination: Folder of the versions.
            - keep: Newest versions to keep; 0 keeps all.
            - code_digest: Goes into the version.
        """
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        for key in ("model", "float_checkpoint", "examples", "stage_report"):
            artifact = artifact_utils.get_single_instance(input_dict[key])
            pushed.set_int_custom_property(f"{key}_id", artifact.id)
        model = model_file.load(input_dict["model"])
        target = model_file.target_in(model_file.folder(input_dict["model"]))
        # The model's own artifact may be deleted, its version may go on without us.
        pushed.set_string_custom_property("sha256", digest(model.content)["sha256"])
        files = {target: model}
        for artifact in repeated_inputs.artifacts("further_model", input_dict):
            further = model_file.target_in(model_file.folder([artifact]))
            files[further] = model_file.load([artifact])
            sha256 = digest(files[further].content)["sha256"]
            pushed.set_string_custom_property(f"sha256.{further.name}", sha256)
            pushed.set_int_custom_property(f"model_id.{further.name}", artifact.id)
        report_uri = artifact_utils.get_single_uri(input_dict["stage_report"])
        report = artifact_json.read(report_uri, REPORT_FILE)
        judged = verdicts(report, {key: result[0].uri for key, result in input_dict.items()})
        refused = refused_by(input_dict)
        version = None
        changed, task = list[str](), list[str]()
        if refused:
            _log.warning("not pushed: refused by %s", ", ".join(refused))
        else:
            metadata = self._metadata(files, report, input_dict, output_dict, exec_properties)
            before = latest_metadata(exec_properties["push_destination"])
            changed = changed_inputs(before, metadata)
            task = changed_task(before, metadata["config"])
            if task:
                _log.warning("pushed behind a version of another task: %s", "; ".join(task))
            version = write_version(
                exec_properties["push_destination"],
                {target.file: model.content for target, model in files.items()},
                {"model": metadata, "report": report},
                keep=exec_properties["keep"] or None,
                files={PAGE_FILE: io_utils.read_bytes_file(_page(input_dict))}
                | for_apps.files(
                    target,
                    model,
                    metadata,
                    model_file.preprocessing(input_dict["model"]),
                ),
            )
            pushed.set_string_custom_property("pushed_version", os.path.basename(version))
        pushed.set_int_custom_property("pushed", int(version is not None))
        os.makedirs(pushed.uri, exist_ok=True)
        with open(os.path.join(pushed.uri, PUSHED_FILE), "w", encoding="utf-8") as file:
            pushed_json = {"version": version, "refused_by": refused, "verdicts": judged}
            json.dump({**pushed_json, "changed_inputs": changed, "changed_task": task}, file)

    def _metadata(
        self,
        files: dict[Target, LoadedModel],
        report: dict[str, Any],
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> dict[str, Any]:
        features = FeatureSet.model_validate_json(exec_properties["features"])
        artifacts = {key: [a.id for a in values] for key, values in input_dict.items()}
        execution = _execution_id(output_dict["pushed_model"][0].uri)
        return describe(
            *next(iter(files.items())),
            features.raw_columns,
            report["layout"],
            {"split": report["split"], **report["stages"]},
            report["verdicts"],
            json.loads(exec_properties["config"]),
            targets=_targets(files, report),
            past=report.get("past"),
            score_calibration=report["score_calibration"],
            code_digest=exec_properties["code_digest"],
            lineage={"artifacts": artifacts, "execution": execution},
        )


def _targets(files: dict[Target, LoadedModel], report: dict[str, Any]) -> dict[str, Any]:
    """What each model file of the version is; the first one's figures are those of its stage."""
    figures = report.get("targets", {})
    return {
        target.name: {
            "file": target.file,
            **model.about,
            **({"metrics": figures[target.name]} if target.name in figures else {}),
        }
        for target, model in files.items()
    }


def _page(input_dict: dict[str, list[Any]]) -> str:
    return os.path.join(artifact_utils.get_single_uri(input_dict["page"]), PAGE_FILE)


def _execution_id(uri: str) -> int | None:
    """TFX puts the execution's id at the end of an output's URI."""
    name = os.path.basename(uri.rstrip("/"))
    return int(name) if name.isdigit() else None
