"""What kfp.local needs of this machine: the image, and a service that runs containers."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Iterator

# runc and cgroupfs are what podman can use in a container too; limits above the machine's own would
# be refused there.
PODMAN = ("podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc")
LIMITS = {"nofile": 20_000, "nproc": 8192}
KFP_ENV = "RANKLITE_KFP"  # the environment with kfp
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


@contextlib.contextmanager
def containers(folder: pathlib.Path) -> Iterator[str]:
    """Podman's service that speaks Docker's protocol; yields its address for DOCKER_HOST."""
    address, log = folder / "podman.sock", folder / "podman.log"
    command = [*PODMAN, "system", "service", "--time=0", f"unix://{address}"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while not address.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"unix://{address}"
    finally:
        process.terminate()
        process.wait()
