"""What is damaged of a version is refused, and whatever `model.json` holds ends no process."""

from __future__ import annotations

import contextlib
import copy
import json
import pathlib
import random
import shutil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.models.serving.metadata_file import (
    DamagedFile,
    parsed,
    read_metadata,
    sealed,
)
from ranklite.models.serving.scorer import Scorer
from ranklite.models.serving.versions import check_version
from tests.pushed_model import ROW, push

FLIPS = 1000


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return push(tmp_path_factory.mktemp("pushed"))


@pytest.fixture
def damaged(version: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(version, tmp_path / "1"))


def flipped(content: bytes, bit: int) -> bytes:
    result = bytearray(content)
    result[bit // 8] ^= 1 << bit % 8
    return bytes(result)


@pytest.mark.fault("1,000 single bits of a file flip", "the scorer and verify refuse each")
@pytest.mark.parametrize("name", ["model.tflite", "model.json"])
def test_every_flipped_bit_is_refused(damaged: pathlib.Path, name: str) -> None:
    path = damaged / name
    content = path.read_bytes()
    for bit in random.Random(0).sample(range(8 * len(content)), FLIPS):
        path.write_bytes(flipped(content, bit))
        with pytest.raises((DamagedFile, OSError)):
            Scorer(str(damaged))
        with pytest.raises((DamagedFile, OSError)):
            check_version(str(damaged))
    path.write_bytes(content)
    assert Scorer(str(damaged)).score([ROW]).shape == (1,)


@pytest.mark.fault("model.tflite and model.json are cut at 64 places each", "every one refused")
def test_every_cut_is_refused(damaged: pathlib.Path) -> None:
    for name in ("model.tflite", "model.json"):
        content = (damaged / name).read_bytes()
        for number in range(64):
            (damaged / name).write_bytes(content[: number * len(content) // 64])
            with pytest.raises(DamagedFile):
                Scorer(str(damaged))
        (damaged / name).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 99}, "schema_version is 99, and this RankLite reads up to 2: a later"),
        ({"schema_version": 0}, "schema_version is 0; versions begin with 1"),
        ({"schema_version": "1"}, "schema_version is '1', and not a whole number"),
        ({"features": None}, "features is None, and not a list"),
        ({"features": [{"kind": "numeric"}]}, r"features\[0\].name is missing"),
        ({"features": [{"name": "a"}, {"name": "a"}]}, r"features\[1\].name is 'a', as another"),
        ({"features": [{"name": 7}]}, r"features\[0\].name is 7, and not a text"),
        (
            {"features": [{"name": "a", "dtype": "complex"}]},
            r"features\[0\].dtype is 'complex'; allowed are float32, int64, string",
        ),
        ({"features": [{"name": "a", "max_length": -5}]}, "max_length is -5; allowed are 1 to"),
        ({"features": [{"name": "a", "past": {"feature": "b"}}]}, "past.by is missing"),
        ({"fingerprint": {"hash": "x"}}, "fingerprint.seed is missing"),
        ({"files": {"model.tflite": {"bytes": True}}}, "files.model.tflite.sha256 is missing"),
        ({"config": [1]}, r"config is \[1\], and not an object"),
    ],
)
@pytest.mark.fault(
    "model.json holds a wrong value", "refused with file, key, value and what is allowed"
)
def test_a_wrong_value_is_named(version: pathlib.Path, change: dict[str, Any], words: str) -> None:
    metadata = {**json.loads((version / "model.json").read_text()), **change}
    with pytest.raises(DamagedFile, match=f"^here/model.json: .*{words}"):
        parsed(json.dumps(sealed(metadata)).encode(), "here/model.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000],
    ids=["nothing", "one brace", "a list", "null", "no text", "100,000 brackets"],
)
@pytest.mark.fault("model.json is no JSON object", "refused, and named")
def test_what_is_no_object_is_named(content: bytes) -> None:
    with pytest.raises(DamagedFile, match=r"^model\.json is not what was pushed: it "):
        parsed(content, "model.json")


def test_a_version_from_before_seals_is_read(version: pathlib.Path) -> None:
    metadata = json.loads((version / "model.json").read_text())
    del metadata["sha256"], metadata["schema_version"]
    assert parsed(json.dumps(metadata).encode(), "model.json") == metadata
    with pytest.raises(DamagedFile, match="does not match the digest"):
        parsed(json.dumps({**metadata, "schema_version": 2}).encode(), "model.json")


@pytest.mark.fault("model.json is of another file", "refused, and the inputs named")
def test_inputs_that_the_file_does_not_take_are_named(damaged: pathlib.Path) -> None:
    metadata = read_metadata(str(damaged))
    metadata["features"] = [f for f in metadata["features"] if f["name"] != "price"]
    (damaged / "model.json").write_text(json.dumps(sealed(metadata)))
    with pytest.raises(DamagedFile, match="other inputs than the file takes: price"):
        Scorer(str(damaged))


def test_a_seal_does_not_depend_on_how_json_is_written() -> None:
    metadata = sealed({"features": [], "rows": {10: 1, 9: (1, 2.5)}, "text": "ä"})
    assert parsed(json.dumps(metadata, indent=4, ensure_ascii=False).encode(), "x") == metadata


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*path, key))
    return found


@settings(max_examples=300, deadline=None)
@given(data=st.data())
@pytest.mark.fault(
    "model.json was written by someone who means harm (300 of them)",
    "an error or a score, no traceback",
)
def test_no_value_of_a_hostile_file_is_a_traceback(
    version: pathlib.Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Sealed again, as someone who means harm would: the scorer works or says what is wrong."""
    metadata = copy.deepcopy(json.loads((version / "model.json").read_text()))
    metadata["fingerprint"] = {"hash": "murmur3_32", "seed": 1, "inputs": {}}
    *above, last = data.draw(st.sampled_from(places(metadata)[1:]))
    inside = metadata
    for key in above:
        inside = inside[key]
    if data.draw(st.booleans()) and isinstance(inside, dict):
        del inside[last]
    else:
        inside[last] = data.draw(JSON)
    folder = tmp_path_factory.getbasetemp() / "hostile"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(version, folder)
    (folder / "model.json").write_text(json.dumps(sealed(metadata)))
    with contextlib.suppress(ValueError, OSError, KeyError):  # what the command line tells
        Scorer(str(folder)).score([ROW])
