"""Writes `examples/notebook.ipynb` from `examples/notebook.py`: `python examples/to_ipynb.py`.

The script is what is edited. `# %%` starts a cell of code, `# %% [markdown]` one of text, as
editors know them. Outputs are left out, and cells are named by their number, so that the same
script gives the same bytes.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

SCRIPT = pathlib.Path(__file__).with_name("notebook.py")
MARKER, TEXT = "# %%", " [markdown]"


def cells(script: str) -> list[dict[str, Any]]:
    """The cells of a script, in nbformat 4.5."""
    result: list[dict[str, Any]] = []
    for number, part in enumerate(("\n" + script).split(f"\n{MARKER}")[1:]):
        head, _, body = part.partition("\n")
        lines = body.strip("\n").splitlines()
        cell: dict[str, Any] = {"id": f"cell-{number}", "metadata": {}}
        if head == TEXT:
            cell |= {"cell_type": "markdown"}
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        else:
            cell |= {"cell_type": "code", "execution_count": None, "outputs": []}
        result.append({**cell, "source": "\n".join(lines).splitlines(keepends=True)})
    return result


def notebook(script: str) -> str:
    """The JSON of the notebook."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {
        "cells": cells(script),
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCRIPT.with_suffix(".ipynb").write_text(
        notebook(SCRIPT.read_text(encoding="utf-8")), encoding="utf-8"
    )
