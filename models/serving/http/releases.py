"""Which version is served: the newest in the folder that loads, swapped while requests go on."""

from __future__ import annotations

import logging
import os
import threading

from ranklite.models.serving.http.loaded import Loaded, Refused, tried
from ranklite.models.serving.http.metrics import Metrics
from ranklite.models.serving.http.settings import Limits
from ranklite.models.serving.metadata import changed_inputs
from ranklite.models.serving.versions import model_files, versions

LOG = logging.getLogger("ranklite.serve")

# Number, and name, size and time of each file: a folder that was replaced is another version.
Identity = tuple[str, tuple[tuple[str, int, int], ...]]


class Releases:
    """The version that is served, and the watch for the next one.

    The first version is loaded at once. Afterwards a thread looks at the folder. A new version is
    tried in a process of its own and loaded beside the one that is served; then one assignment
    makes it the one that new requests get, and those in flight finish on theirs. One that does not
    load is refused, and logged once. Where the version served is taken away from the folder, the
    newest of the others follows.

    Args:
      path: Folder of all versions, or of one, which is never swapped.
      limits: Of the server.
      metrics: Of the server.

    Attributes:
      current: The version for new requests.

    Raises:
      FileNotFoundError: There is no version.
      Refused: There is none that loads.
    """

    def __init__(self, path: str, limits: Limits, metrics: Metrics) -> None:
        self._path, self._limits, self._metrics = path, limits, metrics
        self._is_one = bool(model_files(path))
        self._refused: dict[Identity, str] = {}
        self._served: Identity | None = None
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="releases", daemon=True)
        first = self._newest()
        if first is None:
            reasons = "; ".join(f"{name[0]}: {why}" for name, why in self._refused.items())
            if not reasons:
                raise FileNotFoundError(f"no pushed model in {path!r}: it has no version folder")
            raise Refused(f"no version in {path!r} can be served: {reasons}")
        self.current = first
        metrics.serves(first.name)

    def start(self) -> None:
        """Begins to look for new versions."""
        if not self._is_one:
            self._thread.start()

    def stop(self) -> None:
        """Ends the watch."""
        self._ends.set()

    def look(self) -> None:
        """Looks at the folder once, and takes the newest version where that is another."""
        loaded = self._newest()
        if loaded is None:
            return
        before, self.current = self.current, loaded
        self._metrics.serves(loaded.name)
        self._metrics.swap("swapped")
        changes = changed_inputs(before.metadata, loaded.metadata)
        about = {"version": loaded.name, "before": before.name, "changed_inputs": changes}
        LOG.info("swapped", extra={"about": about})

    def _watch(self) -> None:
        while not self._ends.wait(self._limits.poll):
            try:
                self.look()
            except Exception as error:  # such as a folder that cannot be read for a while
                LOG.warning("look failed", extra={"about": {"reason": str(error)}})

    def _newest(self) -> Loaded | None:
        """The newest version that loads; None where it is the one served, or there is none."""
        for path in self._paths():
            identity = _identity(path)
            if identity == self._served:
                return None
            if identity is None or identity in self._refused:
                continue
            try:
                loaded = tried(path, self._limits)
            except Refused as error:
                self._refused[identity] = str(error)
                self._metrics.swap("refused")
                about = {"version": identity[0], "reason": str(error)}
                LOG.error("refused", extra={"about": about})
                continue
            self._served = identity
            return loaded
        return None

    def _paths(self) -> list[str]:
        """Folders of the versions, the newest first."""
        if self._is_one:
            return [self._path]
        return [os.path.join(self._path, str(n)) for n in reversed(versions(self._path))]


def _identity(path: str) -> Identity | None:
    """What tells a version from every other; None where it is gone meanwhile."""
    try:
        with os.scandir(path) as entries:
            stats = [(entry.name, entry.stat()) for entry in entries]
    except OSError:
        return None
    files = sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
    return os.path.basename(os.path.abspath(path)), tuple(files)
