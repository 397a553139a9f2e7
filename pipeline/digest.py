"""Digests of our own source code, so that edited code is never served from TFX's cache.

TFX keys its cache on a component's inputs and properties, not on the code it runs. A digest of a
module and of all that it imports from our packages, passed as a property, closes that hole without
rerunning what a change cannot reach.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import pathlib
from collections.abc import Iterator

PACKAGES = ("ranklite",)


@functools.cache
def _source(module: str) -> pathlib.Path | None:
    """The file of a module of ours, or None where the name is no module."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return pathlib.Path(spec.origin) if spec and spec.origin else None


@functools.cache
def _imports(module: str) -> frozenset[str]:
    """Names of our modules that a module imports, at any level of its code.

    What it imports for type checkers only does not count: it never runs.
    """
    path = _source(module)
    if path is None:
        return frozenset()
    names: set[str] = set()
    for node in _running(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.split(".")[0] in PACKAGES}
    parents = {
        ".".join(name.split(".")[:depth])
        for name in ours
        for depth in range(1, name.count(".") + 2)
    }
    return frozenset(name for name in parents if _source(name) is not None)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all within it, but for the blocks that only type checkers read."""
    yield node
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children = list(node.orelse)
    for child in children:
        yield from _running(child)


def reachable(*modules: str) -> list[str]:
    """All modules of ours that the given ones import, themselves included, in order of name."""
    seen: set[str] = set()
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module not in seen:
            if _source(module) is None:
                raise ModuleNotFoundError(f"no module {module!r} to digest")
            seen.add(module)
            queue.extend(_imports(module))
    return sorted(seen)


def code_digest(*modules: str) -> str:
    """Digest of the source of some modules and of everything of ours that they import.

    Args:
      *modules: Dotted names of modules in `ranklite`.

    Returns:
      16 hexadecimal digits of a SHA-256 over names and contents.

    Raises:
      ModuleNotFoundError: A module does not exist.
    """
    digest = hashlib.sha256()
    for module in reachable(*modules):
        path = _source(module)
        assert path is not None
        content = path.read_bytes()
        digest.update(f"{module}:{len(content)}:".encode() + content)
    return digest.hexdigest()[:16]


def executor_digest(component: type) -> str:
    """Digest of the code that a component runs, of the `executor` module beside its own."""
    return code_digest(component.__module__.removesuffix("component") + "executor")
