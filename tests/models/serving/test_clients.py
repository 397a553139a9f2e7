"""Clients of every language score as the `Scorer` does, each run in its own runtime.

What has no compiler here skips and says so. CONTRIBUTING.md says how to get them.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ranklite.models.serving import clients
from tests.client_rows import FIXED, Pushed, push, scores_of_strings

COUNT = 10_000
ROOT = pathlib.Path(__file__).parents[3]
KOTLIN = ROOT / "tests/kotlin/node_modules/kotlin-compiler/lib"  # as `npm ci` lays it
LITERT = pathlib.Path(str(importlib.util.find_spec("ai_edge_litert").origin)).parent
ALONE = "import runpy, sys; sys.modules.update(ranklite=None, mmh3=None); sys.argv = sys.argv[1:]; "
ALONE += "runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Pushed:
    return push(tmp_path_factory.mktemp("pushed"), COUNT)


def run(*words: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, **options
    )


def done(*words: Any, **options: Any) -> str:
    ended = run(*words, **options)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def compiler(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def spoiled(pushed: Pushed, folder: pathlib.Path) -> pathlib.Path:
    """Vectors of which one encoded value is another."""
    document = json.loads((pushed.client("vectors.json")).read_text(encoding="utf-8"))
    document["rows"][9]["inputs"]["in"][1] += 1
    (folder / "spoiled.json").write_text(json.dumps(document), encoding="utf-8")
    return folder / "spoiled.json"


def load(path: pathlib.Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ranklite_client", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for its types
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def python(pushed: Pushed) -> ModuleType:
    return load(pushed.client("python") / "ranklite_client.py")


def test_the_rows_are_worth_comparing(pushed: Pushed) -> None:
    assert len(np.unique(pushed.scores)) > COUNT / 2
    assert pushed.scores.std() > 0.05


def test_the_file_with_strings(pushed: Pushed) -> None:
    scores = scores_of_strings(pushed.rows)
    np.testing.assert_allclose(scores, pushed.scores, rtol=0, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_python(pushed: Pushed, python: ModuleType, compiled: bool) -> None:
    entries = json.loads(pushed.vectors.read_text(encoding="utf-8"))["rows"]
    rows = [python.row_of(entry["row"]) for entry in entries]
    scores = python.Model(str(pushed.model), compiled=compiled).score(rows)
    np.testing.assert_allclose(scores, pushed.scores, rtol=0, atol=1e-6)


def test_python_needs_nothing_of_ours(pushed: Pushed, tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-I", "-c", ALONE, pushed.client("python") / "ranklite_client.py"]
    good = done(*command, "--check", pushed.client("vectors.json"), pushed.model)
    assert good == "50 rows agree\n"
    bad = run(*command, "--check", spoiled(pushed, tmp_path), pushed.model)
    assert "ValueError: row 9: in is" in bad.stderr
    assert bad.returncode == 1


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("class_", 7, TypeError, "class = 7 is no text"),
        ("item_id_2", 1.5, TypeError, "item id = 1.5 is no hashed integer"),
        ("item_id_2", 2**63, ValueError, "item id = 9223372036854775808 has more than 64 bits"),
        ("item_id_3", "1", TypeError, "item-id = '1' is no integer"),
        ("gr_e", 1e39, ValueError, "größe = 1e\\+39 is beyond float32"),
        ("gr_e", float("-inf"), ValueError, "größe = -inf is beyond float32"),
        ("item_id", ["1"], TypeError, "item_id = '1' is no number"),
    ],
)
def test_python_names_what_is_wrong(
    python: ModuleType, field: str, value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        python.encode([python.Row(**{field: value})])


def test_an_empty_row_is_a_missing_one(pushed: Pushed, python: ModuleType) -> None:
    names = [each[1] for each in python.INPUTS]
    (score,) = python.Model(str(pushed.model)).score([python.Row()])
    assert score == pushed.scorer.score([dict.fromkeys(names)])[0]
    assert len(python.Model(str(pushed.model)).score([])) == 0


def test_a_runtime_that_resizes_nothing(pushed: Pushed, python: ModuleType) -> None:
    """What the client in Kotlin does: one row of the main file, or a batch of the browser's."""
    from ai_edge_litert.compiled_model import CompiledModel

    entries = json.loads(pushed.vectors.read_text(encoding="utf-8"))["rows"]
    rows = [python.row_of(entry["row"]) for entry in entries]
    for path, count in ((pushed.model, 1), (pushed.folder / clients.BROWSER_FILE, FIXED)):
        model = CompiledModel.from_file(str(path))
        inputs = python.encode(rows[:count])
        given = {n: model.create_input_buffer_by_name("serving_raw", n) for n in inputs}
        for name, values in inputs.items():
            given[name].write(values)
        score = model.create_output_buffer_by_name("serving_raw", "score")
        model.run_by_name("serving_raw", given, {"score": score})
        made = score.read(count, np.float32)
        np.testing.assert_allclose(made, pushed.scores[:count], rtol=0, atol=1e-6)


def test_cpp(pushed: Pushed, tmp_path: pathlib.Path) -> None:
    library, program = LITERT / "libLiteRt.so", tmp_path / "program"
    if not library.exists():
        pytest.skip("this ai-edge-litert has no libLiteRt.so")
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", library, f"-Wl,-rpath,{LITERT}"]
    source = pushed.client("cpp") / "main.cpp"
    done(compiler("g++"), source, *flags, "-o", program)
    agreed = done(program, "--check", pushed.client("vectors.json"), pushed.model)
    assert agreed == "50 rows agree\n"
    bad = run(program, "--check", spoiled(pushed, tmp_path), pushed.model)
    assert (bad.returncode, "row 9: in is" in bad.stderr) == (1, True), bad.stderr
    entries = json.loads(pushed.vectors.read_text(encoding="utf-8"))["rows"]
    lines = "".join(json.dumps(entry["row"], ensure_ascii=False) + "\n" for entry in entries)
    scores = [float(line) for line in done(program, pushed.model, input=lines).split()]
    np.testing.assert_allclose(scores, pushed.scores, rtol=0, atol=1e-6)
    wrong = run(program, pushed.model, input='{"größe": 1e39}\n')
    assert (wrong.returncode, "is beyond float32" in wrong.stderr) == (1, True), wrong.stderr
    absent = run(program, tmp_path / "none", input="")
    assert (absent.returncode, "LiteRT cannot load" in absent.stderr) == (1, True), absent.stderr


@pytest.mark.slow
def test_kotlin(pushed: Pushed, tmp_path: pathlib.Path) -> None:
    """The encoder runs on a JVM; the part for Android compiles against LiteRT's signatures."""
    java = compiler("java")
    if not KOTLIN.exists():
        pytest.skip("no Kotlin compiler: npm ci --prefix tests/kotlin")
    standard = KOTLIN / "kotlin-stdlib.jar"
    compile_by = [java, "-XX:TieredStopAtLevel=1", "-cp", KOTLIN / "kotlin-preloader.jar"]
    compile_by += [
        "org.jetbrains.kotlin.preloading.Preloader",
        "-cp",
        KOTLIN / "kotlin-compiler.jar",
    ]
    compile_by += ["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-Werror", "-no-stdlib"]
    sources = [*pushed.client("kotlin").glob("*.kt"), ROOT / "tests/kotlin/litert_api.kt"]
    done(*compile_by, "-no-reflect", "-cp", standard, "-d", tmp_path, *sources)
    check = [java, "-cp", f"{tmp_path}:{standard}", "ranklite.CheckKt"]
    assert done(*check, pushed.vectors) == f"{COUNT} rows agree\n"
    bad = run(*check, spoiled(pushed, tmp_path))
    assert (bad.returncode, "row 9: in is" in bad.stderr) == (1, True), bad.stderr


@pytest.mark.slow
def test_swift(pushed: Pushed, tmp_path: pathlib.Path) -> None:
    folder, program = pushed.client("swift"), tmp_path / "check"
    sources = [folder / "RankLiteClient.swift", folder / "main.swift"]
    done(compiler("swiftc"), *sources, "-o", program)
    assert done(program, pushed.vectors) == f"{COUNT} rows agree\n"
    bad = run(program, spoiled(pushed, tmp_path))
    assert bad.returncode != 0
    assert "row 9: in is not" in bad.stderr
