"""What a version holds beside the model: data that every language can read."""

from __future__ import annotations

import json

import pytest

from ranklite.components.pusher import for_apps
from ranklite.models.export.tflite import TFLite


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize(
    ("push", "names"), [({}, ["preprocessing.json"]), ({"preprocessing": False}, [])]
)
def test_preprocessing_is_json_of_any_parser(push: dict[str, bool], names: list[str]) -> None:
    class NoEncoder:
        encoder = None

    data = b'{"values": [1.5, NaN, "NaN"], "constants": {"vocabularies": {}}}'
    made = for_apps.files(TFLite(), NoEncoder(), {}, data, push)
    assert sorted(made) == names
    for content in made.values():
        read = json.loads(content, parse_constant=no_constant)
        assert read["values"] == [1.5, None, "NaN"]
