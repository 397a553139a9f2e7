"""Which earlier artifact a run is compared with.

TFX's own strategies take the newest artifact. A rerun of an unchanged pipeline would then compare a
model with itself, and its cache would miss. These take the newest one *other than the current one*,
so that an unchanged run resolves what it resolved before.
"""

from __future__ import annotations

import logging
import os

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.components.common import resolver

from ranklite.components.comparable import DIGEST, INPUTS, can_score

_log = logging.getLogger(__name__)

Artifacts = dict[str, list[types.Artifact]]

CURRENT = "current"
CANDIDATES = "candidates"
BLESSED = "blessed"
REPORTS = "reports"
REPORT = "stage_report"  # input of the Pusher, which keeps its id


def _newest(artifacts: list[types.Artifact]) -> list[types.Artifact]:
    """Those whose folders are still there, the newest first."""
    there = []
    for artifact in artifacts:
        if os.path.isdir(artifact.uri):
            there.append(artifact)
        else:
            _log.info("%s is gone: nothing is compared with it", artifact.uri)
    return sorted(there, key=lambda artifact: artifact.id, reverse=True)


def _pushed(input_dict: Artifacts) -> list[types.Artifact]:
    """What the Pusher said of models that no gate refused."""
    return [a for a in input_dict["pushed"] if a.get_int_custom_property("pushed") == 1]


class LastAcceptedStatistics(resolver.ResolverStrategy):
    """The newest statistics that a ValidationGate accepted, the current ones left out.

    Channels: `current` (one artifact), `candidates` (ExampleStatistics), `blessings`
    (DataBlessing). Resolves `candidates` to one artifact or none.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: Artifacts
    ) -> Artifacts | None:
        current = {artifact.uri for artifact in input_dict[CURRENT]}
        accepted = {
            blessing.get_string_custom_property("statistics_uri")
            for blessing in input_dict["blessings"]
            if blessing.get_int_custom_property(BLESSED) == 1
        }
        chosen = [
            artifact
            for artifact in _newest(input_dict[CANDIDATES])
            if artifact.uri in accepted - current
        ][:1]
        return {**input_dict, CANDIDATES: chosen}


class LastPushedModel(resolver.ResolverStrategy):
    """The newest exported model that was pushed and can score the raw rows of the current one.

    Channels: `current` (one Model), `candidates` (Models), `pushed` (PushedModel), `reports`
    (StageReports). Resolves `candidates` to one artifact or none, and `reports` to that of the
    newest push but the current model's, whose figures need no common rows.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: Artifacts
    ) -> Artifacts | None:
        current = input_dict[CURRENT]
        current_ids = {artifact.id for artifact in current}
        pushes = [
            push
            for push in _pushed(input_dict)
            if push.get_int_custom_property("model_id") not in current_ids
        ]
        pushed = {push.get_int_custom_property("model_id") for push in pushes}
        chosen = [
            artifact
            for artifact in _newest(input_dict[CANDIDATES])
            if artifact.id in pushed
            and any(can_score(_inputs(artifact), _inputs(now)) for now in current)
        ][:1]
        last = max(pushes, key=lambda push: push.id, default=None)
        reported = last.get_int_custom_property(f"{REPORT}_id") if last else None
        reports = [report for report in _newest(input_dict[REPORTS]) if report.id == reported]
        return {**input_dict, CANDIDATES: chosen, REPORTS: reports}


def _inputs(model: types.Artifact) -> dict[str, str]:
    return {name: model.get_string_custom_property(name) for name in (DIGEST, INPUTS)}


class LastPushedCheckpoint(resolver.ResolverStrategy):
    """The float parent of the newest pushed model that was trained on other examples.

    Channels: `current` (one Examples), `candidates` (Models), `pushed` (PushedModel). Resolves
    `candidates` to one artifact or none.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: Artifacts
    ) -> Artifacts | None:
        current_ids = {artifact.id for artifact in input_dict[CURRENT]}
        parents = {
            push.get_int_custom_property("float_checkpoint_id")
            for push in _pushed(input_dict)
            if push.get_int_custom_property("examples_id") not in current_ids
        }
        chosen = [a for a in _newest(input_dict[CANDIDATES]) if a.id in parents][:1]
        return {**input_dict, CANDIDATES: chosen}
