"""`engine`: what a configuration says of it, and who does not hear of it."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import yaml

from ranklite.components.engines.current import current_engine, used
from ranklite.components.engines.engine import from_json
from ranklite.components.engines.local import Local
from ranklite.components.engines.ray import Ray
from ranklite.components.engines.spark import Spark
from ranklite.pipeline.config.renamed import RenamedKey
from ranklite.pipeline.config.run_config import ConfigError, RunConfig, load_config
from ranklite.pipeline.local import standing

SETTINGS: dict[str, Any] = {
    "name": "shop",
    "source": {"files": "log.csv"},
    "label": "click",
    "split": {"by": "hash"},
    "features": [{"name": "item", "kind": "categorical"}],
}


def configuration(folder: pathlib.Path, **changed: Any) -> RunConfig:
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, **changed}, sort_keys=False), encoding="utf-8")
    return load_config(str(path))


def test_it_is_what_its_kind_says(tmp_path: pathlib.Path) -> None:
    assert configuration(tmp_path).engine is None
    local = configuration(tmp_path, engine={"kind": "local"})
    assert local.engine == Local(workers=None)
    assert local.summary() == configuration(tmp_path).summary() + ", on local"
    options = {"spark.executor.memory": "4g", "spark.executor.instances": 8}
    given = {"kind": "spark", "master": "yarn", "options": options}
    assert configuration(tmp_path, engine=given).engine == Spark(master="yarn", options=options)
    assert configuration(tmp_path, engine={"kind": "ray"}).engine == Ray(address="auto")


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"kind": "flink"}, r"shop.yaml:10: engine.kind = 'flink': not registered; registered are"),
        ({"kind": "spark"}, r"engine.master: this key is required"),
        (
            {"kind": "spark", "master": "sc://host"},
            r":12: engine.master: 'sc://host' is no master: wr",
        ),
        ({"kind": "local", "workers": 0}, r"engine.workers = 0: input should be greater than or"),
        ({"kind": "ray", "master": "x"}, r"engine.master: unknown key; allowed: address, cpus, k"),
        (
            {"kind": "spark", "master": "yarn", "options": {"memory": "4g"}},
            r"'memory' is none of Spark's",
        ),
        ("local", r"engine = 'local'"),
    ],
)
def test_mistakes(engine: Any, message: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=message):
        configuration(tmp_path, engine=engine)


def test_neither_cache_nor_artifact_knows_of_it(tmp_path: pathlib.Path) -> None:
    without, local = configuration(tmp_path), configuration(tmp_path, engine={"kind": "local"})
    assert without.model_dump_json() == local.model_dump_json()
    assert without.ingest == local.ingest
    inputs = [standing.inputs(config, str(tmp_path), "pushed") for config in (without, local)]
    assert inputs[0] == inputs[1] is not None


def test_stages_find_it_while_a_run_is_under_way() -> None:
    assert current_engine() is None
    engine = from_json(Spark(master="local[2]").model_dump_json())
    assert engine == Spark(master="local[2]")
    with used(engine):
        assert current_engine() is engine
        with used(None):
            assert current_engine() is None
    assert current_engine() is None


def test_the_engine_of_the_source_is_no_more(tmp_path: pathlib.Path) -> None:
    source = {"files": "log.csv", "engine": "duckdb"}
    with pytest.warns(RenamedKey, match=r"yaml:4: source.engine is no more: leave it out; it is"):
        assert configuration(tmp_path, source=source) == configuration(tmp_path)
    with pytest.raises(ConfigError, match=r"yaml:4: source.engine: beam is no more: write `engin"):
        configuration(tmp_path, source={**source, "engine": "beam"})


def test_a_version_of_before_named_it(tmp_path: pathlib.Path) -> None:
    config = configuration(tmp_path)
    pushed = config.model_dump(mode="json")
    pushed["source"]["engine"] = "duckdb"
    assert RunConfig.model_validate(pushed) == config
