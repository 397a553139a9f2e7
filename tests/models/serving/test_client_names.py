"""Identifiers and literals of the generated clients, for names that can be any text."""

from __future__ import annotations

import keyword
import pathlib
import re
from typing import Any

import pytest

from ranklite.models.features.fingerprints import fingerprint
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving import clients
from ranklite.models.serving.clients import About, Input, cpp, kotlin, names, python, swift

ROOT = pathlib.Path(__file__).parents[3]
WORDS = {"class", "in", "Row"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["user", "User", "a__b"], ["user", "User", "a__b"]),
        (["class", "class_", "class__2"], ["class_2", "class_", "class__2"]),
        (["item id", "item-id", "item_id"], ["item_id_2", "item_id_3", "item_id"]),
        (["größe", "日本", "", "7", "_x", "$"], ["gr_e", "f", "f_2", "f_7", "x", "f_3"]),
        (["in", "in", "in "], ["in_", "in_2", "in_3"]),
    ],
)
def test_identifiers(given: list[str], expected: list[str]) -> None:
    assert names.identifiers(given, WORDS) == expected


@pytest.mark.parametrize(
    "reserved", [keyword.kwlist, cpp.RESERVED, kotlin.RESERVED, swift.RESERVED]
)
def test_no_identifier_is_a_keyword(reserved: list[str]) -> None:
    made = names.identifiers([*reserved, "a b", "a-b"], reserved)
    assert not set(made) & set(reserved)
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in made)


def test_literals() -> None:
    text = 'a"\\$\n\x7fö😀'
    assert names.c_string(text) == r'"a\"\\$\012\177\303\266\360\237\230\200"'
    assert names.kotlin_string(text) == r'"a\"\\\$\u000a\u007f\u00f6\ud83d\ude00"'
    assert names.swift_string(text) == r'"a\"\\$\u{a}\u{7f}\u{f6}\u{1f600}"'
    assert names.kotlin_string("\b\\b") == r'"\u0008\\b"'


def test_a_comment_ends_where_its_line_does() -> None:
    assert names.comment("my-model 2\n*/ $x") == "my-model 2___ _x"


def test_seeds_beyond_31_bits() -> None:
    """Kotlin has a signed seed, C++ and Swift an unsigned one."""
    entry = {"seed": 2**32 - 1, "hash": "MurmurHash3_x86_32", "inputs": {}}
    files = clients.generate({"features": [], "fingerprint": entry}, [])
    assert b"const val SEED = -1\n" in files["clients/kotlin/RankLiteClient.kt"]
    assert b"kSeed = 4294967295u;" in files["clients/cpp/ranklite_client.hpp"]
    assert b"seed: UInt32 = 4294967295\n" in files["clients/swift/RankLiteClient.swift"]


def test_the_hash_of_a_client_is_ours() -> None:
    made: dict[str, Any] = {}
    about = About("m", 2**32 - 5, (Input(RawColumn("user", "string"), "murmur3"),), {})
    exec(compile(python.files(about)["ranklite_client.py"], "client", "exec"), made)
    murmur3 = made["murmur3"]
    for length in range(40):
        data = bytes(range(200, 200 + length))
        assert murmur3(data) == fingerprint(data, 2**32 - 5)
    # The published vectors of MurmurHash3_x86_32, and two with a high bit.
    assert [murmur3(b"", 0), murmur3(b"", 1)] == [0, 0x514E28B7]
    assert murmur3(b"\xff\xff\xff\xff", 0) == 0x76293B50
    assert murmur3(b"Hello, world!", 0x9747B28C) == 0x24884CBA


def test_the_hashes_of_the_documentation_are_true() -> None:
    text = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    table = re.findall(
        r"^\| (`\"(.+)\"`|-?[0-9]+) \| ([0-9]+) \| (-?[0-9]+) \|$", text, re.MULTILINE
    )
    assert len(table) == 9
    for number, word, seed, expected in table:
        data = word.encode() or int(number).to_bytes(8, "little", signed=True)
        assert fingerprint(data, int(seed)) == int(expected)
