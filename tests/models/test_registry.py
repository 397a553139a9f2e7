"""Tests of `ranklite.models.registry`."""

from __future__ import annotations

import importlib
import pathlib
import sys

import pytest

from ranklite.models.registry import Registry, UnknownEntry
from tests.other_package import installed


@pytest.fixture
def outside(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder on the path with a distribution that has an entry point."""
    (tmp_path / "toy_entry.py").write_text("class Toy:\n    class Inner:\n        pass\n")
    installed(tmp_path, {"test.door": "toy = toy_entry:Toy.Inner"})
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


def test_an_entry_point_adds_an_entry_that_is_imported_when_asked_for(
    outside: pathlib.Path,
) -> None:
    registry: Registry[type] = Registry("door", "test.door", {"ours": "decimal:Decimal"})
    assert registry.names == ["ours", "toy"]
    assert registry.module("toy") == "toy_entry"
    assert "toy_entry" not in sys.modules
    assert registry.get("toy").__qualname__ == "Toy.Inner"


def test_an_unknown_name_lists_what_is_registered() -> None:
    registry: Registry[type] = Registry("door", "test.nothing", {"a": "x:Y", "b": "x:Z"})
    with pytest.raises(UnknownEntry, match="no door 'c'; registered are a, b"):
        registry.get("c")


def test_another_package_cannot_replace_ours(outside: pathlib.Path) -> None:
    registry: Registry[type] = Registry("door", "test.door", {"toy": "decimal:Decimal"})
    with pytest.raises(ValueError, match="takes the name of decimal:Decimal"):
        _ = registry.paths
