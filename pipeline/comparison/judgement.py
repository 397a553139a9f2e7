"""How the models of two runs differ: metrics with intervals, slices, gates, size and latency."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation import bootstrap
from ranklite.models.evaluation.bootstrap import Draws, Interval
from ranklite.models.evaluation.scored_rows import ScoredRows
from ranklite.models.reporting.gate_words import outcome, verdict_cells
from ranklite.models.reporting.metric_names import (
    ACCURACY,
    COSTS,
    Metric,
    slice_title,
    stage_title,
)
from ranklite.models.reporting.tables import Section, Table, number
from ranklite.models.reporting.tables import interval as bracketed
from ranklite.pipeline.comparison.runs import JudgedRun, differ

MOST_SLICES = 12
GATE_WIDTH = 72  # value, interval, bound and outcome, the longest there are

Intervals = dict[str, Interval]  # by metric
_MARKS = {1: "better", -1: "worse", 0: "differs"}


def metrics(reference: JudgedRun, other: JudgedRun) -> Section:
    """Differences of every metric of the stages that both have, the shipped file's first."""
    both = [s for s in other.report["stages"] if s in reference.report["stages"]]
    stages = [s for s in ("shipped", "float") if s in both]
    stages += [s for s in both if s not in stages]
    bounds = _intervals(reference, other, stages)
    rows = []
    for stage in stages:
        before, after = (run.report["stages"][stage] for run in (reference, other))
        for metric in ACCURACY:
            key = metric.name
            if key in before and key in after:
                interval = bounds.get(stage, {}).get(key)
                label = f"{stage_title(stage)}: {metric.title}"
                cells = _difference(before[key], after[key], interval, metric.better)
                rows.append([label, *cells])
    missing = sorted(set(reference.report["stages"]) ^ set(other.report["stages"]))
    notes = [_how(reference, other)]
    if missing:
        notes.append(f"Only one of them has: {', '.join(map(stage_title, missing))}.")
    head = ["", reference.name, other.name, "difference", "95 % interval", ""]
    title = f"Accuracy: {other.name} against {reference.name}"
    return Section(title, notes, [Table(head, rows)])


def slices(reference: JudgedRun, other: JudgedRun) -> Section:
    """Differences of the shipped file's AUC by slice: the certain ones first, then the likely."""
    known = {_slice(entry): entry for entry in reference.report["slices"]}
    pairs = [(known[_slice(e)], e) for e in other.report["slices"] if _slice(e) in known]
    pairs = [pair for pair in pairs if not math.isnan(_change(*pair))]
    # A difference weighs as much as the root of its rows: a large one of few rows is chance.
    pairs.sort(key=lambda pair: -abs(_change(*pair)) * math.sqrt(min(e["rows"] for e in pair)))
    rows = []
    for before, after in pairs[:MOST_SLICES]:
        bounds = _slice_interval(reference, other, *_slice(after))
        cells = _difference(before["shipped"]["auc"], after["shipped"]["auc"], bounds, 1)
        rows.append([slice_title(after), f"{before['rows']:,}", f"{after['rows']:,}", *cells])
    rows.sort(key=lambda row: not row[-1])
    notes = [f"{MOST_SLICES} of the {len(pairs)} that both have."] * (len(pairs) > MOST_SLICES)
    head = ["", "rows", "rows", reference.name, other.name, "difference", "95 % interval", ""]
    title = f"AUC of the shipped file by slice: {other.name} against {reference.name}"
    return Section(title, notes, [Table(head, rows)])


def gates(runs: Sequence[JudgedRun]) -> Section:
    """Value, interval, bound and verdict of every gate in every run; what turned is marked."""
    verdicts = [{(v["name"], v["at_least"]): v for v in run.report["verdicts"]} for run in runs]
    turned = differ([run.result.startswith("pushed") for run in runs])
    rows = [["result", *(run.result for run in runs), "turned" if turned else ""]]
    for key in dict.fromkeys(key for by_gate in verdicts for key in by_gate):
        row = [by_gate.get(key) for by_gate in verdicts]
        turned = differ([outcome(v) for v in row if v is not None])
        rows.append([key[0], *map(_verdict, row), "turned" if turned else ""])
    head = ["", *(run.name for run in runs), ""]
    return Section("Gates", [], [Table(head, rows, widest=GATE_WIDTH)])


def costs(runs: Sequence[JudgedRun]) -> Section:
    """Bytes and microseconds of every file of every run, with the ratio to the first run's."""
    first = runs[0].report["stages"]
    rows = []
    for stage in dict.fromkeys(stage for run in runs for stage in run.report["stages"]):
        for metric in COSTS:
            values = [run.report["stages"].get(stage, {}).get(metric.name) for run in runs]
            if all(value is None for value in values):
                continue
            reference = first.get(stage, {}).get(metric.name)
            cells = [metric.text(values[0]), *(_ratio(v, reference, metric) for v in values[1:])]
            rows.append([f"{stage_title(stage)}: {metric.title}", *cells, ""])
    processors = [run.report.get("processor") for run in runs]
    note = "Times are each run's own measurements: what else the machine did moves them."
    if differ(processors):
        named = ", ".join(processor or "unknown" for processor in processors)
        note = f"Times were measured on different processors ({named}): do not compare them."
    return Section("Size and latency", [note], [Table(["", *(r.name for r in runs), ""], rows)])


def _difference(before: float, after: float, bounds: Interval | None, sign: int) -> list[str]:
    """Both values, their difference, its interval, and what to think of it if it excludes 0."""
    mark = ""
    if bounds is not None and (bounds[0] > 0 or bounds[1] < 0):
        mark = _MARKS[sign if bounds[0] > 0 else -sign]
    return [
        *(number(value, "{:.5f}") for value in (before, after)),
        number(after - before, "{:+.5f}"),
        bracketed(bounds, "{:+.5f}").strip() or "-",
        mark,
    ]


def _how(reference: JudgedRun, other: JudgedRun) -> str:
    """Where the intervals come from, and what a reader has to be told of them."""
    before, after = reference.scores, other.scores
    if before is None or after is None:
        without = " and ".join(run.name for run in (reference, other) if run.scores is None)
        return (
            f"Of {without} no scores row by row are at hand: the intervals are put together from "
            "those in the reports, as if the runs were independent. On the same rows they are too "
            "wide."
        )
    kept, drawn = f"{len(before.labels):,}", _replicates(before.labels, after.labels)
    if before.same_rows(after):
        sampled = f" of {before.total:,}, those of a sample of the users" * (
            len(before.labels) < before.total
        )
        return (
            f"The same rows ({kept}{sampled}): the intervals are those of paired differences, from "
            f"{drawn:,} samples of the users."
        )
    # Without an identity Transform's rows came in an order of Beam's own.
    known = before.identity and after.identity
    splits = (
        f"{kept} of {reference.report['split']}, {len(after.labels):,} of {other.report['split']}"
    )
    return (
        f"{'Not' if known else 'Perhaps not'} the same rows ({splits}): a difference may be the "
        "data's and not the model's. The intervals are those of independent samples, "
        f"{drawn:,} of each run's users."
    )


def _intervals(
    reference: JudgedRun, other: JudgedRun, stages: Iterable[str]
) -> dict[str, Intervals]:
    """Intervals of the difference of each metric, by stage."""
    before, after = reference.scores, other.scores
    if before is None or after is None:
        reports = [
            (stage, *(r.report["stages"][stage] for r in (reference, other))) for stage in stages
        ]
        return {stage: _from_reports(old, new) for stage, old, new in reports}
    drawn = _paired_or_not(before, after, [s for s in stages if s in before.scores])
    return {
        stage: bootstrap.change(drawn[0][stage], drawn[1][stage])
        for stage in drawn[0]
        if stage in drawn[1]
    }


def _from_reports(before: Mapping[str, Any], after: Mapping[str, Any]) -> Intervals:
    old, new = before.get("interval", {}), after.get("interval", {})
    return {
        key: bootstrap.independent_change(before[key], old[key], after[key], new[key])
        for key in old
        if key in new and key in before and key in after
    }


def _slice_interval(
    reference: JudgedRun, other: JudgedRun, column: str, value: str
) -> Interval | None:
    before, after = reference.scores, other.scores
    if before is None or after is None or column not in set(before.slices) & set(after.slices):
        return None
    masks = [run.slices[column] == value for run in (before, after)]
    if not all(mask.any() for mask in masks):
        return None
    drawn = _paired_or_not(before, after, ["shipped"], masks)
    return bootstrap.change(drawn[0]["shipped"], drawn[1]["shipped"])["auc"]


def _paired_or_not(
    before: ScoredRows,
    after: ScoredRows,
    stages: Sequence[str],
    masks: Sequence[npt.NDArray[np.bool_]] | None = None,
) -> list[dict[str, Draws]]:
    """Draws of both runs: the same users at a time where their rows are the same."""
    chosen = masks or [np.ones(len(run.labels), bool) for run in (before, after)]
    paired = before.same_rows(after) and np.array_equal(chosen[0], chosen[1])
    users = [run.users for run in (before, after)]
    if paired and (users[0] is None or users[1] is None):  # only one configuration names the user
        users = [users[1] if users[0] is None else users[0]] * 2
    labels = [run.labels[mask] for run, mask in zip((before, after), chosen, strict=True)]
    return [
        bootstrap.draws(
            run.labels[mask],
            {stage: run.scores[stage][mask] for stage in stages if stage in run.scores},
            None if user is None else user[mask],
            replicates=_replicates(*labels),
            seed=0 if paired else seed,
        )
        for seed, (run, mask, user) in enumerate(zip((before, after), chosen, users, strict=True))
    ]


def _replicates(*labels: npt.NDArray[Any]) -> int:
    return bootstrap.replicates(max(map(len, labels)))


def _change(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """Of a slice's AUC; NaN where one has none."""
    return float(after["shipped"]["auc"] - before["shipped"]["auc"])


def _slice(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["column"], entry["value"]


def _verdict(verdict: Mapping[str, Any] | None) -> str:
    return " ".join(filter(None, verdict_cells(verdict)[1:])) if verdict else "-"


def _ratio(value: float | None, reference: float | None, metric: Metric) -> str:
    ratio = f" ({value / reference:.2f} x)" if value is not None and reference else ""
    return metric.text(value) + ratio
