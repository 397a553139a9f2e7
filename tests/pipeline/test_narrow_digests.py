"""Editing one technique changes the digest of its stage, and of a search that tries it."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from ranklite.models.compression.techniques import TECHNIQUES, in_order
from ranklite.pipeline import digest
from ranklite.pipeline.config.run_config import RunConfig, load_config
from ranklite.pipeline.history import History
from ranklite.pipeline.pipeline import create_pipeline

COMPRESSION = "ranklite.models.compression."
# Modules that some techniques share, and others do not.
HELPERS = {
    "calibration": {"quantize"},
    "distillation": {"distill"},
    "equalization": {"cluster", "quantize"},
    "fake_quantization": {"quantize"},
    "l1": {"prune"},
    "mixed_bits": {"quantize"},
    "qat": {"quantize"},
    "taylor": {"prune"},
    "units": {"prune_units"},
}

Digests = dict[str, str]


def steps() -> list[dict[str, Any]]:
    """A recipe of all techniques."""
    return [{"technique": name, **entry.example} for name, entry in in_order().items()]


def configured(compression: Any) -> RunConfig:
    config = load_config("configs/synthetic.yaml")
    return RunConfig.model_validate({**config.model_dump(), "compression": compression})


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> Callable[[RunConfig], Digests]:
    """Digests of all stages of a configuration that have one, by the id of their node."""
    data = tmp_path_factory.mktemp("log")
    (data / "log.csv").write_text("user,click\n")

    def of(config: RunConfig) -> Digests:
        folders = {k: str(data / k) for k in ("push_dir", "rejects_dir", "work_dir")}
        dag = create_pipeline(
            config,
            data_root=str(data),
            pipeline_root=str(data / "root"),
            history=History(),
            **folders,
        )
        result = {}
        for component in dag.components:
            properties = component.exec_properties
            if "custom_config" in properties and properties["custom_config"] not in (None, "null"):
                properties = {**properties, **json.loads(properties["custom_config"])}
            if "code_digest" in properties:
                result[component.id] = properties["code_digest"]
        return result

    return of


@pytest.fixture
def edit(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a module's source be that of an edited copy."""

    def edited(module: str) -> None:
        real = digest._source
        path = real(module)
        assert path is not None
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes() + b"\n# edited\n")
        monkeypatch.setattr(digest, "_source", lambda name: copy if name == module else real(name))

    return edited


def changed(one: Digests, two: Digests) -> set[str]:
    assert one.keys() == two.keys()
    return {stage for stage in one if one[stage] != two[stage]}


@pytest.fixture(scope="module")
def before(digests: Callable[[RunConfig], Digests]) -> dict[str, Digests]:
    """What the digests are as the code is: of a recipe, and of the default search."""
    return {"steps": digests(configured(steps())), "search": digests(configured({"trials": 1}))}


def test_every_technique_has_a_stage_of_its_own(before: dict[str, Digests]) -> None:
    nodes = {entry.component for entry in TECHNIQUES.all().values()}
    assert nodes <= before["steps"].keys()
    assert {"LogExampleGen", "Transform", "Trainer", "FileValidator", "RunReport", "Pusher"} <= (
        before["steps"].keys() - nodes
    )
    values = [before["steps"][node] for node in nodes]
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("name", TECHNIQUES.names)
def test_an_edited_technique_reruns_its_stage_only(
    name: str,
    edit: Callable[[str], None],
    digests: Callable[[RunConfig], Digests],
    before: dict[str, Digests],
) -> None:
    entry = TECHNIQUES.get(name)
    edit(TECHNIQUES.module(name))
    assert changed(before["steps"], digests(configured(steps()))) == {entry.component}
    expected = {"BudgetSearch"} if entry.dimensions else set()
    assert changed(before["search"], digests(configured({"trials": 1}))) == expected


@pytest.mark.parametrize("name", HELPERS)
def test_an_edited_helper_reruns_the_stages_that_use_it(
    name: str,
    edit: Callable[[str], None],
    digests: Callable[[RunConfig], Digests],
    before: dict[str, Digests],
) -> None:
    edit(COMPRESSION + name)
    expected = {TECHNIQUES.get(technique).component for technique in HELPERS[name]}
    assert changed(before["steps"], digests(configured(steps()))) == expected


def test_a_search_covers_the_techniques_of_its_recipes(
    edit: Callable[[str], None], digests: Callable[[RunConfig], Digests]
) -> None:
    recipes = {"only": [{"technique": "prune", **TECHNIQUES.get("prune").example}]}
    config = configured({"recipes": recipes})
    one = digests(config)
    edit(TECHNIQUES.module("cluster"))
    assert digests(config) == one
    edit(TECHNIQUES.module("prune"))
    assert changed(one, digests(config)) == {"BudgetSearch"}
