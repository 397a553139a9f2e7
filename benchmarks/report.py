"""The figures of a benchmark, for people as a table and for programs as JSON.

`python -m benchmarks.all` reads what each benchmark writes by `--json FILE`.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import platform
from collections.abc import Iterable

from ranklite.models.environment import cores, processor
from ranklite.models.reporting.tables import table


@dataclasses.dataclass(frozen=True)
class Figure:
    """One row of a benchmark.

    Args:
      what: What was measured.
      ours: RankLite's figure.
      peer: That of the peer, or of the limit; None where there is none.
      ratio: How many times better than the peer RankLite is: above 1 is better; None without one.
      unit: Of both figures.
      to_reach: The target in words, "" without one.
    """

    what: str
    ours: float
    peer: float | None
    ratio: float | None
    unit: str
    to_reach: str = ""


def machine() -> str:
    """What a figure was measured on: cores, processor, Python."""
    return f"{cores()} cores of {processor()}, Python {platform.python_version()}"


def show(figures: Iterable[Figure]) -> str:
    """The figures as a table."""
    rows = [
        [
            figure.what,
            _number(figure.ours),
            _number(figure.peer),
            figure.unit,
            f"{figure.ratio:.2f}x" if figure.ratio is not None else "",
            figure.to_reach,
        ]
        for figure in figures
    ]
    return table(["what", "ours", "peer", "unit", "ratio", "to reach"], rows)


def write(path: str, name: str, figures: Iterable[Figure]) -> None:
    """Writes the figures of a benchmark as JSON, whole or not at all.

    Args:
      path: The file.
      name: Of the benchmark.
      figures: Its rows.
    """
    rows = [dataclasses.asdict(figure) for figure in figures]
    content = {"benchmark": name, "machine": machine(), "rows": rows}
    target = pathlib.Path(path)
    part = target.with_name(f".{target.name}.part")
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(target)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"
