"""How rows are divided into splits: by time, by a hash, or by files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ranklite.components.log_example_gen.source import Glob
from ranklite.models.config import Column, Strict

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class TimeSplit(Strict):
    """The newest rows are held out: first `test`, before it `eval`, the rest is `train`."""

    by: Literal["time"]
    eval: Share = 0.1
    test: Share | None = None


class HashSplit(Strict):
    """Rows are divided by a hash.

    Attributes:
      key: Column; all rows with the same value of it fall into one split. None hashes the number of
        the row.
    """

    by: Literal["hash"]
    key: Column | None = None
    eval: Share = 0.1
    test: Share | None = None


class FileSplit(Strict):
    """Each split has files of its own."""

    by: Literal["files"]
    train: Glob
    eval: Glob
    test: Glob | None = None


SplitConfig = Annotated[TimeSplit | HashSplit | FileSplit, Field(discriminator="by")]
