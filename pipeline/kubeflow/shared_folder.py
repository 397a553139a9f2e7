"""A task's folder on a volume that its pod and the workers of a cluster mount under one path."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pathlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator

from ranklite.components.engines.engine import Engine

_log = logging.getLogger(__name__)

PREFIX = "ranklite-task-"
ALIVE = "alive"  # file of a folder whose pod runs; it is touched again and again
BEAT_SECONDS = 60.0
DEAD_SECONDS = 1800.0


class NotShared(OSError):
    """The volume cannot be used by the pod, or by a worker; the message says by whom and why."""


@dataclasses.dataclass(frozen=True)
class SharedFolder:
    """The folder of a task.

    Attributes:
      path: Absolute.
    """

    path: str

    def remove(self) -> None:
        """Removes it and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def check_seen(self, engine: Engine) -> None:
        """Has workers of an engine write into it, as many at once as there are.

        Raises:
          NotShared: One of them cannot.
        """
        why = next(filter(None, engine.map(_obstacle, [self.path] * engine.at_once())), None)
        if why:
            raise NotShared(
                f"kubeflow.shared_volume: a worker of engine.kind: {engine.kind} cannot write in "
                f"{self.path} ({why}): mount the claim there under the path that the pods have, "
                f"and let workers run as the pods' user, {os.getuid()}"
            )


@contextlib.contextmanager
def opened(volume: str) -> Iterator[SharedFolder]:
    """Makes a folder on a volume, and removes it in the end.

    A pod that is killed removes nothing. So a folder has a file that is touched while its pod runs,
    and whoever makes a folder removes those that were not touched for long, by the clock of the
    volume's server: pods' clocks may differ.

    Args:
      volume: Where it is mounted.

    Yields:
      The folder.

    Raises:
      NotShared: There is no such folder, or it cannot be written in.
    """
    if why := _obstacle(volume):
        raise NotShared(
            f"kubeflow.shared_volume: the pod cannot write in {volume} ({why}): is the claim "
            f"mounted, and may user {os.getuid()} of group {os.getgid()} write there?"
        )
    made = SharedFolder(tempfile.mkdtemp(dir=volume, prefix=PREFIX))
    alive = pathlib.Path(made.path, ALIVE)
    alive.touch()
    ended = threading.Event()
    beat = threading.Thread(target=_beat, args=(alive, ended), daemon=True)
    beat.start()
    try:
        _remove_left(volume, _touched(alive))
        yield made
    finally:
        ended.set()
        beat.join()
        made.remove()


def _obstacle(folder: str) -> str | None:
    """Why nothing can be written in a folder, and where; None where it can."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"on {socket.gethostname()}: {error.strerror}"


def _remove_left(volume: str, now: float) -> None:
    for folder in pathlib.Path(volume).glob(f"{PREFIX}*"):
        if now - max(_touched(folder), _touched(folder / ALIVE)) > DEAD_SECONDS:
            _log.warning("%s was left by a pod that was killed: it is removed", folder)
            SharedFolder(str(folder)).remove()


def _touched(path: pathlib.Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # that pod, or another one, has removed it
        return 0.0


def _beat(alive: pathlib.Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        try:
            alive.touch()
        except OSError:  # the volume's server may be away for a while
            _log.warning("%s could not be touched", alive, exc_info=True)
