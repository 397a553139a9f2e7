"""Two versions of a small model, made once."""

from __future__ import annotations

import pathlib

import pytest

from tests.pushed_model import push


@pytest.fixture(scope="session")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a version; nothing writes there."""
    return push(tmp_path_factory.mktemp("pushed"))


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a version with other weights."""
    return push(tmp_path_factory.mktemp("other"))
