"""A reader of the folder of versions sees whole versions, whatever happens to the writer."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ranklite.models.serving import versions as bundle
from ranklite.models.serving.metadata_file import sealed

KILLED_PUSH = """
import os, signal, sys
from ranklite.models.serving import versions as bundle

calls = {{"n": 0}}
def dying(real):
    def call(*args, **kwargs):
        calls["n"] += 1
        if calls["n"] == {point}:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call

os.fsync, os.rename = dying(os.fsync), dying(os.rename)
models = {{"model.tflite": b"new"}}
bundle.write_version(sys.argv[1], models, {{"model": {{"v": 2}}, "report": {{}}}}, keep={keep})
"""


def model(content: bytes) -> dict[str, bytes]:
    return {"model.tflite": content}


def test_versions_count_up(tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path / "pushed")
    assert bundle.latest_version(folder) is None
    assert bundle.write_version(folder, model(b"a"), {"model": {"v": 1}}).endswith("/1")
    assert bundle.write_version(folder, model(b"b"), {"model": {"v": 2}}).endswith("/2")
    os.rename(f"{folder}/2", f"{folder}/10")
    assert bundle.write_version(folder, model(b"c"), {}).endswith("/11")
    assert bundle.versions(folder) == [1, 10, 11]
    written = json.loads((tmp_path / "pushed/10/model.json").read_text())
    sha256 = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"  # of b"b"
    assert written == sealed({"v": 2, "files": {"model.tflite": {"bytes": 1, "sha256": sha256}}})


def test_the_same_model_makes_no_second_version(tmp_path: pathlib.Path) -> None:
    first = bundle.write_version(str(tmp_path), model(b"a"), {})
    assert bundle.write_version(str(tmp_path), model(b"a"), {}) == first
    assert bundle.versions(str(tmp_path)) == [1]


def test_only_the_newest_are_kept(tmp_path: pathlib.Path) -> None:
    for number in range(5):
        bundle.write_version(str(tmp_path), model(bytes([number])), {}, keep=2)
    assert bundle.versions(str(tmp_path)) == [4, 5]
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".pushing")]


@pytest.mark.fault("something else lies under a staging name", "removed; the push goes on")
def test_what_a_stranger_left_under_a_staging_name_is_no_obstacle(tmp_path: pathlib.Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    pushed = tmp_path / "pushed"
    (pushed / ".pushing-folder" / "below").mkdir(parents=True)
    (pushed / ".pushing-file").touch()
    (pushed / ".pushing-link").symlink_to(elsewhere)
    assert bundle.write_version(str(pushed), model(b"a"), {}).endswith("1")
    assert sorted(os.listdir(pushed)) == [".lock", "1"]
    assert (elsewhere / "kept").exists()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o077, 0o700)])
def test_a_version_has_the_mode_that_the_umask_says(
    tmp_path: pathlib.Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        version = pathlib.Path(bundle.write_version(str(tmp_path), model(b"a"), {"model": {}}))
    finally:
        os.umask(before)
    assert version.stat().st_mode & 0o777 == mode
    for path in version.iterdir():
        assert path.stat().st_mode & 0o777 == mode & 0o666


# 1-3: flushing the three files; 4: their folder; 5: the rename; 6: flushing the destination.
@pytest.mark.parametrize("point", [1, 2, 3, 4, 5, 6])
@pytest.mark.fault("a push is killed at each of its steps", "a reader sees whole versions only")
def test_a_killed_push_leaves_nothing_half_visible(tmp_path: pathlib.Path, point: int) -> None:
    bundle.write_version(str(tmp_path), model(b"old"), {"model": {"v": 1}})
    code = KILLED_PUSH.format(point=point, keep=None)
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert process.returncode == -signal.SIGKILL
    visible = bundle.versions(str(tmp_path))
    assert visible == ([1] if point < 6 else [1, 2])
    for version in visible:
        names = {path.name for path in (tmp_path / str(version)).iterdir()}
        assert {"model.tflite", "model.json"} <= names
    after = bundle.write_version(str(tmp_path), model(b"newer"), {"model": {"v": 3}})
    assert after.endswith(str(visible[-1] + 1))
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".pushing")]


# 7: the rename that hides the old version, after the new one stands.
@pytest.mark.fault("a push is killed while it removes old versions", "both stay whole")
def test_a_push_killed_while_pruning_keeps_both(tmp_path: pathlib.Path) -> None:
    bundle.write_version(str(tmp_path), model(b"old"), {})
    code = KILLED_PUSH.format(point=7, keep=1)
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert bundle.versions(str(tmp_path)) == [1, 2]


def test_pushers_at_once_get_versions_of_their_own(tmp_path: pathlib.Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        contents = [bytes([n]) for n in range(8)]
        pushed = list(
            pool.map(lambda c: bundle.write_version(str(tmp_path), model(c), {}), contents)
        )
    assert bundle.versions(str(tmp_path)) == list(range(1, 9))
    for folder, content in zip(pushed, contents, strict=True):
        assert (pathlib.Path(folder) / "model.tflite").read_bytes() == content


def test_what_holds_no_model_is_no_version(tmp_path: pathlib.Path) -> None:
    first = bundle.write_version(str(tmp_path), model(b"a"), {})
    (tmp_path / "7").mkdir()
    (tmp_path / "9").write_text("")
    (tmp_path / "010").mkdir()
    assert bundle.latest_version(str(tmp_path)) == first
    assert bundle.write_version(str(tmp_path), model(b"b"), {}, keep=1).endswith("/11")
    assert bundle.versions(str(tmp_path)) == [11]


def test_a_version_may_hold_a_file_of_each_target(tmp_path: pathlib.Path) -> None:
    both = {"model.onnx": b"o", "model.tflite": b"t"}
    first = bundle.write_version(str(tmp_path), both, {"model": {"target": "tflite"}})
    assert [os.path.basename(path) for path in bundle.model_files(first)] == sorted(both)
    assert bundle.write_version(str(tmp_path), both, {}) == first
    assert bundle.write_version(str(tmp_path), {"model.tflite": b"t"}, {}).endswith("/2")
    assert bundle.versions(str(tmp_path)) == [1, 2]


@pytest.mark.parametrize("models", [{}, {"model.json": b"{}"}, {"report.html": b""}])
def test_what_is_no_model_makes_no_version(
    tmp_path: pathlib.Path, models: dict[str, bytes]
) -> None:
    with pytest.raises(ValueError, match="a version holds models"):
        bundle.write_version(str(tmp_path), models, {})
    assert bundle.versions(str(tmp_path)) == []
