"""The page of a run that failed: why it stopped, and what its finished stages had found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ranklite.components.blessings import EVALUATIONS
from ranklite.components.run_report import gather
from ranklite.models.files import write
from ranklite.models.reporting import page
from ranklite.models.reporting.facts import CurrentRun, StoppedRun
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import code_digest
from ranklite.pipeline.local.tensorboard import training_logs
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.store import FINISHED, Run

_PAGE_CODE = "ranklite.components.run_report.executor"
REPORT = "RunReport"  # whose logs are of no training
FACTS = {  # what RunReport takes in: nodes that write it, of which a run has one, and their key
    "ingest_report": (("LogExampleGen",), "report"),
    "statistics": (("StatisticsGen",), "statistics"),
    "schema": (("SchemaFromConfig", "ImportSchemaGen"), "schema"),
    "anomalies": (("ValidationGate",), "anomalies"),
    "settings_trials": (("SettingsSearch",), "trials"),
    "float_checkpoint": (("Trainer",), "model"),
    "stage_report": (("FileValidator",), "report"),
    "seeds": (("SeedRepeats",), "seeds"),
    **{key: ((node,), "evaluation") for key, node in EVALUATIONS.items()},
}


def write_page(
    config: RunConfig,
    folders: Folders,
    run: Run,
    *,
    failed: str,
    error: str,
    log: str,
    stages: Sequence[str],
) -> str:
    """Writes `reports/<number>.html` of a run that failed.

    Args:
      config: Its configuration.
      folders: Where the pipeline's runs put things.
      run: What ML Metadata knows of it.
      failed: The stage that failed.
      error: Its words.
      log: The stage's log file.
      stages: The pipeline's nodes in order.

    Returns:
      The page's path.
    """
    about = CurrentRun(run.title, run.started)
    stopped = StoppedRun(failed, error, [_went(run, stage) for stage in stages], log)
    settings = config.model_dump(mode="json")
    shown = render(settings, _written(run), _logs(folders, run), about, stopped)
    return write(folders.stopped_page(run.number), shown.encode())


def render(
    config: dict[str, Any],
    written: Mapping[str, str],
    logs: Sequence[str],
    run: CurrentRun,
    stopped: StoppedRun,
) -> str:
    """The page.

    Args:
      config: The run's configuration.
      written: Folders of the facts that are there, by the keys of `FACTS`.
      logs: Folders of TensorBoard's logs, of all trainings.
      run: Which run it is.
      stopped: How it ended.
    """
    facts = gather.facts(config, code_digest(_PAGE_CODE), written, logs)
    return page.render(dataclasses.replace(facts, run=run, seconds=run.seconds, stopped=stopped))


def _went(run: Run, node: str) -> tuple[str, str, float | None]:
    stage = run.stages.get(node)
    if stage is None:
        return node, "did not run", None
    return node, stage.state, None if stage.state == "cached" else stage.seconds


def _written(run: Run) -> dict[str, str]:
    """The folders of the facts that are there."""
    result = {}
    for fact, (nodes, key) in FACTS.items():
        for stage in (run.stages[node] for node in nodes if node in run.stages):
            folder = stage.folder(key)
            if folder and stage.state in FINISHED:
                result[fact] = folder
    return result


def _logs(folders: Folders, run: Run) -> list[str]:
    """Of all trainings, also of the one that failed."""
    trained = [stage for stage in run.stages.values() if stage.node != REPORT]
    result = [training_logs(stage, folders.artifacts) for stage in trained]
    return [logs for logs in result if logs]
