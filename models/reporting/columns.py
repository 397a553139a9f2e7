"""A column of the examples as a page shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

LINE_COLORS = ("#c33", "#393")


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of the examples.

    Attributes:
      name: Its name.
      kind: Type, and what the schema asks for.
      missing: Share of rows without a value, by split.
      typical: Range and quantiles of numbers; the most frequent values with their shares.
      bars: Share of the values in each bin or of each frequent value, by split; the bins and the
        values are those of the first split.
    """

    name: str
    kind: str
    missing: dict[str, float]
    typical: str
    bars: dict[str, list[float]]


def sparkline(bars: Mapping[str, Iterable[float]], width: int = 120, height: int = 28) -> str:
    """The distribution as a small drawing: bars of the first split, a line for each other one."""
    drawn = {split: list(values) for split, values in bars.items()}
    top = max((value for values in drawn.values() for value in values), default=0.0)
    if not top:
        return ""
    parts = []
    for number, values in enumerate(drawn.values()):
        step = width / len(values)
        tops = [height * (1 - value / top) for value in values]
        if number == 0:
            parts += [
                f'<rect x="{k * step:.1f}" y="{y:.1f}" width="{0.85 * step:.1f}" '
                f'height="{height - y:.1f}" fill="#9bc"/>'
                for k, y in enumerate(tops)
            ]
        else:
            points = " ".join(f"{(k + 0.42) * step:.1f},{y:.1f}" for k, y in enumerate(tops))
            color = LINE_COLORS[(number - 1) % len(LINE_COLORS)]
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}"/>')
    return (
        f'<svg role="img" aria-label="distribution: {", ".join(drawn)}" width="{width}" '
        f'height="{height}" style="min-width:{width}px" viewBox="0 0 {width} {height}">'
        f"{''.join(parts)}</svg>"
    )
