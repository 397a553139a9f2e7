"""Object storage from inside a pod, and from the machine that collects what the pods left.

Kubeflow's launcher mirrors the artifacts of a task under `/gcs`, `/s3` and `/minio` and uploads
them again. Whatever else a task reads or writes (the log, pushed versions, the history) goes
through here, by the clients of Amazon and Google: they find the credentials (environment, workload
identity, metadata server), and repeat with back-off what was answered by 429 or 5xx.
"""

from __future__ import annotations

import datetime
import functools
import io
import logging
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ranklite.models.files import write as write_file
from ranklite.pipeline.kubeflow.object_store import Entry, ObjectStore, each

_log = logging.getLogger(__name__)

MOUNTS_ENV = "RANKLITE_MOUNTS"  # where the launcher mirrors, if not in /
MINIO_ENDPOINT_ENV = "MINIO_ENDPOINT"
S3_ENDPOINT_ENV = "AWS_ENDPOINT_URL"
_MINIO_ENDPOINT = "http://minio-service.kubeflow:9000"
_MOUNTS = {"gs://": "gcs", "s3://": "s3", "minio://": "minio"}


def is_remote(uri: str) -> bool:
    """Whether a URI is in object storage; everything else is a path that the pod sees."""
    return uri.startswith(tuple(_MOUNTS))


def mounted(uri: str, root: str | None = None) -> str:
    """Where the launcher mirrors a URI; a path stays a path.

    Args:
      uri: The URI.
      root: What it would be mirrored below; None takes the launcher's.
    """
    for scheme, folder in _MOUNTS.items():
        if uri.startswith(scheme):
            root = root or os.environ.get(MOUNTS_ENV, "/")
            return os.path.join(root, folder, uri[len(scheme) :])
    return uri


def join(uri: str, *names: str) -> str:
    """A URI further down."""
    return "/".join([uri.rstrip("/"), *names])


class _Disk:
    """This machine's disk; keys are absolute paths."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All files below a folder."""
        for path in pathlib.Path(prefix).rglob("*"):
            if path.is_file():
                about = path.stat()
                written = datetime.datetime.fromtimestamp(about.st_mtime, datetime.timezone.utc)
                yield Entry(path.as_posix(), about.st_size, written)

    def read_into(self, key: str, file: BinaryIO) -> bool:
        """Copies a file; returns whether there is one."""
        if not os.path.isfile(key):
            return False
        with open(key, "rb") as source:
            shutil.copyfileobj(source, file)
        return True

    def write(self, key: str, file: BinaryIO) -> None:
        """Writes a file; a reader sees the old content or the new one."""
        write_file(key, file.read())

    def remove(self, keys: Iterable[str]) -> None:
        """Removes files."""
        for key in keys:
            os.unlink(key)


def _open(uri: str) -> tuple[ObjectStore, str]:
    """The store of a URI, and the key there, without a slash at its end."""
    if not is_remote(uri):
        return _Disk(), os.path.abspath(uri)
    scheme, path = uri.split("://", 1)
    bucket, _, key = path.rstrip("/").partition("/")
    endpoint = os.environ.get(S3_ENDPOINT_ENV)
    if scheme == "minio":
        endpoint = os.environ.get(MINIO_ENDPOINT_ENV, _MINIO_ENDPOINT)
        endpoint = endpoint if "://" in endpoint else f"https://{endpoint}"
    return _store(scheme, bucket, endpoint), key


@functools.lru_cache(maxsize=8)
def _store(scheme: str, bucket: str, endpoint: str | None) -> ObjectStore:
    """A client, which takes a tenth of a second to make and keeps its connections."""
    if scheme == "gs":
        from ranklite.pipeline.kubeflow.gcs_store import GcsStore

        return GcsStore(bucket)
    from ranklite.pipeline.kubeflow.s3_store import S3Store

    return S3Store(bucket, endpoint, f"{scheme}://{bucket}")


def _below(key: str) -> str:
    return f"{key}/" if key else ""


def entries(uri: str) -> list[Entry]:
    """All files below a URI by name; none where there is nothing.

    Raises:
      StorageError: The storage refuses, or cannot be reached.
    """
    store, key = _open(uri)
    listed = []
    for entry in store.entries(_below(key)):
        name = entry.name[len(_below(key)) :]
        if name.endswith("/") or not name:
            continue  # what consoles make for an empty folder
        if not {"", ".", ".."}.isdisjoint(name.split("/")):
            _log.warning("%s: the object %r was left out: its name is no path", uri, entry.name)
            continue
        listed.append(Entry(name, entry.size, entry.written))
    return sorted(listed, key=lambda entry: entry.name)


def files(uri: str) -> list[str]:
    """Names of all files below a URI, relative to it; none where there is nothing.

    Raises:
      StorageError: The storage refuses, or cannot be reached.
    """
    return [entry.name for entry in entries(uri)]


def download(uri: str, folder: str, names: list[str] | None = None) -> None:
    """Copies files below a URI into a folder.

    Args:
      uri: Where from.
      folder: Where to; made if needed.
      names: The files; None takes all.

    Raises:
      FileNotFoundError: One of the files is not there.
      StorageError: The storage refuses, or cannot be reached.
    """
    store, key = _open(uri)

    def fetch(name: str) -> None:
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            there = store.read_into(f"{_below(key)}{name}", file)
        if not there:
            os.unlink(target)
            raise FileNotFoundError(f"there is no {join(uri, name)}")

    each(fetch, files(uri) if names is None else names)


def upload(folder: str, uri: str, last: str | None = None) -> None:
    """Copies the files of a folder to below a URI.

    Args:
      folder: Where from.
      uri: Where to.
      last: Name of the file that is written after all others: what readers look for.

    Raises:
      StorageError: The storage refuses, or cannot be reached.
    """
    store, key = _open(uri)
    paths = [path for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()]
    for path in sorted(paths, key=lambda path: path.name == last):
        with path.open("rb") as file:
            store.write(f"{_below(key)}{path.relative_to(folder).as_posix()}", file)


def write(uri: str, content: bytes) -> None:
    """Writes a file; a reader sees the old content or the new one.

    Raises:
      StorageError: The storage refuses, or cannot be reached.
    """
    store, key = _open(uri)
    store.write(key, io.BytesIO(content))


def read(uri: str) -> bytes | None:
    """The content of a file, or None where there is none.

    Raises:
      StorageError: The storage refuses, or cannot be reached.
    """
    store, key = _open(uri)
    file = io.BytesIO()
    return file.getvalue() if store.read_into(key, file) else None


def remove(uri: str) -> None:
    """Removes everything below a URI.

    Raises:
      StorageError: The storage refuses, or cannot be reached.
    """
    store, key = _open(uri)
    store.remove(entry.name for entry in list(store.entries(_below(key))))
