"""Shared by the tests of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.object_store import ObjectStore, object_store


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """Object storage on loopback, which this process is set up to find."""
    with object_store() as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield served
