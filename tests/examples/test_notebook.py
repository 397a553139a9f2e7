"""The notebook is its script, which runs without TFX."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from types import ModuleType

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
RUN = """
import runpy, sys
names = runpy.run_path(sys.argv[1])
assert "tfx" not in sys.modules and "kfp" not in sys.modules, "TFX was imported"
print(names["difference"], len(names["best"]), names["version"])
"""


@pytest.fixture(scope="module")
def to_ipynb() -> ModuleType:
    spec = importlib.util.spec_from_file_location("to_ipynb", EXAMPLES / "to_ipynb.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebook_is_made_from_the_script(to_ipynb: ModuleType) -> None:
    script = (EXAMPLES / "notebook.py").read_text(encoding="utf-8")
    text = (EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8")
    assert text == to_ipynb.notebook(script), "run `python examples/to_ipynb.py`"
    cells = json.loads(text)["cells"]
    assert all(cell["cell_type"] == "markdown" or cell["outputs"] == [] for cell in cells)
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    # Every line of code is in a cell, in its order.
    lines = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert [line for cell in code for line in cell.splitlines() if line] == lines
    for cell in code:
        compile(cell, "cell", "exec")


def test_the_notebook_is_valid() -> None:
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4))


@pytest.mark.slow
def test_the_script_runs_without_tfx(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, EXAMPLES / "notebook.py"],
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    difference, best, version = done.stdout.split()[-3:]
    assert float(difference) < 0.05
    assert best == "3"
    made = ["clients", "model.json", "model.tflite", "preprocessing.json"]
    assert sorted(os.listdir(tmp_path / version)) == made
