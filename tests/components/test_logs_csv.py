"""CSV as it comes: dialects, encodings, and rows that do not fit."""

from __future__ import annotations

import codecs
import pathlib
from typing import Any

import pytest

from ranklite.components.log_example_gen.source import SourceConfig
from tests.small_logs import Log, check, logs

UI = {"u": "string", "i": "int64"}
MISSING = "Expected Number of Columns: 2 Found: 1"
TOO_MANY = "Expected Number of Columns: 2 Found: 3"
TOO_LONG = "Maximum line size of 16777216 bytes exceeded. Actual Size:17825794 bytes."
QUOTE = "Value with unterminated quote found."
UNICODE = "Invalid unicode (byte sequence mismatch) detected. This file is not utf-8 encoded."


def csv(name: str, text: str | bytes, examples: Any = (), rejects: Any = (), **more: Any) -> Log:
    """A log of one file with the columns u and i."""
    changes = {"source": {"csv": more.pop("csv")}} if "csv" in more else {}
    changes = more.pop("changes", changes)
    features = more.pop("features", UI)
    return Log(name, {"log.csv": text}, features, examples, rejects, changes=changes, **more)


def bad(line: int, reason: str, value: str) -> tuple[str, int, str, str, str]:
    return ("log.csv", line, "", reason, value)


AB = [("a", 1), ("b", 2)]
LATE = "u,i\n" + "a,1\n" * 25_000 + '"b,c",2\n' + "'90s',3\n"
DIALECTS = [
    csv("quotes first seen late", LATE, [("a", 1)] * 25_000 + [("b,c", 2), ("'90s'", 3)]),
    csv("other quotes are letters", "u,i\n'90s',1\n'it,2\n", [("'90s'", 1), ("'it", 2)]),
    csv("quotes inside are letters", 'u,i\n5" disk,1\nx"y",2\n', [('5" disk', 1), ('x"y"', 2)]),
    csv("semicolons", "u;i\na;1\nb;2\n", AB),
    csv("tabs", "u\ti\na\t1\nb,c\t2\n", [("a", 1), ("b,c", 2)]),
    csv("bars", "u|i\na,x|1\n", [("a,x", 1)]),
    csv("a delimiter of the values", "u,i\na;b;c;d,1\n", [("a;b;c;d", 1)]),
    csv("a delimiter in a quoted header", '"u;;;",i,u\nx,1,y\n', [("y", 1)]),
    csv("by configuration", "u:i\na,b:1\n", [("a,b", 1)], csv={"delimiter": ":"}),
    csv("no quote", 'u,i\n"a,1\nb",2\n', [('"a', 1), ('b"', 2)], csv={"quote": ""}),
    csv("backslashes are letters", "u,i\na\\n,1\n\\,2\n", [("a\\n", 1), ("\\", 2)]),
    csv(
        "an escape counts inside of quotes",
        'u,i\n"a\\"b",1\nC:\\d,2\n"x\\\\",3\n"p,\nq\\"",4\nr\\,5\n',
        [('a"b', 1), ("C:\\d", 2), ("x\\", 3), ('p,\nq"', 4), ("r\\", 5)],
        csv={"escape": "\\"},
    ),
    csv("a quoted word for null", 'u,i\nNA,1\n"NA",NA\n', [(None, 1), (None, None)],
        csv={"null": ["NA"]}),
    csv("no header", "a,1\nb,2\n", AB, csv={"header": False, "columns": ["u", "i"]}),
    csv("CRLF", "u,i\r\na,1\r\nb,2\r\n", AB),
    csv("only CR", "u,i\ra,1\rb,2\r", AB),
    csv("no last line break", "u,i\na,1\nb,2", AB),
    csv("blank lines", "u,i\n\na,1\n\n\nb,2\n\n", AB),
    csv("blank lines ahead", "\n\nu,i\na,1\nb,2\n", AB),
    csv("a byte order mark", codecs.BOM_UTF8 + b"u,i\na,1\nb,2\n", AB),
    csv("a byte order mark and quotes", codecs.BOM_UTF8 + b'"u","i"\na,1\n"b",2\n', AB),
    csv("a delimiter behind each row", "u,i\na,1,\nb,2,\n", AB),
    csv("an index without a name", ",u,i\n0,a,1\n1,b,2\n", AB),
    csv("a blank ahead of a quote", 'u,i\n "a",1\n "b,2\nc, 3\n"d"" ""e",4\n',
        [(' "a"', 1), (' "b', 2), ("c", 3), ('d" "e', 4)]),
    csv("blanks ahead of a quote", 'u,i\n  "a",1\n "",2\n', [('  "a"', 1), (' ""', 2)]),
    csv("NUL", b"u,i\na\0b,1\n\0,2\n", [("a\0b", 1), ("\0", 2)]),
    csv("a control letter", b"u,i\na\x1ab,1\n\x1f\x1e,2\n", [("a\x1ab", 1), ("\x1f\x1e", 2)]),
]  # fmt: skip
ROWS = [
    csv("short", "u,i\na,1\nx\nb,2\n", AB, [bad(3, MISSING, "x")]),
    csv("long", "u,i\na,1\nx,3,4\nb,2\n", AB, [bad(3, TOO_MANY, "x,3,4")]),
    csv("blank", "u,i\na,1\n \nb,2\n", AB, [bad(3, MISSING, " ")]),
    csv("text behind quotes", 'u,i\na,1\n"x"y,3\nb,2\n', AB, [bad(3, QUOTE, '"x"y,3')]),
    csv("a blank behind quotes", 'u,i\na,1\n"x" ,3\nb,2\n', AB, [bad(3, QUOTE, '"x"\u00a0,3')]),
    csv("a delimiter in quotes behind a blank", 'u,i\na,1\n "x,y",3\nb,2\n', AB,
        [bad(3, TOO_MANY, '" ""x",y",3')]),
    csv("a line break in quotes behind a blank", 'u,i\na,1\n "x\ny",3\nb,2\n',
        [("a", 1), ('y"', 3), ("b", 2)], [bad(3, MISSING, '" ""x"')]),
    csv("NUL in what is rejected", b"u,i\na,1\nx,\0\nb,2\n", AB,
        [("log.csv", 3, "i", "not an integer", "\0")]),
    csv("an unclosed quote at the end", 'u,i\na,1\nb,2\n"x,3\n', AB, [bad(4, QUOTE, '"x,3')]),
    csv(
        "an unclosed quote costs its lines",
        'u,i\na,1\nb,2\n"x,3\ny,4\n',
        AB,
        [bad(4, QUOTE, '"x,3'), bad(5, QUOTE, "y,4")],
    ),
    csv(
        "lines behind values of several lines",
        'u,i\n"x\ny",1\n"p\n\nq",x\n\nbad\n"r\n",2\nz,1.5\n',
        [("x\ny", 1), ("r\n", 2)],
        [
            ("log.csv", 4, "i", "not an integer", "x"),
            bad(8, MISSING, "bad"),
            ("log.csv", 11, "i", "not an integer", "1.5"),
        ],
    ),
    csv("bytes of no UTF-8", b"u,i\na,1\n\xfc,3\nb,2\n", AB, [bad(3, UNICODE, "?,3")]),
    csv("a line too long", "u,i\na,1\n" + "x" * (17 << 20) + ",3\nb,2\n", AB,
        [bad(3, TOO_LONG, "x" * 100)]),
]  # fmt: skip
ERRORS = [
    csv("an empty file", "", error="log.csv is empty$"),
    csv("only blank lines", "\n\n", error="no column 'u', 'i'"),
    csv("a header alone", "u,i\n", error="the log has no rows: its files hold a header"),
    csv("names twice", "u,i,u\na,1,b\n", error="the header names u twice"),
    csv("no such column", "u,j\na,1\n", error="no column 'i'; it has u, j"),
    csv("letter case of names", "U,i\na,1\n", error="no column 'u'; it has U, i"),
    csv("blanks in names", "u, i\na,1\n", error="no column 'i'"),
    csv("no delimiter", "u i\na 1\n", error="no column 'u', 'i'; it has u i"),
    csv("a quote that swallows the file", 'u,i\na,1\n"x,3\n' + "b,2\n" * 5000,
        error="log.csv: line 3: a quote opens a value of very many lines"),
    csv("mixed line ends", b"u,i\na,1\r\nb,2\n", error="its lines do not end alike"),
    csv("a lone CR", b"u,i\na\rx,1\nb,2\n", error="its lines do not end alike"),
    csv("UTF-16 in silence", codecs.BOM_UTF16_LE + "u,i\na,1\n".encode("utf-16-le"),
        error="is utf-16: say so by `source.encoding: utf-16`"),
    csv("a header in Latin-1", "u,i,\u00fc\na,1,2\n".encode("latin-1"),
        error="the header is not UTF-8; `source.encoding` says what it is"),
    csv("too many bad rows", "u,i\na,1\nb,x\nc\n", changes={"source": {"max_bad_rows": 0.5}},
        error=r"2 of 3 rows \(66.67%\)(?s:.*)log.csv:3: i: not an integer: 'x'\n"
              r"  log.csv:4: Expected Number of Columns"),
]  # fmt: skip
ENCODED = "u,i\nZ\u00fcrich,1\n\u20ac,2\n"
ENCODINGS = [
    csv("cp1252", ENCODED.encode("cp1252"), [("Z\u00fcrich", 1), ("\u20ac", 2)],
        changes={"source": {"encoding": "cp1252"}}),
    csv("utf-16", ENCODED.encode("utf-16"), [("Z\u00fcrich", 1), ("\u20ac", 2)],
        changes={"source": {"encoding": "utf-16"}}),
    csv("utf-16-le", ENCODED.encode("utf-16-le"), [("Z\u00fcrich", 1), ("\u20ac", 2)],
        changes={"source": {"encoding": "utf-16-le"}}),
    csv("shift_jis", "u,i\n\u6771\u4eac,1\n".encode("shift_jis"), [("\u6771\u4eac", 1)],
        changes={"source": {"encoding": "shift_jis"}}),
    csv("not what is said", ENCODED.encode("cp1252"), changes={"source": {"encoding": "ascii"}},
        error="is not ascii, from line 2 on: .*; set `source.encoding`"),
    csv("cut in a letter", "u,i\na,1\n".encode("utf-16-le")[:-1],
        changes={"source": {"encoding": "utf-16-le"}}, error="is not utf-16-le, from line 2 on"),
]  # fmt: skip


@logs(DIALECTS)
def test_dialects(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@logs(ROWS)
def test_rows_that_do_not_fit(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@logs(ERRORS)
def test_files_that_cannot_be_read(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@logs(ENCODINGS)
def test_encodings(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="'utf-99' is no encoding: write one such as utf-8"):
        SourceConfig(files="log.csv", encoding="utf-99")
