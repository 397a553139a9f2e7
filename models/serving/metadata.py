"""`model.json` of a version: what an app and a person have to know of the file beside it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW, LoadedModel, Target
from ranklite.models.features.layout import MISSING_INT32, MISSING_INT64, MISSING_STRING
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving.metadata_file import SCHEMA_VERSION

# Keys of a configuration that say what a model is of; all others say how it is made.
_SOURCE = ("source.files", "source.tables", "source.query", "split.train")
_TASK = ("name", *_SOURCE, "label", "user", "item")


def describe(
    target: Target,
    model: LoadedModel,
    columns: Sequence[RawColumn],
    layout: Mapping[str, Any],
    metrics: Mapping[str, Any],
    gates: Sequence[Any],
    config: Mapping[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """The document, as `write_version` takes it and `Scorer` reads it.

    Args:
      target: What the file is: of several, the one that is scored where none is asked for.
      model: The file, loaded.
      columns: The raw columns that its signature takes: `FeatureSet.raw_columns`.
      layout: A `FeatureLayout` as JSON-ready data.
      metrics: `split`, and the figures of each stage by its name.
      gates: Verdicts on the file; empty where nothing judged it.
      config: What it was made with.
      **more: Further entries, such as a digest of the code and the ids of artifacts.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "target": target.name,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "signatures": {s: model.inputs(s) for s in (SERVING_DEFAULT, SERVING_RAW)},
        "missing_values": {
            "string": MISSING_STRING,
            "int64": MISSING_INT64,
            "int32": MISSING_INT32,
            "float32": "NaN",
        },
        "fingerprint": model.encoder.entry() if model.encoder else None,
        "features": [column.entry() for column in columns],
        "vocabulary_rows": {field["name"]: field["rows"] for field in layout["fields"]},
        "metrics": dict(metrics),
        "gates": list(gates),
        "config": dict(config),
        **more,
    }


def changed_inputs(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """What an app that feeds one version has to do otherwise for the next: a line an input.

    Args:
      before: `model.json` of the version pushed last; None where there is none.
      after: Of the new one.

    Example:
        >>> old = {"features": [{"name": "user", "kind": "categorical", "dtype": "string"}]}
        >>> changed_inputs(old, {"features": [{"name": "age", "kind": "numeric"}]})
        ["'age' is new", "'user' is gone"]
    """
    if before is None:
        return []
    old = {entry["name"]: entry for entry in before.get("features", [])}
    new = {entry["name"]: entry for entry in after["features"]}
    lines = [f"{name!r} is new" for name in new if name not in old]
    lines += [f"{name!r} is gone" for name in old if name not in new]
    for name in new:
        if name in old:
            keys = dict.fromkeys([*old[name], *new[name]])
            lines += [
                f"{key} of {name!r} was {old[name].get(key)!r} and is {new[name].get(key)!r}"
                for key in keys
                if old[name].get(key) != new[name].get(key)
            ]
    return lines


def changed_task(before: Mapping[str, Any] | None, config: Mapping[str, Any]) -> list[str]:
    """What tells that the version pushed last is of another log or task: a line a key.

    Args:
      before: `model.json` of the version pushed last; None where there is none.
      config: Of the run, as JSON-ready data.

    Example:
        >>> old = {"config": {"name": "shop", "label": "clicked", "user": "u"}}
        >>> changed_task(old, {"name": "shop", "label": "bought", "user": "u"})
        ["label was 'clicked' and is 'bought'"]
    """
    old = (before or {}).get("config") or {}
    if "name" not in old:  # it was made by no run
        return []
    pairs = ((key, _at(old, key), _at(config, key)) for key in _TASK)
    return [f"{key} was {was!r} and is {new!r}" for key, was, new in pairs if was != new]


def _at(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = (value or {}).get(part)
    return value
