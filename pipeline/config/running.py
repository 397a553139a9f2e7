"""What kind of file a run pushes, where, and how its Beam-based stages run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from ranklite.models.config import Strict
from ranklite.models.export import MOST_TARGETS, TARGETS
from ranklite.models.repeats import twice
from ranklite.models.serving.clients import BROWSER_BATCH


def _registered(name: str) -> str:
    TARGETS.module(name)  # raises with what is registered
    return name


def _listed(names: Any) -> Any:
    return (names,) if isinstance(names, str) else names


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if same := twice(names):
        raise ValueError(f"{', '.join(same)} twice: a version has one file of each export target")
    return names


TargetName = Annotated[str, AfterValidator(_registered)]
TargetNames = Annotated[
    tuple[TargetName, ...],
    BeforeValidator(_listed),
    AfterValidator(_each_once),
    Field(min_length=1, max_length=MOST_TARGETS),
]


def of_earlier_version(cls: type[Any], data: Any) -> Any:
    """The configuration that `model.json` of an earlier version holds, with the keys of today.

    In a YAML file they are renamed or dropped before, with a warning.
    """
    if not isinstance(data, Mapping):
        return data
    if "target" in data and "targets" not in data:
        data = {("targets" if key == "target" else key): value for key, value in data.items()}
    source = data.get("source")
    if isinstance(source, Mapping) and source.get("engine") == "duckdb":
        data = {**data, "source": {k: v for k, v in source.items() if k != "engine"}}
    return data


class PushConfig(Strict):
    """Where blessed versions go.

    Attributes:
      directory: Folder of the versions; None takes `pushed` in the run's own folder.
      keep: Newest versions to keep; None keeps all.
      clients: Whether clients are generated: `clients/<language>`.
      preprocessing: Whether vocabularies, boundaries and moments go with it as data,
        `preprocessing.json`, for apps that compute `ids` themselves. The file has fingerprints of
        texts only.
      browser_batch: Rows a call of the file for browsers, `clients/web/model.tflite`: LiteRT.js
        feeds no dynamic batch.
    """

    directory: str | None = None
    keep: int | None = Field(None, ge=1)
    clients: bool = True
    preprocessing: bool = True
    browser_batch: int = Field(BROWSER_BATCH, ge=1, le=4096)


class BeamConfig(Strict):
    """How the Beam-based stages (statistics, Transform, Evaluator) run.

    Attributes:
      pipeline_args: Passed to Beam as they are: `--runner=FlinkRunner`, `--flink_master=...`. None
        run it in this process; any make TFX build a source package for remote workers, a second a
        stage.
    """

    pipeline_args: tuple[str, ...] = ()
