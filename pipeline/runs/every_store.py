"""The runs of all pipelines: one store that cannot be read does not hide the others."""

from __future__ import annotations

import logging

from ranklite.pipeline.runs.store import Run, all_runs, stores

_log = logging.getLogger(__name__)


def every_run(runs: str) -> dict[str, list[Run]]:
    """All runs of all pipelines whose stores can be read, the oldest first, by pipeline.

    A store that cannot is named in a warning.

    Args:
      runs: Folder of all pipelines' runs.

    Raises:
      OSError: None of the stores can be read.
    """
    every, failed = {}, []
    for name, path in stores(runs).items():
        try:
            every[name] = all_runs(path, name)
        except OSError as error:
            failed.append(error)
            _log.warning("%s (left out; `ranklite run` mends it)", error)
    if failed and not every:
        raise failed[0]
    return every
