"""Stages write the same bytes on every engine, real clusters among them."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from ranklite.components.engines.current import used
from ranklite.components.engines.engine import Engine
from ranklite.components.statistics_gen.executor import Executor as StatisticsGen
from ranklite.components.transform.executor import Executor as Transform
from tests import transform_stage
from tests.components import test_statistics_gen as statistics
from tests.components import test_transform_in_process as transform

pytestmark = pytest.mark.slow  # every worker imports TensorFlow


def contents(folder: pathlib.Path, pattern: str) -> dict[str, bytes]:
    """Files by name."""
    paths = [path for path in folder.rglob(pattern) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Folder of what both wrote in this process."""
    folder = tmp_path_factory.mktemp("here")
    _run(folder, None)
    return folder


def _run(folder: pathlib.Path, engine: Engine | None) -> None:
    raw: dict[str, Any] = {"a": folder / "a", "b": folder / "b"}
    transform_stage.write(raw["a"], statistics.LOGS, statistics.TYPES, statistics.SCHEMA)
    transform_stage.write(raw["b"], transform.SPLITS, transform.TYPES)
    with used(engine):
        statistics.run(raw["a"], StatisticsGen(), raw["a"] / "statistics")
        transform_stage.run(raw["b"], transform.FEATURES, Transform(), "out")


def test_what_is_written_is_the_same(
    engine: Engine, here: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    _run(tmp_path, engine)
    for pattern in ("FeatureStats.pb", "transformed_examples-*", "*.tfrecord.gz"):
        ours, theirs = contents(here, pattern), contents(tmp_path, pattern)
        assert ours.keys() == theirs.keys()
        assert len(ours) >= 5
        assert not [name for name in ours if ours[name] != theirs[name]]
    assert not list(tmp_path.rglob(".work-*"))
    assert not list(tmp_path.rglob("*.part"))
