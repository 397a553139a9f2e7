"""`import ranklite` gives the public names, and loads what they need when they are used."""

from __future__ import annotations

import ast
import importlib
import pathlib
import subprocess
import sys
from importlib import metadata

import pytest

import ranklite
from ranklite import extras

HEAVY = (
    "tensorflow",
    "tf_keras",
    "tfx",
    "kfp",
    "optuna",
    "pydantic",
    "pandas",
    "pyarrow",
    "duckdb",
)


def loaded(code: str) -> list[str]:
    """The heavy packages that some code loads, in a process of its own."""
    code += f"\nimport sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_every_public_name_is_there() -> None:
    assert dir(ranklite) == sorted(ranklite.__all__)
    for name in ranklite.__all__:
        value = getattr(ranklite, name)
        assert value == getattr(ranklite, name)
        assert isinstance(value, str) or value.__doc__
    with pytest.raises(AttributeError, match="no attribute 'Score'"):
        _ = ranklite.Score


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(pathlib.Path(ranklite.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == ranklite._MODULES
    assert {*seen, "__version__"} == {*ranklite.__all__}


def test_the_version_is_the_package_s() -> None:
    assert ranklite.__version__ == metadata.version("ranklite")


def test_a_scorer_loads_nothing_of_the_training_stack() -> None:
    assert loaded("import ranklite; ranklite.Scorer") == []
    assert loaded("from ranklite.pipeline.cli import main; main.parser()") == []


def test_a_configuration_loads_no_tensorflow() -> None:
    code = "import ranklite; ranklite.load_config('configs/synthetic.yaml')"
    assert not {"tensorflow", "tfx", "kfp", "optuna", "pandas"} & {*loaded(code)}


@pytest.fixture
def base_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training stack is not there, or so the metadata says."""
    requires = ["numpy", 'nowhere-train>=2; extra == "train"', "nowhere-dev; extra == 'dev'"]
    monkeypatch.setattr(metadata, "requires", lambda name: requires)


@pytest.mark.usefixtures("base_install")
def test_what_an_extra_lacks() -> None:
    assert extras.lacks("train") == ["nowhere-train"]
    assert extras.lacks("dev") == ["nowhere-dev"]
    assert extras.lacks("none") == []


@pytest.mark.usefixtures("base_install")
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(module: str) -> None:
        raise ModuleNotFoundError(f"No module named {absent!r}", name=absent)

    monkeypatch.delitem(vars(ranklite), "load_config", raising=False)
    monkeypatch.setattr(importlib, "import_module", fail)
    absent = "yaml"
    with pytest.raises(extras.MissingExtra, match=r"load_config needs yaml.*'ranklite\[train\]'"):
        _ = ranklite.load_config
    absent = "ranklite.models.no_such"  # a mistake of ours, which no extra mends
    with pytest.raises(ModuleNotFoundError, match="No module named"):
        _ = ranklite.load_config


def test_nothing_is_explained_away_where_the_extra_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = ModuleNotFoundError("No module named 'geo'", name="geo")
    monkeypatch.setattr(metadata, "requires", lambda name: ['numpy; extra == "train"'])
    assert extras.explained("x", error) is error

    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert extras.explained("x", error) is error
