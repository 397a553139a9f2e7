"""What kind of file a run pushes, where, and how its Beam-based stages run."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ranklite.models.config import Strict
from ranklite.models.export import TARGETS


def _registered(name: str) -> str:
    TARGETS.module(name)  # raises with what is registered
    return name


TargetName = Annotated[str, AfterValidator(_registered)]


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
    browser_batch: int = Field(64, ge=1, le=4096)


class BeamConfig(Strict):
    """How the Beam-based stages (statistics, Transform, Evaluator) run.

    Attributes:
      pipeline_args: Passed to Beam as they are: `--runner=FlinkRunner`, `--flink_master=...`. None
        run it in this process; any make TFX build a source package for remote workers, a second a
        stage.
    """

    pipeline_args: tuple[str, ...] = ()
