"""Parts of the pages that a browser shows: nothing in them is loaded, and all text is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence

from ranklite.models.reporting.tables import Section

LONG_WORD = 30  # characters; a longer one, such as a digest, is broken on paper


def document(title: str, head: str, parts: Sequence[tuple[str, str]]) -> str:
    """A whole page.

    Args:
      title: Text.
      head: A line of text below it.
      parts: Title as text and content as HTML of each.
    """
    links = " ".join(f'<a href="#s{k}">{text(name)}</a>' for k, (name, _) in enumerate(parts))
    body = "".join(
        f'<section id="s{k}"><h2>{text(name)}</h2>{content}</section>'
        for k, (name, content) in enumerate(parts)
    )
    return _PAGE.format(title=text(title), head=text(head), links=links, body=body)


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    stands_out: Callable[[Sequence[str]], bool] = lambda _: False,
    *,
    escaped: bool = False,
) -> str:
    """Rows of text as an HTML table; those that stand out are bold.

    Args:
      head: Titles of the columns.
      rows: Their cells.
      stands_out: Whether a row is bold.
      escaped: The cells are HTML already.
    """
    cells = "".join(f"<th>{text(title)}</th>" for title in head)
    lines = "".join(
        ('<tr class="out">' if stands_out(row) else "<tr>")
        + "".join(_cell(cell if escaped else text(cell)) for cell in row)
        + "</tr>"
        for row in rows
    )
    return f"<div><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>"


def _cell(content: str) -> str:
    longest = max(map(len, re.sub("<[^>]*>", " ", content).split()), default=0)
    return f"<td{' class=long' if longest > LONG_WORD else ''}>{content}</td>"


def text(value: object) -> str:
    """Anything as text, escaped."""
    return html.escape(str(value))


def sections(parts: Sequence[Section]) -> list[tuple[str, str]]:
    """Sections of text as title and HTML; rows that are marked are bold."""
    return [
        (
            part.title,
            "".join(f"<p>{text(note)}</p>" for note in part.notes)
            + "".join(
                table(shown.head, shown.rows, lambda row: bool(row[-1]))
                for shown in part.tables
                if shown.rows
            ),
        )
        for part in parts
    ]


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem }}
nav {{ display: flex; flex-wrap: wrap; gap: .3rem 1rem }}
h1, p {{ overflow-wrap: anywhere }}
figure {{ margin: 1rem 0 }}
svg, img {{ max-width: 100%; height: auto }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right }}
th:first-child, td:first-child {{ text-align: left }}
pre {{ font-size: 12px; white-space: pre-wrap; overflow-wrap: anywhere }}
.out {{ font-weight: bold }}
.ok {{ border-left: .4rem solid #2a2; padding-left: .6rem }}
.warn {{ border-left: .4rem solid #e90; padding-left: .6rem }}
.no {{ border-left: .4rem solid #c22; padding-left: .6rem; font-weight: bold }}
@page {{ size: A4; margin: 12mm }}
@media print {{
body {{ font-size: 9pt; padding: 0 }}
nav {{ display: none }}
div {{ overflow-x: visible }}
table, pre {{ font-size: 7pt }}
pre {{ columns: 2 }}
th, td {{ padding: .1rem .3rem }}
.long {{ overflow-wrap: anywhere }}
h2, h3, summary {{ break-after: avoid }}
figure, tr {{ break-inside: avoid }}
details::details-content {{ content-visibility: visible }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{head}</p>
<nav>{links}</nav>
{body}
</body>
</html>
"""
