"""A piece of a file that is cut: whole records of it, read as a file of its own."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

COPIED = ".piece"  # what the name of a copy ends with
_BLOCK = 1 << 22


class Piece(NamedTuple):
    """Records of a file that follow on each other.

    Attributes:
      path: The file.
      start: Where the first one begins: a byte of a text file, a row of a Parquet file, from 0.
      end: Where the last one ends.
      before: Lines of a text file that come before, or rows of a Parquet file.
      quotes: Whether there is a quote anywhere in the file.
      delimiter: Of a CSV file.
      columns: Of a CSV file.
    """

    path: str
    start: int
    end: int
    before: int
    quotes: bool = False
    delimiter: str = ""
    columns: tuple[str, ...] = ()

    @property
    def csv(self) -> dict[str, Any]:
        """How a piece is written that does not begin its file, as of `CsvConfig`."""
        return {"delimiter": self.delimiter, "header": False, "columns": self.columns}

    def up_to(self, last: Piece) -> Piece:
        """This one, and those after it up to another one of the file."""
        return self._replace(end=last.end)


def copied(piece: Piece, folder: str) -> str:
    """A file with the bytes of a piece of a text file.

    Args:
      piece: Of a plain UTF-8 file.
      folder: Where it goes.
    """
    number = sum(1 for name in os.listdir(folder) if name.endswith(COPIED))
    copy = os.path.join(folder, f"{number}{COPIED}")
    left = piece.end - piece.start
    with open(piece.path, "rb") as file, open(copy, "wb") as out:
        file.seek(piece.start)
        while left and (block := file.read(min(left, _BLOCK))):
            out.write(block)
            left -= len(block)
    return copy
