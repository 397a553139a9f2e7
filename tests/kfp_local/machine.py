"""What two nights through kfp.local need of this machine: containers and object storage."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from pyarrow import fs

# runc and cgroupfs are what podman can use in a container too; limits above the machine's own would
# be refused there.
PODMAN = ("podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc")
LIMITS = {"nofile": 20_000, "nproc": 8192}
KFP_ENV = "RANKLITE_KFP"  # the environment with kfp and the servers
IMAGE_ENV = "RANKLITE_IMAGE"


def lacks() -> str:
    """Why there can be no containers here; empty if there can."""
    for variable in (KFP_ENV, IMAGE_ENV):
        if not os.environ.get(variable):
            return f"{variable} is not set: `make kubeflow-test` sets it"
    for program in (PODMAN[0], PODMAN[-1]):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    image = os.environ[IMAGE_ENV]
    known = subprocess.run([*PODMAN, "image", "exists", image], capture_output=True, check=False)
    return f"there is no image {image}: .ci/image builds it" if known.returncode else ""


def kfp_program(name: str) -> str:
    """A program of kfp's environment."""
    return str(pathlib.Path(os.environ[KFP_ENV], "bin", name))


def in_image(*command: str, options: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command in the image, on the host's network.

    Args:
      *command: The command; none takes the image's own.
      options: Further options of `podman run`.
    """
    limits = [f"--ulimit={name}={most}:{most}" for name, most in LIMITS.items()]
    run = [*PODMAN, "run", "--rm", "--network=host", *limits, *(options or [])]
    return subprocess.run(
        [*run, os.environ[IMAGE_ENV], *command], capture_output=True, text=True, check=False
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _running(command: list[str], log: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=log.parent)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(process: subprocess.Popen[bytes], log: pathlib.Path, url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            try:
                urllib.request.urlopen(url, timeout=2).close()
            except urllib.error.HTTPError as error:
                error.close()
                if error.code >= 500:
                    raise OSError from error
            return
        time.sleep(0.2)
    raise AssertionError(f"no server at {url}\n{log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def containers(folder: pathlib.Path) -> Iterator[str]:
    """Podman's service that speaks Docker's protocol; yields its address for DOCKER_HOST."""
    address = f"unix://{folder}/podman.sock"
    with _running([*PODMAN, "system", "service", "--time=0", address], folder / "podman.log"):
        deadline = time.monotonic() + 60
        while not (folder / "podman.sock").exists():
            assert time.monotonic() < deadline, (folder / "podman.log").read_text()
            time.sleep(0.1)
        yield address


@contextlib.contextmanager
def s3_server(folder: pathlib.Path, bucket: str) -> Iterator[dict[str, str]]:
    """SeaweedFS, an S3 server, with one bucket.

    Args:
      folder: For what it stores.
      bucket: The bucket's name.

    Yields:
      What a process has to have in its environment to use it.
    """
    key, secret = "ranklite", "correct horse battery staple"
    identity = {
        "name": "test",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    names = ("master", "volume", "filer", "s3")  # of its parts
    ports = dict(zip([*names, *(f"{n}.grpc" for n in names)], _free_ports(8), strict=True))
    data = folder / "objects"
    data.mkdir()
    command = [kfp_program("weed"), "server", f"-dir={data}", "-ip=127.0.0.1", "-s3"]
    command += [f"-s3.config={config}", "-master.volumeSizeLimitMB=64", "-volume.max=100"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    for name, port in ports.items():
        part, _, grpc = name.partition(".")
        command.append(f"-{part}.port{'.grpc' if grpc else ''}={port}")
    log = folder / "s3.log"
    with _running(command, log) as process:
        endpoint = f"http://127.0.0.1:{ports['s3']}"
        _wait_for(process, log, endpoint)
        environment = {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        fs.S3FileSystem(
            access_key=key,
            secret_key=secret,
            endpoint_override=endpoint,
            allow_bucket_creation=True,
        ).create_dir(bucket)
        yield environment
