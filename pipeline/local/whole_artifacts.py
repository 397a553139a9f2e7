"""Holds artifacts to their manifests: before a cache serves them and before a stage reads them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable import cache_utils

from ranklite.components import manifest
from ranklite.components.artifact_json import pushed_version
from ranklite.components.manifest import DamagedArtifact
from ranklite.models.serving.metadata_file import DamagedFile
from ranklite.models.serving.versions import check_version

Artifacts = Mapping[str, Sequence[Any]]


class WholeArtifacts:
    """What is known of the artifacts of a run: each is read once to be held to its manifest.

    Args:
      say: Told what is damaged, and what becomes of it.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._whole: set[str] = set()
        self._lock = threading.Lock()

    def written(self, artifacts: Iterable[Any]) -> None:
        """A stage has just written them, and their manifests."""
        with self._lock:
            self._whole.update(artifact.uri for artifact in artifacts)

    def check_inputs(self, inputs: Artifacts) -> None:
        """Holds what a stage is about to read to its manifests.

        Raises:
          DamagedArtifact: Some of it is damaged; it was put aside.
        """
        for artifact in artifacts_of(inputs):
            try:
                self._check(artifact)
            except DamagedArtifact as error:
                aside = manifest.put_aside(artifact.uri)
                raise DamagedArtifact(f"{error}{_now_at(aside)}") from error

    @contextlib.contextmanager
    def guarding_cache(self) -> Iterator[None]:
        """Has TFX's cache serve only what is whole; what is damaged is put aside and made again.

        TFX itself looks whether the folders exist.
        """
        original = cache_utils.get_cached_outputs

        def outputs(metadata_handle: Any, cache_context: mlmd.Context) -> Artifacts | None:
            while (cached := original(metadata_handle, cache_context)) is not None:
                damaged = self._first_damaged(cached)
                if damaged is None:
                    return cached
                artifact, error = damaged
                if not isinstance(error, DamagedArtifact):  # of a version, which is not ours
                    self._say(f"{error}: pushed again")
                    return None
                aside = manifest.put_aside(artifact.uri)
                artifact.mlmd_artifact.state = mlmd.Artifact.DELETED
                metadata_handle.store.put_artifacts([artifact.mlmd_artifact])
                self._say(f"{error}{_now_at(aside)}; made again")
            return None

        cache_utils.get_cached_outputs = outputs
        try:
            yield
        finally:
            cache_utils.get_cached_outputs = original

    def _first_damaged(self, cached: Artifacts) -> tuple[Any, Exception] | None:
        for artifact in artifacts_of(cached):
            try:
                self._check(artifact)
                version = pushed_version(artifact.uri) if _is_pushed(artifact) else None
                if version is not None:
                    check_version(version)
            except (DamagedArtifact, DamagedFile) as error:
                return artifact, error
            except FileNotFoundError as error:
                return artifact, DamagedFile(f"{error.filename} is gone")
        return None

    def _check(self, artifact: Any) -> None:
        with self._lock:
            if artifact.uri in self._whole:
                return
        manifest.check(artifact.uri)
        self.written([artifact])


def artifacts_of(artifacts: Artifacts) -> list[Any]:
    """All artifacts of a stage's inputs or outputs."""
    return [artifact for listed in artifacts.values() for artifact in listed]


def _is_pushed(artifact: Any) -> bool:
    return artifact.type_name == "PushedModel"


def _now_at(aside: str | None) -> str:
    return f"; it was put aside as {aside}" if aside else ""
