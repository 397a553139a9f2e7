"""Digests of our own source code, so that edited code is never served from TFX's cache.

TFX keys its cache on a component's inputs and properties, not on the code it runs. A digest of a
module and of all that it imports from our packages, passed as a property, closes that hole without
rerunning what a change cannot reach.

An entry of a registry is reached by its name, not by an import: the stage that runs it gives its
module beside the executor's. The entry may be of another package, whose modules then count as well.
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


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a syntax tree that run: not those that only a type checker reads."""
    yield node
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children = iter(node.orelse)
    for child in children:
        yield from _run(child)


@functools.cache
def _imports(module: str, packages: frozenset[str]) -> frozenset[str]:
    """Names of modules of some packages that a module imports, at any level of its code."""
    path = _source(module)
    if path is None:
        return frozenset()
    names: set[str] = set()
    for node in _run(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = _absolute(node, module, is_package=path.name == "__init__.py")
            names.add(start)
            names |= {f"{start}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.split(".")[0] in packages}
    parents = {
        ".".join(name.split(".")[:depth])
        for name in ours
        for depth in range(1, name.count(".") + 2)
    }
    return frozenset(name for name in parents if _source(name) is not None)


def _absolute(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    """The module that `from ... import` names, also where it is given relative to this one."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([*above, node.module] if node.module else above)


def reachable(*modules: str) -> list[str]:
    """All modules that the given ones import, of ours and of their own packages.

    Args:
      *modules: Dotted names.

    Returns:
      Themselves included, in order of name.
    """
    packages = frozenset((*PACKAGES, *(module.split(".")[0] for module in modules)))
    seen: set[str] = set()
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module not in seen:
            if _source(module) is None:
                raise ModuleNotFoundError(f"no module {module!r} to digest")
            seen.add(module)
            queue.extend(_imports(module, packages))
    return sorted(seen)


def code_digest(*modules: str) -> str:
    """Digest of the source of some modules and of what they import, ours and of their packages.

    Args:
      *modules: Dotted names of modules in `ranklite`, or of entries of other packages.

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


def executor_digest(component: type, *entries: str) -> str:
    """Digest of the code that a component runs, of the `executor` module beside its own.

    Args:
      component: Its class.
      *entries: Modules of the registries' entries that it runs, which its executor finds by name.
    """
    return code_digest(component.__module__.removesuffix("component") + "executor", *entries)
