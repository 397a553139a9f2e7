"""The client in Python: one file that needs numpy and ai-edge-litert only."""

from __future__ import annotations

import json
import keyword

from ranklite.models.serving.clients import About, Input
from ranklite.models.serving.clients.names import comment
from ranklite.models.serving.clients.templates import filled

FILE = "ranklite_client.py"
_TYPES = {"string": "str", "int64": "int", "float32": "float"}
_EXAMPLES = {"string": '"a"', "int64": "7", "float32": "1.5"}


def files(about: About) -> dict[str, str]:
    """Contents by name."""
    pairs = about.fields(keyword.kwlist)
    text = filled(
        "python",
        f"{FILE}.template",
        model=comment(about.name),
        seed=about.seed,
        example=", ".join(f"{name}={_example(each)}" for name, each in pairs[:2]),
        fields="\n".join(f"    {name}: {_type(each)}" for name, each in pairs),
        inputs="\n".join(f"    {_entry(name, each)}," for name, each in pairs),
    )
    return {FILE: text}


def _type(each: Input) -> str:
    one = _TYPES[each.column.dtype]
    return f"Sequence[{one}] = ()" if each.column.is_list else f"{one} | None = None"


def _example(each: Input) -> str:
    one = _EXAMPLES[each.column.dtype]
    return f"[{one}]" if each.column.is_list else one


def _entry(name: str, each: Input) -> str:
    # A text of JSON is one of Python too.
    texts = ", ".join(json.dumps(text, ensure_ascii=False) for text in (name, each.column.name))
    return f"({texts}, {each.holds.upper()}, {each.column.length})"
