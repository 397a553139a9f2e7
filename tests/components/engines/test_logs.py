"""What is ingested on every engine, real clusters among them, is what one process writes."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from ranklite.components.engines.engine import Engine
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.parts import keyed
from tests import keyed_logs
from tests.components import (
    test_parts,
    test_parts_negatives,
    test_parts_past,
    test_parts_queries,
)
from tests.divided_logs import Written, written

pytestmark = pytest.mark.slow


class Log(NamedTuple):
    """A log, and how it is read.

    Attributes:
      write: Writes it into a folder that is there.
      config: How it is read.
    """

    write: Callable[[pathlib.Path], None]
    config: Callable[[], IngestConfig]


HASH = {"by": "hash", "eval": 0.2, "test": 0.2}
LOGS = {
    "csv": Log(test_parts.write_csv, test_parts.config),
    "jsonl": Log(test_parts.write_jsonl, functools.partial(test_parts.config, split=HASH)),
    "parquet": Log(test_parts.write_parquet, test_parts.config),
    "query": Log(test_parts_queries.write, test_parts_queries.config),
    "keyed": Log(keyed_logs.write, keyed_logs.config),
    "past": Log(test_parts_past.write, test_parts_past.config),
    "negatives": Log(
        test_parts_negatives.write,
        functools.partial(test_parts_negatives.config, past=test_parts_negatives.PAST),
    ),
}


class Plain(NamedTuple):
    """A log, and what one process writes of it."""

    config: IngestConfig
    data: pathlib.Path
    written: Written


@pytest.fixture(scope="module", autouse=True)
def small_shares() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyed, "SHARE_BYTES", keyed_logs.SHARE_BYTES)
        yield


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Plain]:
    @functools.cache
    def made(name: str) -> Plain:
        folder = tmp_path_factory.mktemp(name)
        data, config = folder / "data", LOGS[name].config()
        data.mkdir()
        LOGS[name].write(data)
        return Plain(config, data, written(config, data, folder / "plain", None))

    return made


# `spark-threads` runs the tasks of Spark's cluster in another place.
@pytest.mark.parametrize("engine", ["local", "spark", "ray"], indirect=True)
@pytest.mark.parametrize("name", LOGS)
def test_every_file_is_the_same(
    engine: Engine, name: str, plain: Callable[[str], Plain], tmp_path: pathlib.Path
) -> None:
    config, data, (files, report) = plain(name)
    there, told = written(config, data, tmp_path, engine)
    assert sorted(there) == sorted(files)
    assert not [file for file in files if there[file] != files[file]]
    assert json.dumps(told) == json.dumps(report)


def test_logs_have_what_engines_could_get_wrong(plain: Callable[[str], Plain]) -> None:
    reports: dict[str, Any] = {name: plain(name).written[1] for name in LOGS}
    for name in ("csv", "jsonl", "parquet", "query", "keyed", "negatives"):
        assert sum(reports[name]["rejected"].values()) > 0, name
    assert reports["past"]["past"]
    assert reports["negatives"]["past"]
    assert plain("negatives").config.negatives is not None
