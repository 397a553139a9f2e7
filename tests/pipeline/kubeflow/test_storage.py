"""Object storage, on a server of the tests, and plain folders, alike."""

from __future__ import annotations

import pathlib

import pytest

from ranklite.pipeline.kubeflow import storage
from tests.object_store import ObjectStore


@pytest.fixture(params=["minio://bucket/root", "s3://bucket/root", "folder"])
def root(request: pytest.FixtureRequest, store: ObjectStore, tmp_path: pathlib.Path) -> str:
    return str(tmp_path / "root") if request.param == "folder" else request.param


def test_what_was_uploaded_is_listed_read_and_downloaded(root: str, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"one")
    (source / "deep" / "b.bin").write_bytes(bytes(range(256)) * 40_000)  # ten megabytes
    storage.upload(str(source), root)
    assert storage.files(root) == ["a.txt", "deep/b.bin"]
    assert storage.read(storage.join(root, "a.txt")) == b"one"
    assert storage.read(storage.join(root, "none")) is None
    storage.download(root, str(tmp_path / "all"))
    assert (tmp_path / "all/deep/b.bin").read_bytes() == (source / "deep/b.bin").read_bytes()
    storage.download(root, str(tmp_path / "some"), ["a.txt"])
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["a.txt"]
    storage.write(storage.join(root, "a.txt"), b"two")
    assert storage.read(storage.join(root, "a.txt")) == b"two"
    storage.remove(storage.join(root, "deep"))
    assert storage.files(root) == ["a.txt"]
    storage.remove(storage.join(root, "deep"))  # nothing there any more


def test_nothing_there_is_no_file(root: str) -> None:
    assert storage.files(storage.join(root, "nowhere")) == []


def test_the_last_file_is_written_last(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "m", "z"):
        (tmp_path / name).write_text(name)
    written: list[str] = []
    monkeypatch.setattr(storage, "write", lambda uri, content: written.append(uri))
    storage.upload(str(tmp_path), "s3://b", last="m")
    assert written == ["s3://b/a", "s3://b/z", "s3://b/m"]


def test_uris_are_mirrored_where_the_launcher_puts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(storage.MOUNTS_ENV, raising=False)
    assert storage.mounted("minio://b/x/y") == "/minio/b/x/y"
    assert storage.mounted("gs://b/x") == "/gcs/b/x"
    assert storage.mounted("s3://b/x") == "/s3/b/x"
    assert storage.mounted("/already/here") == "/already/here"
    assert not storage.is_remote("/already/here")
