"""JSON Lines as they come: types that change, keys that come late, lines that are none."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tests.small_logs import Log, as_jsonl, check, float32, logs

UUID = "1B4E28BA-2FA1-11D2-883F-0016D3CCA427"
LATE = 20_500  # behind what DuckDB samples
UNICODE = "Invalid unicode (byte sequence mismatch) detected. This file is not utf-8 encoded."


def lines(
    name: str, values: list[Any], examples: Any, rejects: Any = (), kind: str = "string"
) -> Log:
    """A log of one feature, its values as JSON texts."""
    text = "".join(f'{{"u": {value}}}\n' for value in values)
    return Log(name, {"log.jsonl": text}, {"u": kind}, examples, rejects)


def bad(line: int, column: str, reason: str, value: str) -> tuple[str, int, str, str, str]:
    return ("log.jsonl", line, column, reason, value)


NO_TEXT, NO_INTEGER, NO_LIST = "not text", "not an integer", "not a list of texts"
VALUES = [
    lines("ids as number and as text", ["5", '"5"', "5.0", '"5.0"'], ["5", "5", "5", "5.0"]),
    lines("UUIDs among numbers", ["7", f'"{UUID}"', "null"], ["7", UUID, None]),
    lines("text behind null", ["null", "null", '"a"'], [None, None, "a"]),
    lines("text behind a list", ["[]", '"a"'], ["a"], [bad(1, "u", NO_TEXT, "[]")]),
    lines("an object as an id", ['{"id": 1}', '"a"'], ["a"], [bad(1, "u", NO_TEXT, '{"id":1}')]),
    lines("a fraction as an id", ["7.5", "7"], ["7"], [bad(1, "u", NO_TEXT, "7.5")]),
    lines("an integer of any size", ["1" * 30, "-" + "9" * 19], ["1" * 30, "-" + "9" * 19]),
    lines("a float beyond 2**53", ["1e300", "1"], ["1"], [bad(1, "u", NO_TEXT, "1e300")]),
    lines("booleans", ["true", "false", '"true"'], ["true", "false", "true"]),
    lines("escapes", ['"\\u00fc"', '"\\n"', '"\\/"', '"\\u0000"', '"\\ud83d\\ude00"'],
          ["\u00fc", "\n", "/", "\0", "\U0001f600"]),
    lines("NaN and Infinity", ["NaN", '"a"', '"NaN"'], [None, "a", "NaN"]),
    lines("integers", ["7", '"7"', "7.0", '"7.0"', "1e3", "true", "null", '""'],
          [7, 7, 7, 7, 1000, 1, None, None], kind="int64"),
    lines("no integers", ["7", "7.6", '"7.6"', '"1e3"', str(2**63)], [7],
          [bad(n, "u", NO_INTEGER, v)
           for n, v in ((2, "7.6"), (3, '"7.6"'), (4, '"1e3"'), (5, str(2**63)))], "int64"),
    lines("numbers", ["0.1", '"0.1"', "1", "true", "NaN", "1e-400"],
          [float32(0.1), float32(0.1), 1.0, 1.0, None, 0.0], kind="float32"),
    lines("numbers that do not fit", ["1", "1e39", '"inf"'], [1.0],
          [bad(2, "u", "not a number", "1e39"), bad(3, "u", "not a number", '"inf"')], "float32"),
    lines("tags as text or list", ['["a", "b"]', '"a|b"', "null", "[]", '""', '["c|d"]'],
          [["a", "b"], ["a", "b"], [], [], [], ["c|d"]], kind="strings|"),
    lines("tags as text where lists were said", ['["a"]', '"a"'], [["a"]],
          [bad(2, "u", NO_LIST, '"a"')], "strings"),
    lines("tags of several types", ['["a", 5, true, null, 2.0]', "[[1]]"],
          [["a", "5", "true", "2"]], [bad(2, "u", NO_LIST, "[[1]]")], "strings"),
    lines("lists of integers", ['[5, "6", 7.0]', "[2.5]"], [[5, 6, 7]],
          [bad(2, "u", "not a list of integers", "[2.5]")], "int64s"),
    lines("a number that turns decimal late", ["2"] * LATE + ["2.6"],
          [2.0] * LATE + [float32(2.6)], kind="float32"),
    lines("an id that becomes text late", ["2"] * LATE + ['"a"', f'"{UUID}"'],
          ["2"] * LATE + ["a", UUID]),
    lines("null for long, then text", ["null"] * LATE + ['"9:01"'], [None] * LATE + ["9:01"]),
    lines("a line of 3 MB", ['"' + "x" * 3_000_000 + '"', '"a"'], ["x" * 3_000_000, "a"]),
    lines("nested far", ['"a"', "[" * 5000 + "]" * 5000], ["a"],
          [bad(2, "u", NO_TEXT, "[" * 50)]),
]  # fmt: skip


@logs(VALUES)
def test_values(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


def text(
    name: str, content: str | bytes, examples: Any = (), rejects: Any = (), **more: Any
) -> Log:
    """A log of one file with the feature u."""
    return Log(name, {"log.jsonl": content}, {"u": "string"}, examples, rejects, **more)


NONE = "not a JSON object"
A, B = '{"u": "a"}\n', '{"u": "b"}\n'
LINES = [
    text("a key first seen late", '{"v": 1}\n' * LATE + A, [None] * LATE + ["a"]),
    text("no key in a row", '{"v": 1}\n' + A + "{}\n", [None, "a", None]),
    text("a key twice", '{"u": "a", "u": "b"}\n', ["a"]),
    text("CRLF", (A + B).replace("\n", "\r\n"), ["a", "b"]),
    text("mixed line ends", A + B.replace("\n", "\r\n") + A, ["a", "b", "a"]),
    text("a byte order mark", b"\xef\xbb\xbf" + A.encode(), ["a"]),
    text("blank lines", "\n" + A + " \n\n" + B + "\n", ["a", "b"]),
    text("no last line break", A + B.strip(), ["a", "b"]),
    text("blanks around", " " + A.strip() + " \n" + B, ["a", "b"]),
    text("cut short", A + '{"u": "b', ["a"], [bad(2, "", NONE, '{"u": "b')]),
    text("no objects", A + "5\nnull\n[1]\nword\n" + B, ["a", "b"],
         [bad(2, "", NONE, "5"), bad(3, "", NONE, "null"), bad(4, "", NONE, "[1]"),
          bad(5, "", NONE, "word")]),
    text("two in a line", A + A.strip() + B, ["a"], [bad(2, "", NONE, A.strip() + B.strip())]),
    text("a comma behind", A + B.strip() + ",\n", ["a"], [bad(2, "", NONE, B.strip() + ",")]),
    text("single quotes", A + "{'u': 'b'}\n", ["a"], [bad(2, "", NONE, "{'u': 'b'}")]),
    text("Latin-1 in a line", A.encode() + b'{"u": "\xfc"}\n' + B.encode(), ["a", "b"],
         [bad(2, "", UNICODE, '{"u": "?"}')]),
    text("Latin-1 as said", '{"u": "\u00fc"}\n'.encode("latin-1"), ["\u00fc"],
         changes={"source": {"encoding": "latin-1"}}),
    text("a line of 17 MB", A + '{"u": "' + "x" * (17 << 20) + '"}\n' + B, ["a", "b"],
         [bad(2, "", "Maximum line size of 16777216 bytes exceeded. Actual Size:17825801 bytes.",
              ('{"u": "' + "x" * 100)[:100])]),
    text("half of a pair", A + '{"u": "\\ud83d"}\n' + B, ["a", "b"],
         [bad(2, "", NONE, '{"u": "\\ud83d"}')]),
]  # fmt: skip
ERRORS = [
    text("an array", json.dumps([{"u": "a"}, {"u": "b"}]),
         error="log.jsonl is a JSON array, not JSON Lines: write one object a line"),
    text("an array of lines", '\n[\n{"u": "a"},\n{"u": "b"}\n]\n', error="is a JSON array"),
    text("an object of several lines", '{\n  "u": "a"\n}\n', error="an object spans several lines"),
    text("no such key", '{"v": 1}\n', error="the log has no column 'u'"),
    text("empty", "", error="log.jsonl is empty$"),
    text("blank", "\n \n", error="no column 'u'"),
    text("too many that are none", A + "x\n" * 9, changes={"source": {"max_bad_rows": 0.1}},
         error=r"9 of 10 rows \(90.00%\) cannot be read(?s:.*)log.jsonl:2: not a JSON object: 'x'"),
    text("UTF-16 in silence", A.encode("utf-16"), error="is utf-16: say so by `source.encoding"),
]  # fmt: skip


@logs(LINES)
def test_lines(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


@logs(ERRORS)
def test_files_that_cannot_be_read(tmp_path: pathlib.Path, log: Log) -> None:
    check(tmp_path, log)


def test_a_type_that_changes_after_32_files(tmp_path: pathlib.Path) -> None:
    files = {f"log{n:02}.jsonl": [{"u": n, "x": n}] for n in range(34)}
    files["log34.jsonl"] = [{"u": UUID, "x": 2.6}]
    expected = [*((str(n), float(n)) for n in range(34)), (UUID, float32(2.6))]
    check(tmp_path, Log("late", files, {"u": "string", "x": "float32"}, expected))


def test_a_key_of_one_file_alone(tmp_path: pathlib.Path) -> None:
    files = {f"log{n:02}.jsonl": as_jsonl([{"v": n}]) for n in range(34)} | {"log34.jsonl": A}
    check(tmp_path, Log("key", files, examples=[None] * 34 + ["a"]))
