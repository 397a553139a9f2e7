"""What a version holds for apps, and what it leaves out where the vocabularies are not pushed."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from ranklite.models.export.tflite import TFLite
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.serving import clients, for_apps
from tests.pushed_model import FEATURES, push

WORDS = {"user": ["u0", "u1", "u2"], "item": ["1", "2", "3"], "tags": ["a", "b"]}
PREPROCESSING = json.dumps({"constants": {"vocabularies": WORDS}}).encode()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LiteModel:
    folder = push(pathlib.Path(tmp_path_factory.mktemp("pushed")))
    return LiteModel(str(folder / "model.tflite"))


def files(model: LiteModel, **settings: Any) -> dict[str, bytes]:
    metadata = {"features": FEATURES, "fingerprint": model.encoder.entry()}
    metadata["config"] = {"push": settings}
    return for_apps.files(TFLite(), model, metadata, PREPROCESSING)


def users(made: dict[str, bytes]) -> set[str]:
    """Users whose ids are written in some file."""
    return {user for user in WORDS["user"] if any(f'"{user}"'.encode() in t for t in made.values())}


def test_clients_vectors_and_preprocessing(model: LiteModel) -> None:
    made = files(model)
    folders = {name.split("/")[1] for name in made if name.startswith("clients/")}
    assert folders == {*clients.LANGUAGES, clients.VECTORS_FILE}
    assert json.loads(made["preprocessing.json"]) == json.loads(PREPROCESSING)
    assert users({"vectors": made["clients/vectors.json"]}) == set(WORDS["user"])


def test_no_value_of_a_vocabulary_is_pushed(model: LiteModel) -> None:
    made = files(model, preprocessing=False)
    assert set(made) == set(files(model)) - {"preprocessing.json"}
    assert users(made) == set()
    rows = json.loads(made["clients/vectors.json"])["rows"]
    assert len({row["row"]["user"] for row in rows}) > 3  # made-up ones are there


def test_no_clients(model: LiteModel) -> None:
    assert set(files(model, clients=False)) == {"preprocessing.json"}


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize(
    ("push", "names"), [({}, ["preprocessing.json"]), ({"preprocessing": False}, [])]
)
def test_preprocessing_is_json_of_any_parser(push: dict[str, bool], names: list[str]) -> None:
    class NoEncoder:
        encoder = None

    data = b'{"values": [1.5, NaN, "NaN"], "constants": {"vocabularies": {}}}'
    made = for_apps.files(TFLite(), NoEncoder(), {"config": {"push": push}}, data)
    assert sorted(made) == names
    for content in made.values():
        read = json.loads(content, parse_constant=no_constant)
        assert read["values"] == [1.5, None, "NaN"]
