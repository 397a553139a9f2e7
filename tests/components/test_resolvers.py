"""A run is compared with the newest accepted artifact other than its own."""

from __future__ import annotations

from typing import Any

import pytest
from tfx.types import standard_artifacts

from ranklite.components.resolvers import (
    LastAcceptedStatistics,
    LastPushedCheckpoint,
    LastPushedModel,
)


def model(number: int, digest: str = "same") -> Any:
    artifact = standard_artifacts.Model()
    artifact.id, artifact.uri = number, f"model/{number}"
    artifact.set_string_custom_property("features_digest", digest)
    return artifact


def pushed(model_id: int, done: int = 1) -> Any:
    artifact = standard_artifacts.PushedModel()
    artifact.set_int_custom_property("pushed", done)
    artifact.set_int_custom_property("model_id", model_id)
    return artifact


def last_pushed(current: Any, models: list[Any], pushes: list[Any]) -> list[int]:
    resolved = LastPushedModel().resolve_artifacts(
        None, {"current": [current], "candidates": models, "pushed": pushes}
    )
    assert resolved is not None
    return [artifact.id for artifact in resolved["candidates"]]


def test_a_first_run_has_nothing_to_compare_with() -> None:
    assert last_pushed(model(1), [model(1)], []) == []


def test_an_unchanged_rerun_is_not_compared_with_itself() -> None:
    assert last_pushed(model(1), [model(1)], [pushed(1)]) == []


def test_the_newest_other_pushed_model_is_taken() -> None:
    models = [model(1), model(2), model(3), model(4)]
    assert last_pushed(model(4), models, [pushed(1), pushed(2), pushed(4)]) == [2]


def test_a_refused_model_is_not_a_baseline() -> None:
    assert last_pushed(model(3), [model(1), model(2)], [pushed(1), pushed(2, done=0)]) == [1]


def test_a_model_on_other_features_is_not_a_baseline() -> None:
    models = [model(1), model(2, "other")]
    assert last_pushed(model(3), models, [pushed(1), pushed(2)]) == [1]


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
