"""The table of faults: what was broken on purpose, and whether what was promised held."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest

OPTION = "--fault-table"
BELOW = "<!-- make faults writes what follows -->\n\n"  # in the file: what stands above it stays
MOST = 60  # letters of what tells one case of a test from another
_PROPERTY = "fault"


class FaultTable:
    """Collects the tests that are marked `fault` and writes them as a table.

    `@pytest.mark.fault("a bit of the pushed file flips", "refused, and named")` says what is broken
    and what is to become of it; the test breaks it.

    Args:
      path: Markdown file; None writes none.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._rows: dict[str, tuple[str, str, str]] = {}

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Puts what a marker says where reports of other processes carry it."""
        for item in items:
            for marker in item.iter_markers(_PROPERTY):
                item.user_properties.append((_PROPERTY, (*marker.args, _case(item))))

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keeps the outcome of a test; a skipped one says why in its own words."""
        about = dict(report.user_properties).get(_PROPERTY)
        if about is None or not (report.when == "call" or report.skipped or report.failed):
            return
        what, promise, case = about
        held = {"passed": "held", "failed": "FAILED", "skipped": "not tried here"}[report.outcome]
        case = case if len(case) <= MOST else f"{case[: MOST - 3]}..."
        self._rows[report.nodeid] = (f"{what}: {case}" if case else what, promise, held)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        """Says how many held, and writes the table; not where the tests did not come to an end."""
        if not self._path or not self._rows or exitstatus not in (0, 1):
            return
        rows = [self._rows[name] for name in sorted(self._rows)]
        held = sum(row[2] == "held" for row in rows)
        terminalreporter.write_line(f"{held} of {len(rows)} faults held")
        lines = ["| fault | what becomes of it | |", "|---|---|---|"]
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
        path = pathlib.Path(self._path)
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        head = before.partition(BELOW)[0] + BELOW if BELOW in before else ""
        path.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


def _case(item: pytest.Item) -> str:
    """What tells a case of a test from another, without the numbers that pytest gives values."""
    called = getattr(item, "callspec", None)
    if called is None:
        return ""
    names = "|".join(map(re.escape, called.params))
    told = re.sub(rf"(?:^|(?<=-))(?:{names})\d+-", "", f"{called.id}-")[:-1]
    return re.sub(r"\\+(?=[^\w\\])", "", told)
