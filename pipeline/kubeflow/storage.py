"""Object storage from inside a pod.

Kubeflow's launcher mirrors the artifacts of a task under `/gcs`, `/s3` and `/minio` and uploads
them again. Whatever else a task reads or writes (the log, pushed versions, the history) goes
through here. Credentials come from where the storage's own client takes them (environment, workload
identity).
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import shutil

from pyarrow import fs

from ranklite.pipeline.files import write as write_file

MOUNTS_ENV = "RANKLITE_MOUNTS"  # where the launcher mirrors, if not in /
MINIO_ENDPOINT_ENV = "MINIO_ENDPOINT"
S3_ENDPOINT_ENV = "AWS_ENDPOINT_URL"
_MINIO_ENDPOINT = "http://minio-service.kubeflow:9000"
_MOUNTS = {"gs://": "gcs", "s3://": "s3", "minio://": "minio"}


def is_remote(uri: str) -> bool:
    """Whether a URI is in object storage; everything else is a path that the pod sees."""
    return uri.startswith(tuple(_MOUNTS))


def mounted(uri: str) -> str:
    """Where the launcher mirrors a URI; a path stays a path."""
    for scheme, folder in _MOUNTS.items():
        if uri.startswith(scheme):
            root = os.environ.get(MOUNTS_ENV, "/")
            return os.path.join(root, folder, uri[len(scheme) :])
    return uri


def join(uri: str, *names: str) -> str:
    """A URI further down."""
    return "/".join([uri.rstrip("/"), *names])


def _open(uri: str) -> tuple[fs.FileSystem, str]:
    if uri.startswith("gs://"):
        return fs.FileSystem.from_uri(uri)
    if not is_remote(uri):
        return fs.LocalFileSystem(), os.path.abspath(uri)
    scheme, key = uri.split("://", 1)
    endpoint = os.environ.get(S3_ENDPOINT_ENV)
    if scheme == "minio":
        endpoint = os.environ.get(MINIO_ENDPOINT_ENV, _MINIO_ENDPOINT)
    if not endpoint:
        return fs.FileSystem.from_uri(uri)
    protocol, _, host = endpoint.rpartition("://")
    return fs.S3FileSystem(endpoint_override=host, scheme=protocol or "https"), key


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file: its name relative to what was listed, its bytes, and when it was written."""

    name: str
    size: int
    written: datetime.datetime


def entries(uri: str) -> list[Entry]:
    """All files below a URI by name; none where there is nothing."""
    system, root = _open(uri)
    result = system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    start = len(root.rstrip("/")) + 1
    files_only = [info for info in result if info.type == fs.FileType.File]
    listed = [Entry(info.path[start:], info.size, info.mtime) for info in files_only]
    return sorted(listed, key=lambda entry: entry.name)


def files(uri: str) -> list[str]:
    """Names of all files below a URI, relative to it; none where there is nothing."""
    return [entry.name for entry in entries(uri)]


def download(uri: str, folder: str, names: list[str] | None = None) -> None:
    """Copies files below a URI into a folder.

    Args:
      uri: Where from.
      folder: Where to; made if needed.
      names: The files; None takes all.
    """
    system, root = _open(uri)
    for name in files(uri) if names is None else names:
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with (
            system.open_input_stream(f"{root}/{name}", compression=None) as source,
            open(target, "wb") as file,
        ):
            shutil.copyfileobj(source, file)


def upload(folder: str, uri: str, last: str | None = None) -> None:
    """Copies the files of a folder to below a URI.

    Args:
      folder: Where from.
      uri: Where to.
      last: Name of the file that is written after all others: what readers look for.
    """
    result = [path for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()]
    for path in sorted(result, key=lambda path: path.name == last):
        write(join(uri, path.relative_to(folder).as_posix()), path.read_bytes())


def write(uri: str, content: bytes) -> None:
    """Writes a file; a reader sees the old content or the new one."""
    system, path = _open(uri)
    if isinstance(system, fs.LocalFileSystem):
        write_file(path, content)
        return
    with system.open_output_stream(path, compression=None) as file:
        file.write(content)


def read(uri: str) -> bytes | None:
    """The content of a file, or None where there is none."""
    system, path = _open(uri)
    if system.get_file_info(path).type != fs.FileType.File:
        return None
    with system.open_input_stream(path, compression=None) as file:
        return file.read()


def remove(uri: str) -> None:
    """Removes everything below a URI."""
    system, path = _open(uri)
    if system.get_file_info(path).type != fs.FileType.NotFound:
        system.delete_dir(path)
