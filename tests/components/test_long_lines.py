"""The buffer of a file: as large as its longest row asks for; no line is lost without a word."""

from __future__ import annotations

import pathlib

import pytest

from ranklite.components.log_example_gen import IngestError, long_lines

LONGEST, LARGE = 64, 64 * 16


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that a test can write."""
    monkeypatch.setattr(long_lines, "LONGEST_LINE", LONGEST)
    monkeypatch.setattr(long_lines, "LARGE", LARGE + 2**20)


def size(folder: pathlib.Path, text: str, quote: str = '"', escape: str = '"') -> int:
    path = folder / "log.csv"
    path.write_bytes(text.encode())
    return long_lines.buffer_size(str(path), "log.csv", quote, escape)


SHORT = "a,1\n" * 40


@pytest.mark.parametrize(
    "text",
    [
        "",
        SHORT,
        SHORT.replace("\n", "\r\n"),
        SHORT.replace("\n", "\r"),
        SHORT + "x" * (LONGEST - 1) + "\n" + SHORT,
        SHORT + '"p\nq",1\n' * 30,
        SHORT + '"p""\nq",1\n' * 30,
        SHORT + "b,2",
    ],
)
def test_short_rows_need_a_small_one(tmp_path: pathlib.Path, text: str) -> None:
    assert size(tmp_path, text) == long_lines.USUAL


@pytest.mark.parametrize("before", range(0, 70, 7))
def test_a_long_row_needs_a_large_one_wherever_it_stands(
    tmp_path: pathlib.Path, before: int
) -> None:
    start = "y" * before + "\n" + SHORT
    for long in ("x" * (LONGEST + 1) + "\n", '"' + "p\n" * LONGEST + '",1\n'):
        assert size(tmp_path, start + long + SHORT) == long_lines.LARGE
        assert size(tmp_path, start + long) == long_lines.LARGE
    quoted = start + '"' + "p\n" * LONGEST + '",1\n' + SHORT
    assert size(tmp_path, quoted, quote="", escape="") == long_lines.USUAL  # lines of their own


def test_escaped_quotes_are_not_counted(tmp_path: pathlib.Path) -> None:
    assert size(tmp_path, SHORT + '"\\"\n",1\n', escape="\\") == long_lines.LARGE


def test_a_line_that_no_buffer_holds_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(IngestError, match=r"log.csv:41: the line has more than 1024 bytes"):
        size(tmp_path, SHORT + "x" * (LARGE + 1) + "\n" + SHORT)
    assert size(tmp_path, SHORT + "x" * (LARGE - LONGEST) + "\n") == long_lines.LARGE
