"""YAML text as a tree, with the scalars of YAML 1.2: what looks like text is text.

YAML 1.1, which PyYAML reads, takes `yes`, `on` and `no` for booleans, `1:30` for 90 and the key
`null` for no key at all.
"""

from __future__ import annotations

import codecs
import pathlib
import re
from typing import Any

import yaml

MOST_NODES = 100_000  # of a document, aliases written out
_DEEPEST = 60  # mappings and lists inside of each other
_BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_FLOAT = (
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)


class NotYaml(ValueError):
    """Text is no YAML that a configuration could be.

    Attributes:
      line: Where, from 1; None where that is not known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Resolves null, booleans, integers and floats of YAML 1.2's core schema, and nothing else."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node; a tag that was written before it may not fit it."""
        try:
            return super().construct_object(node, deep)
        except NotYaml:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            shown = f"{node.value!r:.40} is no !!{node.tag.rpartition(':')[2]}"
            raise NotYaml(shown, node.start_mark.line + 1) from error


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first
    )


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Decimal, as 007 is in YAML 1.2, or hexadecimal."""
    text = str(loader.construct_scalar(node))
    return int(text, 16 if text.startswith("0x") else 10)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(
        str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan")
    )


_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def read_text(path: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 where its first bytes say so.

    Raises:
      NotYaml: It is in another encoding.
    """
    content = pathlib.Path(path).read_bytes()
    encoding = next((name for bom, name in _BOMS.items() if content.startswith(bom)), "utf-8-sig")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise NotYaml(f"it is not UTF-8 ({error.reason}): save it as UTF-8", line) from None


def compose(text: str) -> yaml.Node | None:
    """The tree of a document.

    Raises:
      NotYaml: The text is not YAML, or its tree is too deep, too large, or holds itself.
    """
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise NotYaml(problem, mark.line + 1 if mark else None) from error
    except RecursionError:
        raise NotYaml(f"lists and mappings are more than {_DEEPEST} deep") from None
    if root is not None:
        _count(root, (), {})
    return root


def construct(root: yaml.Node | None) -> Any:
    """The data of a tree; every key is text.

    Raises:
      NotYaml: A value is none of YAML's plain ones.
    """
    if root is None:
        return None
    try:
        return _Loader("").construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise NotYaml(problem, mark.line + 1 if mark else None) from error


def _count(node: yaml.Node, above: tuple[int, ...], known: dict[int, int]) -> int:
    """How many nodes a tree has, an alias counted as what it stands for; keys become text."""
    line = node.start_mark.line + 1
    if id(node) in above:
        raise NotYaml("an alias stands inside of what it names", line)
    if len(above) > _DEEPEST:
        raise NotYaml(f"lists and mappings are more than {_DEEPEST} deep", line)
    if id(node) not in known:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                    key.tag = "tag:yaml.org,2002:str"
                elif not isinstance(key, yaml.ScalarNode):
                    raise NotYaml("a key is to be one word", key.start_mark.line + 1)
                children.append(value)
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        size = 1 + sum(_count(child, (*above, id(node)), known) for child in children)
        if size > MOST_NODES:
            raise NotYaml(f"it has more than {MOST_NODES:,} values, aliases written out", line)
        known[id(node)] = size
    return known[id(node)]
