"""The part of a configuration that only Kubeflow reads."""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from ranklite.models.config import Name, Strict

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_GIGABYTES = {"M": 1e-3, "G": 1.0, "T": 1e3}
_CLAIM = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_TAKEN = ("/", "/gcs", "/s3", "/minio", "/tmp")  # by the image and by Kubeflow's launcher


def _parse(value: Any, units: dict[str, float], examples: str) -> Any:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z])", value)
    if not match or match[2] not in units:
        raise ValueError(f"{value!r}: write such as {examples}")
    return float(match[1]) * units[match[2]]


def _seconds(value: Any) -> Any:
    return _parse(value, dict(_SECONDS), "90s, 30m, 2h or 1d")


def _gigabytes(value: Any) -> Any:
    return _parse(value, _GIGABYTES, "512M or 16G")


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Gigabytes = Annotated[float, BeforeValidator(_gigabytes), Field(gt=0)]


def _a_claim(name: str) -> str:
    if not re.fullmatch(_CLAIM, name):
        raise ValueError(
            f"{name!r} is no claim that Kubeflow can mount: it also names the pod's volume, so "
            "write small letters, digits and '-', 63 at most, without a dot"
        )
    return name


def _a_mount(path: str) -> str:
    if not path.startswith("/") or ":" in path or posixpath.normpath(path) != path:
        raise ValueError(
            f"{path!r} is no path to mount at: write an absolute one such as /mnt/ranklite, "
            "without '..', ':' or a slash at its end"
        )
    if path in _TAKEN or path.startswith(("/gcs/", "/s3/", "/minio/")):
        raise ValueError(
            f"{path!r} is in use in the pods: write another one, such as /mnt/ranklite"
        )
    return path


class AcceleratorConfig(Strict):
    """An accelerator of a task.

    Attributes:
      type: The cluster's resource name.
      count: How many.
    """

    type: str = Field("nvidia.com/gpu", min_length=1)
    count: int = Field(1, ge=1)


class TaskConfig(Strict):
    """What a task gets.

    Attributes:
      cpu: Most cores.
      memory: Most memory: `512M`, `16G`.
      accelerator: None gets none.
      retries: How often it is tried again.
      backoff: Time before the first of these; it doubles each time.
      timeout: Time after which it is stopped, and tried again where `retries` are left.
      cache: Whether Kubeflow may answer from its cache; never for what reads the log or earlier
        runs.
    """

    cpu: float | None = Field(None, gt=0)
    memory: Gigabytes | None = None
    accelerator: AcceleratorConfig | None = None
    retries: int = Field(0, ge=0, le=20)
    backoff: Seconds = 30.0
    timeout: Seconds | None = None
    cache: bool = True


class SecretConfig(Strict):
    """A secret of the cluster that tasks see as environment variables, to reach object storage.

    Attributes:
      name: Of the secret.
      env: Environment variable of each of its keys.
    """

    name: str = Field(min_length=1)
    env: dict[str, Name]


class SharedVolumeConfig(Strict):
    """A volume that the workers of a cluster mount too, where the cluster works for a task.

    Attributes:
      claim: Name of a PersistentVolumeClaim in the namespace of the runs, with the access mode
        ReadWriteMany.
      path: Where the pods mount it; the workers mount it under the same path.
    """

    claim: Annotated[str, AfterValidator(_a_claim)]
    path: Annotated[str, AfterValidator(_a_mount)]

    def holds(self, path: str) -> bool:
        """Whether a path lies in it."""
        return f"{posixpath.normpath(path)}/".startswith(f"{self.path}/")


class KubeflowConfig(Strict):
    """How the pipeline runs on Kubeflow.

    Attributes:
      image: The container image; the command line may name another.
      pipeline_root: URI for artifacts: `gs://`, `s3://` or `minio://`.
      data: URI or mounted folder of the log.
      defaults: What every task gets.
      tasks: What single tasks get in place of it, key by key, by the names that `ranklite kubeflow
        compile` lists; `Trainer` stands for `Trainer-teacher-0` too.
      secrets: Secrets that every task sees.
      shared_volume: Mounted by the tasks that an engine works for; `engine` needs it where its
        workers are not in the pod.
    """

    image: str | None = None
    pipeline_root: str | None = None
    data: str | None = None
    defaults: TaskConfig = TaskConfig()
    tasks: dict[str, TaskConfig] = {}
    secrets: tuple[SecretConfig, ...] = ()
    shared_volume: SharedVolumeConfig | None = None

    def task(self, node: str) -> TaskConfig:
        """What a task gets."""
        chosen = self.defaults
        for name in dict.fromkeys((node.split("-")[0], node)):
            if name in self.tasks:
                given = self.tasks[name]
                changes = {key: getattr(given, key) for key in given.model_fields_set}
                chosen = chosen.model_copy(update=changes)
        return chosen
