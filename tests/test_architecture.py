"""The house: which way imports point, that they make no circle, and how large a file is."""

from __future__ import annotations

import ast
import functools
import importlib.util
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
ROOMS = ("models", "components", "pipeline")
LEAST, MOST = 20, 300  # lines of a file
SHORT = ("__init__.py", "__main__.py")  # of any length below the most


def files() -> dict[str, pathlib.Path]:
    """Our source files by the name of their module."""
    found = {}
    for package in ("", *ROOMS):
        folder = ROOT / (package or "ranklite")
        for path in folder.rglob("*.py") if package else folder.glob("*.py"):
            parts = ["ranklite", package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(filter(None, parts)).removesuffix(".__init__")] = path
    return found


FILES = files()


def test_there_are_files_to_look_at() -> None:
    for room in ROOMS:
        assert sum(name.startswith(f"ranklite.{room}.") for name in FILES) > 30, room


@pytest.mark.parametrize(
    ("room", "above"), [("models", ("components", "pipeline")), ("components", ("pipeline",))]
)
def test_imports_point_one_way(room: str, above: tuple[str, ...]) -> None:
    upward = []
    for name, path in FILES.items():
        if not f"{name}.".startswith(f"ranklite.{room}."):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):  # also those within functions
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                upward += [
                    (name, other)
                    for other in named(node)
                    if f"{other}.".startswith(tuple(f"ranklite.{a}." for a in above))
                ]
    assert not upward


def named(node: ast.Import | ast.ImportFrom) -> set[str]:
    """What an import names: modules, and what is taken from them."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert not node.level, "imports are absolute"
    return {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}


def at_import(statements: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run when a module is imported: none in a function, none for types only."""
    for node in statements:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from at_import(node.orelse)
        else:
            for part in ("body", "orelse", "finalbody"):
                yield from at_import(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from at_import(handler.body)


@functools.cache
def imported(module: str) -> frozenset[str]:
    """Modules of ours whose code has to have run before that of a module is through.

    A package that holds the module itself is left out: it has begun already.
    """
    names: set[str] = set()
    for node in at_import(ast.parse(FILES[module].read_bytes()).body):
        modules = named(node) & FILES.keys()
        if isinstance(node, ast.ImportFrom) and len(modules) > len(node.names):
            modules.discard(str(node.module))  # only submodules of it are asked for
        names |= modules
    return frozenset(names - {module})


def circles(graph: dict[str, frozenset[str]]) -> list[list[str]]:
    """A circle for each edge that leads back, by a depth-first search."""
    done: set[str] = set()
    found = []

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append([*path[path.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                visit(other, [*path, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "c"}}
    assert circles({k: frozenset(v) for k, v in graph.items()}) == [["b", "c", "b"]]


def test_imports_make_no_circle() -> None:
    assert not circles({name: imported(name) for name in FILES})


def test_no_file_is_too_long_or_too_short() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in FILES.values()
    }
    assert {
        path: lines
        for path, lines in lengths.items()
        if lines > MOST or (lines < LEAST and not path.endswith(SHORT))
    } == {}


def test_every_file_is_a_module_of_the_package() -> None:
    for name, path in FILES.items():
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        assert pathlib.Path(str(spec.origin)).resolve() == path.resolve()


def test_reading_a_configuration_loads_no_training_stack() -> None:
    code = """
import sys
from ranklite.pipeline.config.run_config import load_config
load_config("configs/synthetic.yaml")
heavy = {"tensorflow", "tf_keras", "tfx", "optuna", "kfp", "apache_beam", "ml_metadata"}
print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
