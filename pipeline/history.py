"""What a run takes over from earlier ones: accepted statistics, the pushed model, its parent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver, ResolverStrategy
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact
from tfx.types.channel import BaseChannel, Channel

from ranklite.components.artifact_types import DataBlessing, StageReport
from ranklite.components.resolvers import (
    REPORTS,
    LastAcceptedStatistics,
    LastPushedCheckpoint,
    LastPushedModel,
)

STATISTICS = "LastAcceptedStatistics"
MODEL = "LastPushedModel"
REPORT = "LastPushedReport"
CHECKPOINT = "LastPushedCheckpoint"

HISTORY_PROPERTY = "history"

Slots = Mapping[str, str]
_NONE: Slots = {}


class _Recalled(NamedTuple):
    """How the store finds something: what it is, who chooses it, and by what else."""

    kind: type[Artifact]
    strategy: type[ResolverStrategy]
    verdicts: dict[str, type[Artifact]]


_RECALLED = {
    STATISTICS: _Recalled(
        standard_artifacts.ExampleStatistics, LastAcceptedStatistics, {"blessings": DataBlessing}
    ),
    MODEL: _Recalled(
        standard_artifacts.Model,
        LastPushedModel,
        {"pushed": standard_artifacts.PushedModel, REPORTS: StageReport},
    ),
    CHECKPOINT: _Recalled(
        standard_artifacts.Model, LastPushedCheckpoint, {"pushed": standard_artifacts.PushedModel}
    ),
}


class History:
    """Where the artifacts of earlier runs come from. This one has none, and keeps none.

    Attributes:
      nodes: Nodes that it adds to the pipeline.
    """

    def __init__(self) -> None:
        self.nodes: list[BaseNode] = []

    def recall(self, what: str, current: BaseChannel) -> BaseChannel | None:
        """A channel with an earlier artifact or none, never the current one."""
        return None

    def attach(
        self, component: BaseComponent, recalls: Slots = _NONE, keeps: Slots = _NONE
    ) -> None:
        """Tells a component what it recalls (by input), and keeps (input by what it becomes)."""


class StoreHistory(History):
    """ML Metadata, which keeps everything, asked by TFX's Resolver nodes: for the local runner."""

    def recall(self, what: str, current: BaseChannel) -> BaseChannel:
        """Adds a Resolver; the report of what was pushed last comes with the model."""
        if what == REPORT:
            (node,) = (node for node in self.nodes if node.id == MODEL)
            return node.outputs[REPORTS]
        kind, strategy, verdicts = _RECALLED[what]
        node = Resolver(
            strategy_class=strategy,
            current=current,
            candidates=Channel(type=kind),
            **{key: Channel(type=verdict) for key, verdict in verdicts.items()},
        ).with_id(what)
        self.nodes.append(node)
        return node.outputs["candidates"]


class FolderHistory(History):
    """A folder beside the pushed versions, read and written around each task's executor.

    Kubeflow Pipelines has no resolvers. The container's entry point
    (`pipeline.kubeflow.entrypoint`) finds what a task recalls and keeps in one of its properties,
    and adds the inputs.
    """

    def attach(
        self, component: BaseComponent, recalls: Slots = _NONE, keeps: Slots = _NONE
    ) -> None:
        """Writes it down for the entry point."""
        component.exec_properties[HISTORY_PROPERTY] = json.dumps(
            {"recalls": dict(recalls), "keeps": dict(keeps)}, sort_keys=True
        )
