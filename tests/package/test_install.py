"""Wheel, source distribution and editable install hold `ranklite` only, and score alone.

Each is installed into a fresh environment beside a project that has packages `models`, `components`
and `pipeline` of its own. numpy and ai-edge-litert come from the package index that pip is set up
with; where it cannot be reached, the tests that install skip with pip's own words.
"""

from __future__ import annotations

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from typing import Any

import numpy as np
import pytest

from ranklite.models.serving.scorer import Scorer
from tests.models.serving.test_scorer import ROW, pushed  # noqa: F401  a fixture

pytestmark = pytest.mark.e2e

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("models", "components", "pipeline")
TRAINING = ("duckdb", "kfp", "matplotlib", "optuna", "pandas", "pyarrow", "pydantic", "sklearn")
TRAINING += ("tensorboard", "tensorflow", "tf_keras", "tfx", "yaml")
SCRIPT = """
import importlib.util, json, sys
import components, models, pipeline
from ranklite import Scorer
import ranklite
rows = json.load(open(sys.argv[2]))
scores = [float(score) for score in Scorer(sys.argv[1]).score(rows)]
print(json.dumps({
    "scores": scores,
    "owners": [package.OWNER for package in (components, models, pipeline)],
    "file": ranklite.__file__,
    "version": ranklite.__version__,
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
    "training": [name for name in sys.argv[3:] if importlib.util.find_spec(name)],
}))
"""


def call(*command: Any, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    # What this process runs on, its PYTHONPATH above all, stays here.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def done(*command: Any, cwd: pathlib.Path) -> str:
    ended = call(*command, cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A copy of what is under version control, its links kept, where a build may write."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("ranklite", *PACKAGES):
        shutil.copytree(
            ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    return copy


def wheel_of(source: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    done(*command, "-w", folder, source, cwd=folder)
    [wheel] = folder.glob("ranklite-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tree: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return wheel_of(tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Somebody's project with packages of the same names as our folders."""
    folder = tmp_path_factory.mktemp("project")
    for name in PACKAGES:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"OWNER = 'the project: {name}'\n")
    (folder / "score.py").write_text(SCRIPT)
    (folder / "rows.json").write_text(json.dumps([ROW, {**ROW, "user": None, "tags": ["b"]}]))
    return folder


@pytest.fixture(scope="module", params=["wheel", "editable"])
def python(
    request: pytest.FixtureRequest,
    tree: pathlib.Path,
    wheel: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> pathlib.Path:
    """Python of a fresh environment that RankLite alone was installed into."""
    folder = tmp_path_factory.mktemp(request.param)
    done(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv/bin/python"
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    fetched = call(*pip, "numpy", "ai-edge-litert>=2.0", "setuptools>=71,<81", cwd=folder)
    if fetched.returncode:
        pytest.skip(f"the package index gives no numpy and ai-edge-litert: {fetched.stderr[-500:]}")
    what = [wheel] if request.param == "wheel" else ["--no-build-isolation", "--editable", tree]
    done(*pip, *what, cwd=folder)
    return python


def files(wheel: pathlib.Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        links = [
            i.filename for i in archive.infolist() if (i.external_attr >> 16) & 0o170000 == 0o120000
        ]
        assert links == []
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_ranklite_only(wheel: pathlib.Path) -> None:
    content = files(wheel)
    assert {name.split("/")[0] for name in content} == {"ranklite", "ranklite-0.2.0.dist-info"}
    ours = {name: data for name, data in content.items() if name.startswith("ranklite/")}
    own = [*(ROOT / "ranklite").glob("*.py"), ROOT / "ranklite/py.typed"]
    expected = {f"ranklite/{path.name}" for path in own}
    for package in PACKAGES:
        sources = [*(ROOT / package).rglob("*.py"), *(ROOT / package).rglob("templates/*/*")]
        expected |= {f"ranklite/{path.relative_to(ROOT)}" for path in sources}
    assert set(ours) == expected
    scorer = "models/serving/scorer.py"
    assert ours[f"ranklite/{scorer}"] == (ROOT / scorer).read_bytes()
    metadata = content["ranklite-0.2.0.dist-info/METADATA"].decode()
    base = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    base = [line.split(": ")[1] for line in base if "extra ==" not in line]
    assert base == ["ai-edge-litert>=2.0", "mmh3>=4", "numpy"]
    assert "Provides-Extra: train" in metadata
    assert any(name.endswith("LICENSE") for name in content)


def test_the_source_distribution_builds_the_same_wheel(
    tree: pathlib.Path, wheel: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    done(sys.executable, "-c", build, tmp_path, cwd=tree)
    [source] = tmp_path.glob("ranklite-*.tar.gz")
    with tarfile.open(source) as archive:
        assert not [member.name for member in archive if member.issym() or member.islnk()]
    again, first = files(wheel_of(source, tmp_path)), files(wheel)
    assert {k: v for k, v in again.items() if k.startswith("ranklite/")} == {
        k: v for k, v in first.items() if k.startswith("ranklite/")
    }


def test_it_scores_beside_packages_of_the_same_names(
    python: pathlib.Path,
    project: pathlib.Path,
    pushed: str,  # noqa: F811
) -> None:
    answer = json.loads(
        done(python, "score.py", pushed, "rows.json", *TRAINING, cwd=project).splitlines()[-1]
    )
    rows = json.loads((project / "rows.json").read_text())
    np.testing.assert_array_equal(
        np.array(answer["scores"], np.float32), Scorer(pushed).score(rows)
    )
    assert answer["owners"] == [f"the project: {name}" for name in sorted(PACKAGES)]
    assert answer["version"] == "0.2.0"
    assert str(ROOT) not in answer["file"]
    assert answer["training"] == []
    assert not {*TRAINING} & {*answer["loaded"]}
    assert {"numpy", "ai_edge_litert"} <= {*answer["loaded"]}


def test_the_command_scores_and_says_what_the_rest_needs(
    python: pathlib.Path,
    project: pathlib.Path,
    pushed: str,  # noqa: F811
    tmp_path: pathlib.Path,
) -> None:
    command = python.with_name("ranklite")
    assert done(command, "--version", cwd=project) == "ranklite 0.2.0\n"
    (tmp_path / "in.csv").write_text("user,item,tags,price\nu1,2,a|b,1.5\n")
    done(command, "score", pushed, "in.csv", "-o", "out.csv", cwd=tmp_path)
    with open(tmp_path / "out.csv", newline="") as file:
        [row] = csv.DictReader(file)
    assert float(row["score"]) == pytest.approx(float(Scorer(pushed).score([ROW])[0]), rel=1e-6)
    for rest in (["run"], ["validate"], ["compare", "--list"], ["kubeflow", "runs"]):
        refused = call(command, *rest, cwd=tmp_path)
        assert refused.returncode == 1
        [line] = refused.stderr.splitlines()
        assert "which the training stack brings: pip install 'ranklite[train]'" in line
    asked = call(python, "-c", "import ranklite; ranklite.load_config", cwd=project)
    last = asked.stderr.splitlines()[-1]
    assert "MissingExtra: ranklite.load_config needs pydantic" in last
    assert "'ranklite[train]'" in last


def test_the_server_needs_its_extra_alone(
    python: pathlib.Path,
    project: pathlib.Path,
    pushed: str,  # noqa: F811
) -> None:
    command = python.with_name("ranklite")
    refused = call(command, "serve", pushed, cwd=project)
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert "which the server brings: pip install 'ranklite[serve]'" in line
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done(*pip, "ranklite[serve]", cwd=project)
    script = f"""
import json, subprocess, urllib.request
command = [{str(command)!r}, "serve", {pushed!r}, "--port", "0"]
with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
    line = next(line for line in server.stderr if "serving" in line)
    body = json.dumps({{"rows": json.load(open("rows.json"))}}).encode()
    head = {{"Content-Type": "application/json"}}
    request = urllib.request.Request(json.loads(line)["url"] + "/score", body, head)
    print(json.dumps(json.load(urllib.request.urlopen(request))["scores"]))
    server.terminate()
"""
    scores = json.loads(done(python, "-c", script, cwd=project))
    rows = json.loads((project / "rows.json").read_text())
    np.testing.assert_array_equal(np.float32(scores), Scorer(pushed).score(rows))
