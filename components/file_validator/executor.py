"""Executor of FileValidator."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from ranklite.components import artifact_io, artifact_json, model_file, repeated_inputs
from ranklite.components.artifact_json import LOG_ROWS_FILE, REPORT_FILE, SCORES_FILE, TRIALS_FILE
from ranklite.components.file_validator import (
    further_targets,
    judged_rows,
    log_parity,
    single_features,
    states,
    transform_graph,
    validation,
)
from ranklite.components.file_validator.both_signatures import BothSignatures
from ranklite.components.file_validator.judged_split import JudgedSplit
from ranklite.models import environment, progress
from ranklite.models.compression.sqnr import sqnr
from ranklite.models.evaluation import leaks, metrics, users
from ranklite.models.evaluation.accuracy import fall_verdicts
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.evaluation.scored_rows import ScoredRows
from ranklite.models.evaluation.verdicts import Verdict
from ranklite.models.export.target import SERVING_RAW, is_quantized
from ranklite.models.features.examples import raw_inputs, row_identity, transformed_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import IDS, TIMESTAMP
from ranklite.models.features.slices import GROUP, evaluation_slices
from ranklite.models.memory import give_back
from ranklite.models.reporting import baseline_words, gate_words
from ranklite.models.training.calibrated import calibrated, calibrated_scores

ROUNDING_ROWS = 4096

_log = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Validates the file that ships."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Measures every stage, judges the last one, and blesses it or not.

        Args:
          input_dict:
            - model: Model, the file that would ship.
            - keras_model: Model with the checkpoint that it was converted from.
            - float_model: Model, the file of the float parent.
            - stage_model_0, ...: Models, the files of the stages in between, if any.
            - further_model_0, ...: Models, the files of further targets, if any.
            - control_model: Model with the checkpoint of the float control, if there is one.
            - blessed_model: Model that was pushed last, if there is one.
            - last_report: StageReport of what was pushed last, if there is one.
            - trials: Trials of the search that chose the model, if there was one.
            - ingest_report: IngestReport, with rows as they stand in the log, if there is one.
            - examples: Raw Examples.
            - transformed_examples: Examples.
            - transform_graph: TransformGraph.
          output_dict:
            - blessing: InfraBlessing, as TFX's InfraValidator writes it; every verdict, how many
              are undecided and the id of the model pushed last are its custom properties.
            - report: StageReport, and the scores row by row.
          exec_properties:
            - features: JSON of a FeatureSet.
            - gates: JSON of a GatesConfig.
            - split: The split to measure on.
            - code_digest: Only keys the cache.

        Raises:
          UnreadableModel: A runtime cannot load its file.
        """
        features = FeatureSet.model_validate_json(exec_properties["features"])
        gates = GatesConfig.model_validate_json(exec_properties["gates"])
        split = exec_properties["split"]
        checkpoint = artifact_io.load(input_dict["keras_model"])
        files = artifact_io.split_files(input_dict["transformed_examples"], split)
        columns = [*evaluation_slices(features), *([GROUP] if features.user else [])]
        judged = JudgedSplit.choose(files, has_users=bool(features.user), most=gates.most_rows)
        layout, figures = checkpoint.layout, checkpoint.metrics
        ids, labels, texts = transformed_inputs(judged.records(files), layout, columns)
        groups = texts.pop(GROUP, None)

        # Models of millions of rows are large: each is gone before the next one comes.
        progress.report("scoring the checkpoint")
        quantized = is_quantized(checkpoint)
        calibration = model_file.calibration(input_dict["model"])
        checkpoint = dataclasses.replace(checkpoint, calibration=calibration)
        keras_scores = judged.scores(calibrated_scores(checkpoint, files))
        noise = sqnr(checkpoint, _first(ids)) if quantized else {}
        del checkpoint
        give_back()
        measured = {"float": input_dict["float_model"]}
        for artifact in repeated_inputs.artifacts("stage_model", input_dict):
            measured[artifact.get_string_custom_property("stage")] = [artifact]
        stages: dict[str, Any] = {}
        scores: dict[str, Any] = {}
        for stage, artifacts in measured.items():
            progress.report(f"measuring the {stage} file")
            model = model_file.load(artifacts)
            stages[stage], scores[stage] = validation.measure(model, ids, labels, groups)
            del model
        if input_dict.get("control_model"):
            evaluation = artifact_io.split_files(input_dict["transformed_examples"], "eval")
            control = calibrated(
                artifact_io.load(input_dict["control_model"]), evaluation, calibration.method
            )
            scores["control"] = judged.scores(calibrated_scores(control, files))
            stages["control"] = metrics.binary_metrics(labels, scores["control"])
            del control
            give_back()
        progress.report("measuring the shipped file")
        shipped = model_file.load(input_dict["model"])
        target = model_file.target_in(model_file.folder(input_dict["model"]))
        if quantized:
            scores["quantized"] = keras_scores
            stages["quantized"] = metrics.binary_metrics(labels, keras_scores)
        stages["shipped"], scores["shipped"] = validation.measure(
            shipped, ids, labels, groups, gates
        )

        records = judged.records(artifact_io.split_files(input_dict["examples"], split))
        raw = raw_inputs(records, features.raw_columns)
        blessed = input_dict.get("blessed_model", [])
        train_files = artifact_io.split_files(input_dict["transformed_examples"], "train")
        ingest = input_dict.get("ingest_report")
        folder = artifact_utils.get_single_uri(ingest) if ingest else None
        log_rows = os.path.join(folder, LOG_ROWS_FILE) if folder else ""
        rows = further_targets.Rows(
            ids,
            labels,
            groups,
            texts,
            scores,
            keras_scores,
            judged_rows.score_blessed(blessed, records),
            judged_rows.score_baselines(layout, train_files, ids),
            BothSignatures(
                raw,
                features.raw_columns,
                lambda given: transform_graph.transformed(input_dict, features, given),
                lambda: transform_graph.words(input_dict, features),
            ).difference,
            lambda model: log_parity.verdicts(
                gates.max_log_parity,
                log_rows,
                features.raw_columns,
                raw,
                judged.places,
                lambda inputs: model.score(inputs, SERVING_RAW),
            ),
        )
        certainty, beaten, verdicts = rows.judge(
            shipped, target, stages["shipped"], scores["shipped"], gates, quantized
        )
        for stage, result in certainty.items():
            stages[stage]["interval"] = result
        mistaken = input_dict["model"][0].get_float_custom_property(model_file.FALSE_MATCHES)
        verdicts += gates.verdict("max_false_matches", mistaken)
        verdicts += validation.known_values(gates.max_unseen, ids[IDS], layout, features.user)
        last = artifact_io.folder_of(input_dict.get("last_report"))
        if last:
            verdicts += fall_verdicts(
                gates, stages["shipped"], artifact_json.read(last, REPORT_FILE)
            )
        progress.report("measuring each feature alone")
        train_files = artifact_io.split_files(input_dict["examples"], "train")
        alone = single_features.measure(features, train_files, records)
        limit = gates.max_single_feature_auc
        verdicts += leaks.verdicts(limit, alone["judged"])
        past: dict[str, Any] = {}
        about = None
        if folder:
            about = artifact_json.read(folder, REPORT_FILE).get("past")
            verdicts += rows.log_parity(shipped)
            past = states.measure(
                folder, judged, shipped, features.raw_columns, raw, labels, groups
            )
        if input_dict.get("trials"):
            trials = artifact_utils.get_single_uri(input_dict["trials"])
            miss = artifact_json.read(trials, TRIALS_FILE)["miss"]
            verdicts.append(Verdict("recipes within the budget", not miss, not miss, detail=miss))
        further = repeated_inputs.artifacts("further_model", input_dict)
        targets, of_targets = further_targets.judge(further, rows, gates, quantized)
        verdicts += of_targets
        report = {
            "split": split,
            "rows": len(labels),
            "positives": int(labels.sum()),
            "stages": stages,
            "targets": targets,
            "baselines": beaten,
            "score_calibration": calibration.to_dict(),
            "slices": validation.slices(
                texts, labels, {s: scores[s] for s in ("float", "shipped")}
            ),
            "states": past,
            "past": about,
            "state_bytes": input_dict["model"][0].get_int_custom_property("state_bytes"),
            "verdicts": [verdict.to_dict() for verdict in verdicts],
            "warnings": [
                *judged.warnings(split),
                *users.warnings(labels, groups, scores["shipped"], split),
                *leaks.warnings(limit, **alone, split=split),
                *gate_words.warnings([verdict.to_dict() for verdict in verdicts]),
                *baseline_words.warnings(beaten),
            ],
            "validation": {k: v for k, v in figures.items() if _plain(v)},
            "layout": layout.to_dict(),
            "software": environment.versions(),
            "processor": environment.processor(),
            "evidence": validation.evidence(labels, scores)
            | {
                "users": None if groups is None else users.spread(labels, groups),
                "single_feature_auc": alone,
                "unseen": validation.unseen(ids[IDS], layout),
                "tensors": shipped.constants(),
                "sqnr_db": noise,
            },
        }
        (artifact,) = output_dict["report"]
        os.makedirs(artifact.uri, exist_ok=True)
        with open(os.path.join(artifact.uri, REPORT_FILE), "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
        identity = row_identity(records, _roles(features), labels)
        kept = ScoredRows.of(labels, groups, scores, texts, identity)
        kept.save(os.path.join(artifact.uri, SCORES_FILE))
        self._bless(output_dict["blessing"], [verdict.to_dict() for verdict in verdicts], blessed)
        progress.report(figures={"auc": stages["shipped"]["auc"]})

    def _bless(
        self, blessings: list[Any], verdicts: list[dict[str, Any]], blessed_model: list[Any]
    ) -> None:
        (blessing,) = blessings
        os.makedirs(blessing.uri, exist_ok=True)
        passed = all(verdict["passed"] for verdict in verdicts)
        name = "INFRA_BLESSED" if passed else "INFRA_NOT_BLESSED"
        io_utils.write_string_file(os.path.join(blessing.uri, name), "")
        blessing.set_int_custom_property("blessed", int(passed))
        undecided = sum(verdict["undecided"] for verdict in verdicts)
        blessing.set_int_custom_property("undecided", undecided)
        blessing.set_string_custom_property("verdicts", json.dumps(verdicts))
        for model in blessed_model:
            blessing.set_int_custom_property("baseline_model_id", model.id)
        for sentence in (*gate_words.refusals(verdicts), *gate_words.warnings(verdicts)):
            _log.warning("%s", sentence)


def _first(inputs: dict[str, Any]) -> dict[str, Any]:
    """As many rows as show what rounding does to a layer."""
    return {name: values[:ROUNDING_ROWS] for name, values in inputs.items()}


def _roles(features: FeatureSet) -> dict[str, str]:
    """Columns of raw Examples that tell one row from another, by what they are."""
    roles = {"label": features.label, "user": features.user, "item": features.item}
    return {role: name for role, name in roles.items() if name} | {"time": TIMESTAMP}


def _plain(value: Any) -> bool:
    return isinstance(value, (int, float, str, dict))
