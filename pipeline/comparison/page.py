"""Puts a comparison together and shows it, in a terminal and in a browser."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ranklite.components.run_report import markup
from ranklite.pipeline.comparison import inputs, judgement
from ranklite.pipeline.comparison.runs import JudgedRun
from ranklite.pipeline.comparison.sections import Section, Table
from ranklite.pipeline.tables import table

WIDEST = 44  # characters of a cell in the terminal; the page shows all


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


def render(sections: Sequence[Section]) -> str:
    """For the terminal."""
    lines = []
    for section in sections:
        lines += ["", section.title, *section.notes]
        for shown in section.tables:
            if shown.rows:
                lines += ["", table(shown.head, [_shortened(row) for row in shown.rows])]
        lines += [""]
    return "\n".join(lines)


def page(runs: Sequence[JudgedRun], sections: Sequence[Section]) -> str:
    """A self-contained HTML page."""
    first, *others = (run.name for run in runs)
    parts = [
        (
            section.title,
            "".join(f"<p>{markup.text(note)}</p>" for note in section.notes)
            + "".join(
                markup.table(shown.head, shown.rows, lambda row: bool(row[-1]))
                for shown in section.tables
                if shown.rows
            ),
        )
        for section in sections
    ]
    title = f"{', '.join(others)} against {first}"
    return markup.document(title, "What differs between finished runs.", parts)


def _shortened(row: Sequence[str]) -> list[str]:
    """Cells cut to what a terminal shows, long ones from shortly before they differ."""
    long = {cell for cell in row if len(cell) > WIDEST}
    columns = zip(*long, strict=False)
    alike = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
    skipped = alike - WIDEST // 2 if len(long) > 1 else 0
    return [_cut(f"...{cell[skipped:]}" if cell in long and skipped > 0 else cell) for cell in row]


def _cut(cell: str) -> str:
    return cell if len(cell) <= WIDEST else f"{cell[: WIDEST - 3]}..."
