"""What of a configuration travels with the model: all of it, but for what looks like a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ranklite.pipeline.config.run_config import RunConfig

REDACTED = "(redacted)"
# Sections that tell other systems how to run: nothing in them says what the model is.
_SECTIONS = ("beam", "engine", "kubeflow")
_SECRET = re.compile(
    r"secret|passw|passphrase|token|credential|private|access[_.-]?key|api[_.-]?key|auth",
    re.IGNORECASE,
)
_ARGUMENT = re.compile(r"(?s)(-{0,2}[^=\s]+)=(.*)")
_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def published(config: RunConfig) -> str:
    """JSON of a configuration as `model.json` and the page hold it.

    In the sections `beam`, `engine` and `kubeflow` a value is left out whose key, or whose name as
    an argument (`--api_key=...`), says that it is secret, and so are names and passwords in URLs.

    Example:
        >>> config = RunConfig.model_validate({
        ...     "name": "shop", "source": {"files": "log.csv"}, "label": "click",
        ...     "split": {"by": "hash", "eval": 0.2},
        ...     "features": [{"name": "item", "kind": "categorical"}],
        ...     "beam": {"pipeline_args": ["--runner=FlinkRunner", "--password=hunter2"]},
        ... })
        >>> json.loads(published(config))["beam"]["pipeline_args"]
        ['--runner=FlinkRunner', '--password=(redacted)']
    """
    data = config.model_dump(mode="json")
    return json.dumps({k: _open(v) if k in _SECTIONS else v for k, v in data.items()})


def _open(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: REDACTED if isinstance(inner, str) and _SECRET.search(key) else _open(inner)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_open(inner) for inner in value]
    if not isinstance(value, str):
        return value
    argument = _ARGUMENT.fullmatch(value)
    if argument and _SECRET.search(argument[1]):
        return f"{argument[1]}={REDACTED}"
    return _IN_URL.sub(REDACTED, value)
