"""A run is compared with the newest accepted artifact other than its own."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from tfx.types import standard_artifacts

from ranklite.components.comparable import properties
from ranklite.components.resolvers import (
    LastAcceptedStatistics,
    LastPushedCheckpoint,
    LastPushedModel,
)
from ranklite.models.features.feature_set import FeatureSet


@pytest.fixture(autouse=True)
def _folders(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all artifacts: one whose folder is gone is compared with nothing."""
    monkeypatch.chdir(tmp_path)
    for name in (*(f"model/{number}" for number in range(10)), *"abc"):
        (tmp_path / name).mkdir(parents=True)


def model(number: int, digest: str = "same") -> Any:
    artifact = standard_artifacts.Model()
    artifact.id, artifact.uri = number, f"model/{number}"
    artifact.set_string_custom_property("features_digest", digest)
    return artifact


def pushed(model_id: int, done: int = 1) -> Any:
    artifact = standard_artifacts.PushedModel()
    artifact.set_int_custom_property("pushed", done)
    artifact.set_int_custom_property("model_id", model_id)
    artifact.set_int_custom_property("stage_report_id", model_id)
    artifact.id = model_id + 100
    return artifact


def resolved_last(current: Any, models: list[Any], pushes: list[Any]) -> dict[str, list[int]]:
    channels = {"candidates": models, "pushed": pushes, "reports": models}
    resolved = LastPushedModel().resolve_artifacts(None, {"current": [current], **channels})
    assert resolved is not None
    return {key: [artifact.id for artifact in resolved[key]] for key in ("candidates", "reports")}


def last_pushed(current: Any, models: list[Any], pushes: list[Any]) -> list[int]:
    return resolved_last(current, models, pushes)["candidates"]


def test_a_first_run_has_nothing_to_compare_with() -> None:
    assert last_pushed(model(1), [model(1)], []) == []


def test_an_unchanged_rerun_is_not_compared_with_itself() -> None:
    assert last_pushed(model(1), [model(1)], [pushed(1)]) == []


def test_the_newest_other_pushed_model_is_taken() -> None:
    models = [model(1), model(2), model(3), model(4)]
    assert last_pushed(model(4), models, [pushed(1), pushed(2), pushed(4)]) == [2]


def test_a_model_whose_folder_is_gone_is_not_a_baseline() -> None:
    pathlib.Path("model/2").rmdir()
    models = [model(1), model(2), model(3)]
    assert last_pushed(model(3), models, [pushed(1), pushed(2)]) == [1]


def test_a_refused_model_is_not_a_baseline() -> None:
    assert last_pushed(model(3), [model(1), model(2)], [pushed(1), pushed(2, done=0)]) == [1]


def test_a_model_on_other_features_is_not_a_baseline() -> None:
    models = [model(1), model(2, "other")]
    assert last_pushed(model(3), models, [pushed(1), pushed(2)]) == [1]


def reading(number: int, *features: dict[str, Any]) -> Any:
    artifact = model(number)
    for name, value in properties(FeatureSet.model_validate({"features": features})).items():
        artifact.set_string_custom_property(name, value)
    return artifact


USER, ITEM = ({"name": name, "kind": "categorical"} for name in ("user", "item"))
PRICE = {"name": "price", "kind": "numeric"}


@pytest.mark.parametrize(
    ("before", "now", "comparable"),
    [
        ([USER], [USER], True),
        ([USER], [USER, ITEM], True),  # one came: the rows hold all that the old model reads
        ([USER, ITEM], [ITEM, USER], True),
        ([USER, ITEM], [USER], False),  # one went
        ([ITEM], [{**ITEM, "dtype": "int64"}], False),
        ([PRICE, USER], [PRICE, ITEM, USER], True),
    ],
)
def test_a_model_is_compared_where_the_rows_hold_what_it_reads(
    before: list[Any], now: list[Any], comparable: bool
) -> None:
    models = [reading(1, *before), reading(2, *now)]
    assert last_pushed(models[1], models, [pushed(1)]) == [1] * comparable


def test_figures_of_the_last_push_need_no_common_rows() -> None:
    models = [reading(1, USER, ITEM), reading(2, USER), reading(3, USER)]
    pushes = [pushed(2), pushed(1), pushed(3, done=0)]
    assert resolved_last(models[2], models, pushes[1:]) == {"candidates": [], "reports": [1]}
    assert resolved_last(models[2], models, pushes) == {"candidates": [2], "reports": [2]}
    assert resolved_last(models[1], models, pushes) == {"candidates": [], "reports": [1]}


def last_checkpoint(examples_id: int, models: list[Any], pushes: list[Any]) -> list[int]:
    examples = standard_artifacts.Examples()
    examples.id = examples_id
    resolved = LastPushedCheckpoint().resolve_artifacts(
        None, {"current": [examples], "candidates": models, "pushed": pushes}
    )
    assert resolved is not None
    return [artifact.id for artifact in resolved["candidates"]]


def trained_on(examples_id: int, checkpoint_id: int, done: int = 1) -> Any:
    artifact = pushed(checkpoint_id + 100, done)
    artifact.set_int_custom_property("examples_id", examples_id)
    artifact.set_int_custom_property("float_checkpoint_id", checkpoint_id)
    return artifact


def test_training_starts_from_the_parent_of_the_newest_push_on_other_examples() -> None:
    models = [model(1), model(2), model(3)]
    pushes = [trained_on(11, 1), trained_on(12, 2), trained_on(13, 3, done=0)]
    assert last_checkpoint(14, models, pushes) == [2]
    assert last_checkpoint(12, models, pushes) == [1]  # a rerun resolves what it did before
    assert last_checkpoint(11, models, pushes[:1]) == []


def statistics(uri: str, number: int) -> Any:
    artifact = standard_artifacts.ExampleStatistics()
    artifact.id, artifact.uri = number, uri
    return artifact


def acceptance(uri: str, blessed: int) -> Any:
    artifact = standard_artifacts.ModelBlessing()  # only its properties are read
    artifact.set_int_custom_property("blessed", blessed)
    artifact.set_string_custom_property("statistics_uri", uri)
    return artifact


@pytest.mark.parametrize(
    ("accepted", "current", "expected"),
    [
        ([], "c", []),
        ([("a", 1)], "c", [1]),
        ([("a", 1), ("b", 1)], "c", [2]),
        ([("a", 1), ("b", 0)], "c", [1]),
        ([("a", 1), ("b", 1), ("c", 1)], "c", [2]),
    ],
)
def test_the_last_accepted_statistics(
    accepted: list[tuple[str, int]], current: str, expected: list[int]
) -> None:
    everything = {uri: statistics(uri, number) for number, uri in enumerate("abc", 1)}
    resolved = LastAcceptedStatistics().resolve_artifacts(
        None,
        {
            "current": [everything[current]],
            "candidates": list(everything.values()),
            "blessings": [acceptance(uri, blessed) for uri, blessed in accepted],
        },
    )
    assert resolved is not None
    assert [artifact.id for artifact in resolved["candidates"]] == expected
