"""What the page of a run is made of."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from ranklite.models.reporting.columns import Column

Scalars = dict[str, list[tuple[int, float]]]  # (step, value) by tag


@dataclasses.dataclass(frozen=True)
class CurrentRun:
    """A run under way.

    Attributes:
      title: What a person calls it.
      started: When, in UTC.
    """

    title: str
    started: datetime.datetime

    @property
    def seconds(self) -> float:
        """Since its start."""
        return (datetime.datetime.now(datetime.timezone.utc) - self.started).total_seconds()


@dataclasses.dataclass(frozen=True)
class StoppedRun:
    """How a run ended that did not come to its end.

    Attributes:
      stage: The one that failed.
      error: Its words.
      stages: Name, state and seconds of each, in order; None where it did not run.
      log: The failed stage's log file.
    """

    stage: str
    error: str
    stages: list[tuple[str, str, float | None]]
    log: str


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the page is made of; a section without its facts is left out.

    Attributes:
      config: The run's configuration.
      code_digest: Of the component's code.
      ingest: `report.json` of LogExampleGen; None where there is none.
      report: `report.json` of FileValidator, its verdicts joined by those of the Evaluators; None
        where the run did not come that far.
      anomalies: (split, column, description) of what the data gate let pass.
      columns: What the examples hold, column by column.
      trainings: Curves of each training, by stage.
      refused_by: Nodes that did not bless the model; empty if it may be pushed.
      lineage: (id, type) of the artifacts it was made from, by input.
      commit: Of git, where it is known.
      versions: Of Python and the packages that shape a model.
      warm: Metrics of the float training that say whether and from where it started warm.
      settings_trials: `trials.json` of SettingsSearch; None where none ran.
      seeds: `seeds.json` of SeedRepeats; None where none ran.
      run: Which run it is; None in a pod of Kubeflow, which is not told.
      seconds: From the run's start to the writing of the page.
      stopped: How the run ended, where that was not as it should.
    """

    config: dict[str, Any]
    code_digest: str
    ingest: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    anomalies: list[tuple[str, str, str]] | None = None
    columns: list[Column] = dataclasses.field(default_factory=list)
    trainings: dict[str, Scalars] = dataclasses.field(default_factory=dict)
    refused_by: list[str] = dataclasses.field(default_factory=list)
    lineage: dict[str, list[tuple[int, str]]] = dataclasses.field(default_factory=dict)
    commit: str | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    warm: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings_trials: dict[str, Any] | None = None
    seeds: dict[str, Any] | None = None
    run: CurrentRun | None = None
    seconds: float | None = None
    stopped: StoppedRun | None = None
