"""RankLite: from interaction logs to a small, fast, gated TFLite ranking model.

The public names. Each is imported when it is first used, so that scoring loads what scoring needs:
numpy and ai-edge-litert. All but `Scorer` and `History` need the training stack:
`pip install 'ranklite[train]'`.

  Scorer: Scores raw rows with a pushed version.
  History: A user's events on his device, and what a pushed version reads of them.
  Ranker: Trains, compresses and exports from a pandas or Arrow table, without TFX.
  load_config: Reads and validates the configuration of a run.
  run: Runs the whole pipeline, as `ranklite run` does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ranklite.extras import explained

if TYPE_CHECKING:
    from ranklite.models.notebook.ranker import Ranker
    from ranklite.models.serving.scorer import Scorer
    from ranklite.models.serving.state import History
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.local.runner import run

    __version__: str

__all__ = ["History", "Ranker", "Scorer", "__version__", "load_config", "run"]

_MODULES = {
    "History": "ranklite.models.serving.state",
    "Ranker": "ranklite.models.notebook.ranker",
    "Scorer": "ranklite.models.serving.scorer",
    "load_config": "ranklite.pipeline.config.run_config",
    "run": "ranklite.pipeline.local.runner",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata  # it takes a tenth of what loading a scorer does

        try:
            return metadata.version("ranklite")
        except metadata.PackageNotFoundError:  # a checkout that nobody installed
            return "unknown"
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        raise explained(f"ranklite.{name}", error) from error.__cause__
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
