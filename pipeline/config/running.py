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
    """

    directory: str | None = None
    keep: int | None = Field(None, ge=1)


class BeamConfig(Strict):
    """How the Beam-based stages (statistics, Transform, Evaluator) run.

    Attributes:
      pipeline_args: Passed to Beam as they are: `--runner=FlinkRunner`, `--flink_master=...`. None
        run it in this process; any make TFX build a source package for remote workers, a second a
        stage.
    """

    pipeline_args: tuple[str, ...] = ()
