"""The examples in docstrings run and show what they say, in a folder with what they read."""

from __future__ import annotations

import doctest
import importlib
import pathlib
import shutil

import pytest

from tests.models.serving.test_scorer import pushed  # noqa: F401  a fixture

ROOT = pathlib.Path(__file__).parents[1]
SLOW = {"ranklite.models.notebook.ranker"}
PUBLIC = {
    "ranklite.models.compression.techniques",
    "ranklite.models.evaluation.gates",
    "ranklite.models.evaluation.metrics",
    "ranklite.models.features.layout",
    "ranklite.models.notebook.ranker",
    "ranklite.models.registry",
    "ranklite.models.serving.scorer",
    "ranklite.pipeline.config.run_config",
}


def with_examples() -> set[str]:
    """Modules whose source has an example."""
    found = set()
    for folder in ("models", "components", "pipeline", "ranklite"):
        for path in (ROOT / folder).rglob("*.py"):
            if ">>> " in path.read_text(encoding="utf-8"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                name = ".".join(parts if parts[0] == "ranklite" else ("ranklite", *parts))
                found.add(name.removesuffix(".__init__"))
    return found


def test_what_is_public_has_examples() -> None:
    assert with_examples() >= PUBLIC


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(module, marks=[pytest.mark.slow] if module in SLOW else [])
        for module in sorted(with_examples())
    ],
)
def test_examples(
    module: str,
    pushed: str,  # noqa: F811
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(pushed, tmp_path / "pushed")
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0
