"""Shared by the tests of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ranklite.pipeline.kubeflow import storage
from tests.object_store import ObjectStore, object_store


@pytest.fixture(scope="session")
def s3_server() -> Iterator[ObjectStore]:
    """SeaweedFS."""
    with object_store("s3") as served:
        yield served


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[ObjectStore]:
    """fake-gcs-server."""
    with object_store("gs") as served:
        yield served


def emptied(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """Sets this process up to find an emptied server."""
    server.objects.clear()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    storage._store.cache_clear()
    return server


@pytest.fixture
def store(s3_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An empty S3 bucket, which this process is set up to find."""
    return emptied(s3_server, monkeypatch)


@pytest.fixture
def gcs(gcs_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An empty bucket of Google's storage, which this process is set up to find."""
    return emptied(gcs_server, monkeypatch)
