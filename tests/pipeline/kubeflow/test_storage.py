"""Object storage, on real servers, and plain folders, alike."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator

import pytest

from ranklite.pipeline.kubeflow import object_store, storage
from ranklite.pipeline.kubeflow.object_store import StorageError
from tests.faults import Faults, faults_before
from tests.kubeflow_backend import ROOT
from tests.object_store import ObjectStore

NAMES = [
    "a b/ two  spaces .txt",
    "größe/日本語/привет.csv",
    unicodedata.normalize("NFC", "é") + ".composed",
    unicodedata.normalize("NFD", "é") + ".decomposed",
    "100%25 #1 ?x=y&z=+ *~'\"!()[]{}|^`<>;:@=,$.txt",
    "date=2026-11-22/🙂.parquet",
    "tab\tand\nline",
    "...",
    "x" * 200,
]

OBJECTS = {"s3": "/bucket", "gs": "/b/bucket/o"}  # paths; Google's client also asks for the bucket


@pytest.fixture(params=["s3", "gs"])
def server(request: pytest.FixtureRequest) -> ObjectStore:
    """Each of the servers, empty, which this process is set up to find."""
    served: ObjectStore = request.getfixturevalue({"s3": "store", "gs": "gcs"}[request.param])
    return served


@pytest.fixture(params=["minio://bucket/root", "s3://bucket/root", "gs://bucket/root", "folder"])
def root(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "root")
    request.getfixturevalue("gcs" if request.param.startswith("gs") else "store")
    return str(request.param)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the clients wait before they repeat a request; the test does not wait."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def faults(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Something that fails in front of the server, which this process finds in its place."""
    with faults_before(server.endpoint) as served:
        for name, value in server.reached_by(served.endpoint).items():
            monkeypatch.setenv(name, value)
        storage._store.cache_clear()
        yield served
    storage._store.cache_clear()


def test_what_was_uploaded_is_listed_read_and_downloaded(root: str, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"one")
    (source / "deep" / "b.bin").write_bytes(bytes(range(256)) * 80_000)  # twenty megabytes
    storage.upload(str(source), root)
    assert storage.files(root) == ["a.txt", "deep/b.bin"]
    assert [entry.size for entry in storage.entries(root)] == [3, 256 * 80_000]
    assert all(abs(entry.written.timestamp() - time.time()) < 60 for entry in storage.entries(root))
    assert storage.read(storage.join(root, "a.txt")) == b"one"
    assert storage.read(storage.join(root, "none")) is None
    storage.download(root, str(tmp_path / "all"))
    assert (tmp_path / "all/deep/b.bin").read_bytes() == (source / "deep/b.bin").read_bytes()
    storage.download(root, str(tmp_path / "some"), ["a.txt"])
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["a.txt"]
    with pytest.raises(FileNotFoundError, match=r"there is no .*root/none"):
        storage.download(root, str(tmp_path / "some"), ["none"])
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["a.txt"]
    storage.write(storage.join(root, "a.txt"), b"two")
    assert storage.read(storage.join(root, "a.txt")) == b"two"
    storage.remove(storage.join(root, "deep"))
    assert storage.files(root) == ["a.txt"]
    storage.remove(storage.join(root, "deep"))  # nothing there any more


def test_nothing_there_is_no_file(root: str) -> None:
    assert storage.files(storage.join(root, "nowhere")) == []


def test_names_are_kept_as_they_are(server: ObjectStore, tmp_path: pathlib.Path) -> None:
    root = f"{server.scheme}://bucket/a root/ü"
    for number, name in enumerate(NAMES):
        storage.write(storage.join(root, name), str(number).encode())
    assert set(server.objects) == {f"bucket/a root/ü/{name}" for name in NAMES}
    assert storage.files(root) == sorted(NAMES)
    storage.download(root, str(tmp_path / "down"))
    for number, name in enumerate(NAMES):
        assert storage.read(storage.join(root, name)) == str(number).encode()
        assert (tmp_path / "down" / name).read_text() == str(number)
    storage.upload(str(tmp_path / "down"), f"{root} again")
    assert storage.files(f"{root} again") == sorted(NAMES)
    storage.remove(root)
    assert set(server.objects) == {f"bucket/a root/ü again/{name}" for name in NAMES}


def test_names_that_a_key_only_begins_with_are_others(server: ObjectStore) -> None:
    server.objects.update({"bucket/v/1/model": b"", "bucket/v/10/model": b"", "bucket/top": b""})
    assert storage.files(f"{server.scheme}://bucket/v/1") == ["model"]
    assert storage.files(f"{server.scheme}://bucket") == ["top", "v/1/model", "v/10/model"]
    storage.remove(f"{server.scheme}://bucket/v/1")
    assert set(server.objects) == {"bucket/v/10/model", "bucket/top"}


def test_empty_folders_of_a_console_are_no_files(server: ObjectStore) -> None:
    server.objects.update({"bucket/log/": b"", "bucket/log/2026/": b"", "bucket/log/2026/a": b"a"})
    assert storage.files(f"{server.scheme}://bucket/log") == ["2026/a"]
    storage.remove(f"{server.scheme}://bucket/log")
    assert not server.objects


def test_a_name_that_is_no_path_is_left_out(
    gcs: ObjectStore, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = ["../out", "a/../../out", "/out", "./a", "a//b"]  # SeaweedFS has none such
    gcs.objects.update({f"bucket/log/{name}": b"" for name in [*outside, "a/b"]})
    assert storage.files("gs://bucket/log") == ["a/b"]
    assert all(repr(f"log/{name}") in caplog.text for name in outside)
    storage.download("gs://bucket/log", str(tmp_path / "log"))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b"]
    storage.remove("gs://bucket/log")
    assert not gcs.objects


@pytest.mark.slow
def test_more_objects_than_an_answer_holds(server: ObjectStore, tmp_path: pathlib.Path) -> None:
    names = [f"{number % 7}/{number:04}" for number in range(1100)]
    root = f"{server.scheme}://bucket/many"
    object_store.each(lambda name: storage.write(f"{root}/{name}", name.encode()), names)
    assert storage.files(root) == sorted(names)
    storage.download(root, str(tmp_path))
    assert all((tmp_path / name).read_text() == name for name in names)
    storage.remove(root)
    assert not server.objects


@pytest.mark.parametrize("status", [429, 500, 503, 0])
@pytest.mark.fault("object storage fails for a moment", "repeated")
def test_what_fails_for_a_moment_is_repeated(
    server: ObjectStore, faults: Faults, waits: list[float], status: int
) -> None:
    root = f"{server.scheme}://bucket/root"
    writes = "PUT" if server.scheme == "s3" else "POST"
    steps = {
        writes: lambda: storage.write(f"{root}/a", b"one"),
        "GET": lambda: storage.read(f"{root}/a") == b"one" and storage.files(root) == ["a"],
        "DELETE": lambda: storage.remove(root),
    }
    for method, step in steps.items():
        faults.failures = [(method, OBJECTS[server.scheme], status)] * 2
        waits.clear()
        assert step() is not False, method
        assert faults.failures == [], method
        assert len([seconds for seconds in waits if seconds > 0]) >= 2, method
    assert not server.objects


def test_it_gives_up_in_the_end(
    server: ObjectStore, faults: Faults, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"{server.scheme}://bucket/root"
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + sum(waits))  # Google's counts seconds
    faults.failures = [("GET", OBJECTS[server.scheme], 503)] * 1000
    with pytest.raises(
        StorageError, match=rf"cannot list 'root/' in {server.scheme}://bucket.*503"
    ):
        storage.files(root)
    assert 3 < len(faults.failed) < 20
    assert len(waits) == len(faults.failed) - 1


def test_a_refusal_is_explained_and_not_repeated(
    server: ObjectStore, faults: Faults, waits: list[float]
) -> None:
    faults.failures = [("GET", OBJECTS[server.scheme], 403)] * 9
    with pytest.raises(StorageError, match="403") as caught:
        storage.files(f"{server.scheme}://bucket/root")
    needs = {"s3": "credentials: env; they need to list", "gs": "who needs roles/storage.object"}
    assert needs[server.scheme] in str(caught.value)
    assert len(faults.failed) == 1
    assert waits == []


def test_a_bucket_that_is_not_there_is_named(server: ObjectStore) -> None:
    root = f"{server.scheme}://no-such-bucket/root"
    for work in (storage.files, storage.read, lambda uri: storage.write(uri, b"x")):
        with pytest.raises(StorageError, match="404") as caught:
            work(root)
        assert "no-such-bucket" in str(caught.value)


def test_a_wrong_key_is_refused(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    storage._store.cache_clear()
    for work in (storage.files, storage.remove, lambda uri: storage.write(uri, b"x")):
        with pytest.raises(StorageError, match=r"403 SignatureDoesNotMatch: .*credentials: env"):
            work("s3://bucket/root")


def test_a_server_that_is_not_there_is_named(
    store: ObjectStore, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(storage.MINIO_ENDPOINT_ENV, "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"http://127.0.0.1:9/bucket.*MINIO_ENDPOINT"):
        storage.files("minio://bucket/root")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("s3://bucket/root", ("AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN", "EC2", "kubeflow.secrets")),
        ("gs://bucket/root", ("GOOGLE_APPLICATION_CREDENTIALS", "gcloud auth", "identity")),
    ],
)
@pytest.mark.fault("credentials are missing", "told within seconds")
def test_missing_credentials_are_told_within_seconds(
    uri: str, named: tuple[str, ...], tmp_path: pathlib.Path
) -> None:
    kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
    code = f"from ranklite.pipeline.kubeflow import storage; storage.files({uri!r})"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a metadata server that never answers
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={
                **kept,
                "HOME": str(tmp_path),
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}",
                "GCE_METADATA_HOST": address,
                "GCE_METADATA_IP": address,
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=40,
        )
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert all(name in last for name in named), process.stderr


def test_the_last_file_is_written_last(
    store: ObjectStore, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "m", "z"):
        (tmp_path / name).write_text(name)
    with faults_before(store.endpoint) as watched:
        monkeypatch.setenv(storage.S3_ENDPOINT_ENV, watched.endpoint)
        storage.upload(str(tmp_path), "s3://bucket/up", last="m")
    assert watched.requests == [("PUT", f"/bucket/up/{name}") for name in ("a", "z", "m")]


def test_uris_are_mirrored_where_the_launcher_puts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(storage.MOUNTS_ENV, raising=False)
    assert storage.mounted("minio://b/x/y") == "/minio/b/x/y"
    assert storage.mounted("gs://b/x") == "/gcs/b/x"
    assert storage.mounted("s3://b/x") == "/s3/b/x"
    assert storage.mounted("/already/here") == "/already/here"
    assert not storage.is_remote("/already/here")
