"""Writes to ML Metadata as TFX does, for tests of what reads it."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd


class Recorder:
    """Writes runs as TFX's launcher records them."""

    def __init__(self, path: pathlib.Path) -> None:
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(path)
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = metadata_store.MetadataStore(config)
        self.artifacts: dict[str, int] = {}  # ids by URI

    def context(self, kind: str, name: str) -> int:
        type_id = self.store.put_context_type(mlmd.ContextType(name=kind))
        result = self.store.get_context_by_type_and_name(kind, name)
        if result:
            return int(result.id)
        return int(self.store.put_contexts([mlmd.Context(type_id=type_id, name=name)])[0])

    def run(self, pipeline: str, name: str) -> int:
        parent, child = self.context("pipeline", pipeline), self.context("pipeline_run", name)
        self.store.put_parent_contexts([mlmd.ParentContext(parent_id=parent, child_id=child)])
        return child

    def execution(
        self,
        pipeline: str,
        run: int,
        node: str,
        state: int,
        outputs: dict[str, str],
        inputs: Sequence[int] = (),
        kinds: Mapping[str, str] = MappingProxyType({}),
        **properties: str,
    ) -> int:
        kind = self.store.put_execution_type(mlmd.ExecutionType(name=node))
        made = mlmd.Execution(type_id=kind, last_known_state=state)
        for key, value in properties.items():
            made.custom_properties[key].string_value = value
        (execution,) = self.store.put_executions([made])
        for artifact in inputs:
            event = mlmd.Event(execution_id=execution, artifact_id=artifact, type=mlmd.Event.INPUT)
            self.store.put_events([event])
        contexts = [run, self.context("node", f"{pipeline}.{node}")]
        self.store.put_attributions_and_associations(
            [], [mlmd.Association(execution_id=execution, context_id=c) for c in contexts]
        )
        for key, uri in outputs.items():
            type_id = self.store.put_artifact_type(mlmd.ArtifactType(name=kinds.get(key, "Model")))
            made_before = state == mlmd.Execution.CACHED and uri in self.artifacts
            artifact = self.artifacts[uri] if made_before else self._artifact(type_id, uri)
            event = mlmd.Event(execution_id=execution, artifact_id=artifact, type=mlmd.Event.OUTPUT)
            event.path.steps.add().key = key
            event.path.steps.add().index = 0
            self.store.put_events([event])
            self.artifacts[uri] = artifact
        return int(execution)

    def _artifact(self, type_id: int, uri: str) -> int:
        return int(self.store.put_artifacts([mlmd.Artifact(type_id=type_id, uri=uri)])[0])
