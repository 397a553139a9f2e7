"""Identifiers and literals of other languages for names that can be any text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_OTHER = re.compile(r"[^A-Za-z0-9]+")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ._-]")
_ASCII = range(32, 127)


def identifiers(names: Sequence[str], reserved: Collection[str]) -> list[str]:
    """A valid identifier for each name, all different.

    A name that is an ASCII identifier stays; one that is reserved gets a `_`, and one whose
    identifier is taken a number.

    Args:
      names: Any texts.
      reserved: Keywords of the language, and what else a field cannot be called.

    Example:
        >>> identifiers(["user", "class", "item id", "item-id", "7"], {"class"})
        ['user', 'class_', 'item_id', 'item_id_2', 'f_7']
    """
    plain = [name if _PLAIN.fullmatch(name) else "" for name in names]
    taken = {name for name in plain if name} | set(reserved)
    result = []
    for name, own in zip(names, plain, strict=True):
        if own and own not in reserved:
            result.append(own)
            continue
        base = f"{own}_" if own else _OTHER.sub("_", name).strip("_")
        if not _PLAIN.fullmatch(base):
            base = f"f_{base}".rstrip("_")
        unique, count = base, 1
        while unique in taken:
            count += 1
            unique = f"{base.rstrip('_')}_{count}"
        taken.add(unique)
        result.append(unique)
    return result


def words(text: str) -> frozenset[str]:
    """The words of a text, as which a language's keywords are written down."""
    return frozenset(text.split())


def c_string(text: str) -> str:
    r"""A literal of C++ with the UTF-8 bytes of a text.

    Example:
        >>> c_string('a"ö')
        '"a\\"\\303\\266"'
    """
    return _quoted(chr(b) if b in _ASCII else f"\\{b:03o}" for b in text.encode())


def kotlin_string(text: str) -> str:
    r"""A literal of Kotlin.

    Example:
        >>> kotlin_string("$ö")
        '"\\$\\u00f6"'
    """
    data = text.encode("utf-16-be")
    units = (data[k] * 256 + data[k + 1] for k in range(0, len(data), 2))
    return _quoted((chr(u) if u in _ASCII else f"\\u{u:04x}" for u in units), '"\\$')


def swift_string(text: str) -> str:
    r"""A literal of Swift.

    Example:
        >>> swift_string("ö")
        '"\\u{f6}"'
    """
    return _quoted(c if ord(c) in _ASCII else f"\\u{{{ord(c):x}}}" for c in text)


def signed(seed: int) -> int:
    """An unsigned integer of 32 bits as the signed one that has the same bits."""
    return seed - 2**32 if seed >= 2**31 else seed


def comment(text: str) -> str:
    """A text as a comment or a document of any language may hold it, in one line."""
    return _NOT_PLAIN.sub("_", text)


def _quoted(parts: Iterable[str], escaped: str = '"\\') -> str:
    return '"' + "".join(f"\\{part}" if part in escaped else part for part in parts) + '"'
