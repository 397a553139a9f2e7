"""The code digest changes with what a component can reach, and with nothing else."""

from __future__ import annotations

import importlib
import pathlib
import sys

import pytest

from ranklite.pipeline import digest


@pytest.fixture
def package(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A package of three modules: a imports b, c stands alone."""
    root = tmp_path / "fakepackage"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "a.py").write_text("def f():\n    from fakepackage import b\n    import os\n")
    (root / "b.py").write_text("x = 1\n")
    (root / "c.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(digest, "PACKAGES", ("fakepackage",))
    yield root
    for name in [name for name in sys.modules if name.startswith("fakepackage")]:
        del sys.modules[name]
    forget()


def forget() -> None:
    digest._source.cache_clear()
    digest._imports.cache_clear()


def test_reaches_through_imports_inside_functions(package: pathlib.Path) -> None:
    assert digest.reachable("fakepackage.a") == ["fakepackage", "fakepackage.a", "fakepackage.b"]


def test_what_only_type_checkers_import_does_not_count(package: pathlib.Path) -> None:
    (package / "c.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from fakepackage import a\nelse:\n    from fakepackage import b\n"
    )
    assert digest.reachable("fakepackage.c") == ["fakepackage", "fakepackage.b", "fakepackage.c"]


def test_the_public_names_reach_nothing() -> None:
    assert digest.reachable("ranklite") == ["ranklite", "ranklite.extras"]


def test_changes_with_an_imported_module_only(package: pathlib.Path) -> None:
    before = digest.code_digest("fakepackage.a")
    (package / "c.py").write_text("x = 2\n")
    forget()
    assert digest.code_digest("fakepackage.a") == before
    (package / "b.py").write_text("x = 2\n")
    forget()
    assert digest.code_digest("fakepackage.a") != before


def test_an_unknown_module_is_an_error(package: pathlib.Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such"):
        digest.code_digest("fakepackage.no_such")


def test_a_component_runs_the_executor_beside_it() -> None:
    component = type("Component", (), {"__module__": "ranklite.components.pusher.component"})
    expected = digest.code_digest("ranklite.components.pusher.executor")
    assert digest.executor_digest(component) == expected


def test_what_only_a_type_checker_reads_does_not_run(package: pathlib.Path) -> None:
    (package / "a.py").write_text(
        "import typing\n"
        "if typing.TYPE_CHECKING:\n    from fakepackage import b\n"
        "else:\n    from fakepackage import c\n"
    )
    forget()
    assert digest.reachable("fakepackage.a") == ["fakepackage", "fakepackage.a", "fakepackage.c"]


def test_an_entry_of_another_package_counts_with_its_own_modules(
    package: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "otherpackage"
    other.mkdir()
    (other / "__init__.py").write_text("")
    (other / "entry.py").write_text(
        "import json, fakepackage.b\ndef f():\n    from . import helper\n"
        "    from .helper import x\n    from thirdpackage import y\n"
    )
    (other / "helper.py").write_text("x = 1\n")
    (tmp_path / "thirdpackage.py").write_text("y = 1\n")
    importlib.invalidate_caches()
    names = ["fakepackage", "fakepackage.b", "otherpackage", "otherpackage.entry"]
    assert digest.reachable("otherpackage.entry") == [*names, "otherpackage.helper"]
    assert "otherpackage" not in digest.reachable("fakepackage.a")
    before = digest.code_digest("fakepackage.a", "otherpackage.entry")
    (other / "helper.py").write_text("x = 2\n")
    assert digest.code_digest("fakepackage.a", "otherpackage.entry") != before
