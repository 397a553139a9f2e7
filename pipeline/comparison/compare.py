"""Puts a comparison of runs together, and shows it in a browser."""

from __future__ import annotations

from collections.abc import Sequence

from ranklite.models.reporting import html
from ranklite.models.reporting.tables import Section, Table
from ranklite.pipeline.comparison import inputs, judgement
from ranklite.pipeline.comparison.runs import JudgedRun


def compare(runs: Sequence[JudgedRun]) -> list[Section]:
    """All sections of a comparison.

    Args:
      runs: Two or more; the first is what the others are compared with.
    """
    sections = [_overview(runs)]
    for other in runs[1:]:
        sections += [judgement.metrics(runs[0], other), judgement.slices(runs[0], other)]
    return [
        *sections,
        judgement.costs(runs),
        judgement.gates(runs),
        inputs.configuration(runs),
        inputs.code(runs),
        inputs.data(runs),
    ]


def _overview(runs: Sequence[JudgedRun]) -> Section:
    rows = [
        [
            run.name,
            run.started[:16].replace("T", " "),
            run.report["split"],
            f"{run.report['rows']:,}",
            run.result,
            "",
        ]
        for run in runs
    ]
    head = ["run", "started (UTC)", "judged on", "rows", "result", ""]
    certain = (
        f"All are compared with {runs[0].name}. Differences whose 95 % interval excludes 0 are "
        "marked; where there are none, chance still marks one of twenty."
    )
    scope = (
        "An interval is about these models on other users, not about training with another seed."
    )
    return Section("Runs", [certain, scope], [Table(head, rows)])


def page(runs: Sequence[JudgedRun], sections: Sequence[Section]) -> str:
    """A self-contained HTML page."""
    first, *others = (run.name for run in runs)
    title = f"{', '.join(others)} against {first}"
    return html.document(title, "What differs between finished runs.", html.sections(sections))
