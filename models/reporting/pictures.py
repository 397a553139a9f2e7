"""Plots as SVG inside of a page: the same figures always give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ranklite.models.reporting import html


def picture(draw: Callable[[Figure], None], size: tuple[float, float], text: str) -> str:
    """A figure of HTML with a plot inside.

    Args:
      draw: Draws on the figure that it is given.
      size: Width and height in inches.
      text: What a screen reader says.
    """
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ranklite"}):
        figure = Figure(figsize=size, dpi=110, layout="tight")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    return f'<figure role="img" aria-label="{html.text(text)}">{drawing}</figure>'


def label(axis: Any, x: str, y: str, title: str) -> None:
    """Titles and a grid."""
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.set_title(title, fontsize=10)
    axis.grid(visible=True, alpha=0.3)
