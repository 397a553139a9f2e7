"""The rejects of a part, in a file beside its rows."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator

from ranklite.components.log_example_gen.rejects import Reject

_FILE = "rejects.jsonl"


def write(folder: str, rejects: Iterable[Reject]) -> None:
    """Writes rejects, in their order."""
    with open(os.path.join(folder, _FILE), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(dataclasses.astuple(each)) + "\n" for each in rejects)


def read(folder: str, before: int = 0) -> Iterator[Reject]:
    """The same, one by one.

    Args:
      folder: Of the part.
      before: Rows of a query's result in the parts before it.
    """
    with open(os.path.join(folder, _FILE), encoding="utf-8") as file:
        for line in file:
            each = Reject(*json.loads(line))
            yield each if each.file else dataclasses.replace(each, line=each.line + before)
