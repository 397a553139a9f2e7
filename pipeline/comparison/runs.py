"""Finds finished runs by the names that a person has at hand."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from typing import Any

from ranklite.components.artifact_json import REPORT_FILE, SCORES_FILE, TRIALS_FILE
from ranklite.models.evaluation.scored_rows import ScoredRows
from ranklite.models.reporting import training_words
from ranklite.models.reporting.metric_names import METRICS
from ranklite.pipeline.runs import lineage
from ranklite.pipeline.runs.every_store import every_run
from ranklite.pipeline.runs.nodes import current_name
from ranklite.pipeline.runs.store import Run, Stage, code_digest, document

_NAME = re.compile(
    r"(?:(?P<date>\d{4}-\d\d-\d\d) +)?(?P<pipeline>[a-z][a-z0-9-]*)"
    r"(?:(?: *#| +run) *(?P<number>-?\d+)(?:[ /].*)?)?"
)
_PART = re.compile(r"\d{4}-\d\d-\d\d|#.*")  # what an unquoted name falls apart into
LISTED = tuple(METRICS[name] for name in ("auc", "log_loss", "bytes"))
_NO_STAGE = Stage("", "", 0, {})


@dataclasses.dataclass(frozen=True)
class JudgedRun:
    """A run that came to its gates, whatever they said.

    Attributes:
      name: Its label, `<pipeline>#<number>` and what a person called it, or the folder of a version
        that no run here pushed.
      started: ISO time in UTC.
      result: `pushed <version>`, `refused by ...`, or what stopped it later.
      config: Its whole configuration, with what a search for settings chose; empty where it is not
        known.
      report: `report.json` of FileValidator, its verdicts joined by those of the Evaluators.
      ingest: `report.json` of LogExampleGen; empty where there is none.
      code: Code digest by stage.
      scores: Row by row; None where they were not kept.
    """

    name: str
    started: str
    result: str
    config: dict[str, Any]
    report: dict[str, Any]
    ingest: dict[str, Any]
    code: dict[str, str]
    scores: ScoredRows | None


def find(names: Sequence[str], runs: str) -> list[JudgedRun]:
    """The runs that some names mean.

    Args:
      names: `movielens#7`, `movielens` (the newest that was judged), `movielens#-2` (the one before
        it), a name as TensorBoard shows it (`2026-11-22 movielens run 7/trainer`), the name that a
        person gave, a pushed version's folder, the folder of all versions (the newest), or an
        exported file.
      runs: Folder of all pipelines' runs.

    Raises:
      FileNotFoundError: There is no such run; the message says which there are.
      ValueError: One has no figures; the message says why.
    """
    every = _every(runs)
    return [_find(name, every, runs) for name in names]


def catalogue(runs: str) -> list[list[str]]:
    """Every run with its name, start, result and the shipped file's AUC, log loss and bytes.

    Raises:
      FileNotFoundError: There are no runs.
    """
    every = _every(runs)
    if not every:
        raise FileNotFoundError(_known(every, runs))
    rows = []
    for pipeline_runs in every.values():
        for run in pipeline_runs:
            shipped = _report(run).get("stages", {}).get("shipped", {})
            figures = [m.text(shipped.get(m.name), precise=True) for m in LISTED]
            started = f"{run.started:%Y-%m-%d %H:%M}"
            rows.append([run.label, started, *figures, _result(run)])
    return rows


def _find(given: str, every: dict[str, list[Run]], runs: str) -> JudgedRun:
    match = _NAME.fullmatch(given.strip())
    named = _named(given.strip(), every)
    if match and match["pipeline"] in every:
        name = match["pipeline"]
        if named:
            raise ValueError(
                f"{given!r} is a run of {name!r}, and the name of {named.pipeline}#"
                f"{named.number}: say which by {name}#... or {named.pipeline}#{named.number}"
            )
        run = _numbered(name, every[name], match["number"])
        if match["date"] not in (None, f"{run.started:%Y-%m-%d}"):
            raise FileNotFoundError(
                f"no run {given!r}; {name}#{run.number} was started on {run.started:%Y-%m-%d}"
            )
        return _judged(name, run)
    if named:
        return _judged(named.pipeline, named)
    if os.path.exists(given):
        return _version(given, runs, every)
    hint = "; a name with spaces goes in quotes" if _PART.fullmatch(given.strip()) else ""
    raise FileNotFoundError(f"no run {given!r}; {_known(every, runs)}{hint}")


def _every(runs: str) -> dict[str, list[Run]]:
    """All runs of all pipelines, the oldest first, by pipeline."""
    every = every_run(runs).items()
    return {name: pipeline_runs for name, pipeline_runs in every if pipeline_runs}


def _known(every: dict[str, list[Run]], runs: str) -> str:
    if not every:
        return f"there are no runs in {runs!r} (name their folder with --runs)"
    reported = [
        f"{name}#1" + (f" to {name}#{len(pipeline_runs)}" if len(pipeline_runs) > 1 else "")
        for name, pipeline_runs in every.items()
    ]
    return f"there are {', '.join(reported)}: `ranklite compare --list`"


def _named(given: str, every: dict[str, list[Run]]) -> Run | None:
    """The newest run that a person gave a name, if there is one in one pipeline only."""
    newest = {
        name: run
        for name, pipeline_runs in every.items()
        for run in pipeline_runs
        if run.name == given
    }
    if len(newest) > 1:
        which = ", ".join(f"{name}#{run.number}" for name, run in newest.items())
        raise ValueError(f"more than one run is called {given!r}: say which of {which}")
    return next(iter(newest.values()), None)


def _numbered(name: str, every: list[Run], number: str | None) -> Run:
    """A run by its number from 1, or counted back from -1 among those that were judged."""
    if number is not None and int(number) > 0:
        if int(number) > len(every):
            raise FileNotFoundError(f"no run {name}#{number}; the newest is {name}#{len(every)}")
        return every[int(number) - 1]
    judged = [run for run in every if _report(run)]
    back = -int(number or -1)
    if not judged:
        raise ValueError(f"no run of {name!r} came to its gates; {_reason(name, every[-1])}")
    if not 1 <= back <= len(judged):
        raise FileNotFoundError(
            f"no run {name}#{number}: #-1 is the newest of {len(judged)} that came to their gates"
        )
    return judged[-back]


def _judged(name: str, run: Run) -> JudgedRun:
    report = _report(run)
    if not report:
        raise ValueError(f"{_reason(name, run)}: it has no figures to compare")
    stages = run.stages
    reporter = stages.get("RunReport") or stages.get("Pusher") or _NO_STAGE
    folder = stages["FileValidator"].folder("report")
    return JudgedRun(
        name=run.label,
        started=run.started.isoformat(timespec="seconds"),
        result=_result(run),
        config=training_words.as_trained(
            json.loads(reporter.properties.get("config", "{}")),
            {"tuned": run.document("SettingsSearch", "trials", TRIALS_FILE).get("settings", {})},
        ),
        report={**report, "verdicts": _pushed(run).get("verdicts", report["verdicts"])},
        ingest=run.document("LogExampleGen", "report", REPORT_FILE),
        code={
            n: digest for n, stage in stages.items() if (digest := code_digest(stage.properties))
        },
        scores=_scores(folder),
    )


def _scores(folder: str | None) -> ScoredRows | None:
    path = os.path.join(folder or "", SCORES_FILE)
    return ScoredRows.load(path) if folder and os.path.isfile(path) else None


def _report(run: Run) -> dict[str, Any]:
    return run.document("FileValidator", "report", REPORT_FILE)


def _reason(name: str, run: Run) -> str:
    """Why a run has no report."""
    if run.stages.get("FileValidator", _NO_STAGE).state in ("done", "cached"):
        return f"the report of {name}#{run.number} was deleted"
    stopped = [s for s in run.stages.values() if s.state not in ("done", "cached")]
    reasons = ", ".join(
        f"{s.node} {s.state}" + (f" ({s.error})" if s.error else "") for s in stopped
    )
    return f"{name}#{run.number} never came to its gates: {reasons or 'it was stopped'}"


def _pushed(run: Run) -> dict[str, Any]:
    return run.document("Pusher", "pushed_model", "pushed.json")


def _result(run: Run) -> str:
    pushed = _pushed(run)
    if pushed.get("version"):
        return f"pushed {os.path.basename(pushed['version'])}"
    if pushed.get("refused_by"):
        return f"refused by {', '.join(map(current_name, pushed['refused_by']))}"
    stopped = [f"{s.node} {s.state}" for s in run.stages.values() if s.state == "failed"]
    return ", ".join(stopped) or "unfinished"


def _version(path: str, runs: str, every: dict[str, list[Run]]) -> JudgedRun:
    """The run that pushed a version or made its file, else what lies in the folder itself."""
    file = lineage.model_file(path)
    folder = os.path.realpath(os.path.dirname(file))
    for name, pipeline_runs in every.items():
        for run in pipeline_runs:
            if os.path.realpath(_pushed(run).get("version") or "/") == folder:
                return _judged(name, run)
    try:
        traced = lineage.trace(file, runs)
    except FileNotFoundError:
        report, about = document(folder, REPORT_FILE), document(folder, "model.json")
        if not report or not about:
            raise
        name, config = os.path.relpath(folder), about["config"]
        return JudgedRun(name, about["created"], "pushed", config, report, {}, {}, None)
    if traced.run is None:
        raise FileNotFoundError(f"the run that made {file} is not in the store any more")
    return _judged(traced.pipeline, every[traced.pipeline][traced.run["number"] - 1])


def differ(values: Sequence[Any]) -> bool:
    """Whether not all are equal."""
    return any(value != values[0] for value in values[1:])
