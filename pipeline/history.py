"""What a run takes over from earlier ones: accepted statistics, the pushed model, its parent."""

from __future__ import annotations

import json
from typing import Protocol

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver, ResolverStrategy
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel

from components.resolvers import LastAcceptedStatistics, LastPushedCheckpoint, LastPushedModel
from components.validation_gate.artifacts import DataBlessing

STATISTICS = "LastAcceptedStatistics"
MODEL = "LastPushedModel"
CHECKPOINT = "LastPushedCheckpoint"

_STRATEGIES: dict[str, type[ResolverStrategy]] = {
    STATISTICS: LastAcceptedStatistics,
    MODEL: LastPushedModel,
    CHECKPOINT: LastPushedCheckpoint,
}
_CANDIDATES = {
    STATISTICS: standard_artifacts.ExampleStatistics,
    MODEL: standard_artifacts.Model,
    CHECKPOINT: standard_artifacts.Model,
}
_VERDICTS = {
    STATISTICS: {"blessings": DataBlessing},
    MODEL: {"pushed": standard_artifacts.PushedModel},
    CHECKPOINT: {"pushed": standard_artifacts.PushedModel},
}

HISTORY_PROPERTY = "history"


class History(Protocol):
    """Where the artifacts of earlier runs come from.

    Attributes:
      nodes: Nodes that it adds to the pipeline.
    """

    nodes: list[BaseNode]

    def recall(self, what: str, current: BaseChannel) -> BaseChannel | None:
        """A channel with an earlier artifact or none, never the current one."""
        ...

    def attach(
        self,
        component: BaseComponent,
        *,
        recalls: dict[str, str] | None = None,
        keeps: dict[str, str] | None = None,
    ) -> None:
        """Tells a component what it recalls (by input), and keeps (input by what it becomes)."""
        ...


class StoreHistory:
    """ML Metadata, asked by TFX's own Resolver nodes: for the local runner."""

    def __init__(self) -> None:
        self.nodes: list[BaseNode] = []

    def recall(self, what: str, current: BaseChannel) -> BaseChannel:
        """Adds a Resolver."""
        verdicts = {key: Channel(type=kind) for key, kind in _VERDICTS[what].items()}
        node = Resolver(
            strategy_class=_STRATEGIES[what],
            current=current,
            candidates=Channel(type=_CANDIDATES[what]),
            **verdicts,
        ).with_id(what)
        self.nodes.append(node)
        return node.outputs["candidates"]

    def attach(
        self,
        component: BaseComponent,
        *,
        recalls: dict[str, str] | None = None,
        keeps: dict[str, str] | None = None,
    ) -> None:
        """Nothing to do: the store keeps everything."""


class FolderHistory:
    """A folder beside the pushed versions, read and written around each task's executor.

    Kubeflow Pipelines has no resolvers. The container's entry point
    (`pipeline.kubeflow.entrypoint`) finds what a task recalls and keeps in one of its properties.
    """

    def __init__(self) -> None:
        self.nodes: list[BaseNode] = []

    def recall(self, what: str, current: BaseChannel) -> None:
        """None: the entry point adds the input."""

    def attach(
        self,
        component: BaseComponent,
        *,
        recalls: dict[str, str] | None = None,
        keeps: dict[str, str] | None = None,
    ) -> None:
        """Writes it down for the entry point."""
        component.exec_properties[HISTORY_PROPERTY] = json.dumps(
            {"recalls": recalls or {}, "keeps": keeps or {}}, sort_keys=True
        )
