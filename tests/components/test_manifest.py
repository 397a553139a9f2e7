"""What was written is what is read: nothing of an artifact changes, goes or comes unseen."""

from __future__ import annotations

import json
import os
import pathlib
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.components import manifest
from ranklite.components.manifest import DamagedArtifact, check, put_aside, read, write

FILES = {"weights": bytes(range(256)), "Split-train/data.gz": b"rows" * 99, "empty": b""}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("artifacts") / "Trainer" / "model" / "7"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    write(str(folder))
    return folder


def test_what_is_whole_passes(artifact: pathlib.Path) -> None:
    check(str(artifact))
    check(f"{artifact}/")
    assert (artifact.parent / ".7.manifest.json").is_file()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
@pytest.mark.fault(
    "bits of an artifact flip, files of it are cut short (200 of them)",
    "seen before anything reads it",
)
def test_every_flip_and_every_cut_is_seen(artifact: pathlib.Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name, content in FILES.items() if content]))
    content = FILES[name]
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        damaged = content[:place]
    else:
        flipped = content[place] ^ (1 << data.draw(st.integers(0, 7)))
        damaged = content[:place] + bytes([flipped]) + content[place + 1 :]
    path = artifact / name
    path.write_bytes(damaged)
    try:
        with pytest.raises(DamagedArtifact, match=f"{path} is damaged"):
            check(str(artifact))
    finally:
        path.write_bytes(content)
    check(str(artifact))


@pytest.mark.fault("a file of an artifact is gone, another one came", "both named")
def test_a_file_that_is_gone_or_came_is_named(artifact: pathlib.Path) -> None:
    (artifact / "empty").rename(artifact / "other")
    with pytest.raises(DamagedArtifact) as error:
        check(str(artifact))
    (artifact / "other").rename(artifact / "empty")
    assert str(error.value) == (
        f"{artifact}/empty is gone; {artifact}/other was not written by the stage"
    )


@pytest.mark.fault("the folder of an artifact is gone", "named")
def test_a_folder_that_is_gone_is_named(artifact: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(artifact.parent, tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "7")
    with pytest.raises(DamagedArtifact, match="model/7 is gone"):
        check(str(tmp_path / "model" / "7"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"a": 1}}', '{"files": {"a": {}}}'])
@pytest.mark.fault("a manifest is damaged", "named; what it is of is made again")
def test_a_damaged_manifest_is_damage(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / ".7.manifest.json").write_text(text)
    with pytest.raises(DamagedArtifact, match=r"\.7\.manifest\.json is no manifest"):
        check(str(tmp_path / "7"))


def test_an_artifact_of_an_earlier_version_has_none(tmp_path: pathlib.Path) -> None:
    assert read(str(tmp_path)) is None
    check(str(tmp_path))


def test_rows_of_examples_are_in_it(tmp_path: pathlib.Path) -> None:
    examples = tmp_path / "3"
    examples.mkdir()
    (examples / "rows.json").write_text(json.dumps({"train": 5}))
    write(str(examples))
    assert (read(str(examples)) or {})["rows"] == {"train": 5}


def test_what_is_put_aside_keeps_its_content(tmp_path: pathlib.Path) -> None:
    for number, name in enumerate(("7.damaged", "7.1.damaged")):
        (tmp_path / "7").mkdir()
        (tmp_path / "7" / "weights").write_text(str(number))
        write(str(tmp_path / "7"))
        assert put_aside(str(tmp_path / "7")) == str(tmp_path / name)
        assert (tmp_path / name / "weights").read_text() == str(number)
        assert sorted(os.listdir(tmp_path)) == sorted(["7.damaged", "7.1.damaged"][: number + 1])
    assert put_aside(str(tmp_path / "7")) is None


def test_a_manifest_is_written_whole(tmp_path: pathlib.Path) -> None:
    (tmp_path / "7").mkdir()
    write(str(tmp_path / "7"))
    assert sorted(os.listdir(tmp_path)) == [".7.manifest.json", "7"]
    assert manifest.path_of("a/7/") == "a/.7.manifest.json"
