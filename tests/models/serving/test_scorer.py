"""A pushed version scores raw rows, without TensorFlow."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ranklite.models.export import mapped, tflite_runtime
from ranklite.models.export.onnx_convert import from_tflite
from ranklite.models.export.quiet import without_runtime_log
from ranklite.models.export.target import SERVING_RAW, UnreadableModel
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.serving import files, trial
from ranklite.models.serving import versions as bundle
from ranklite.models.serving.scorer import Scorer
from tests.pushed_model import ROW, push


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pushed")
    bundle.write_version(str(folder), {"model.tflite": b"an older one"}, {})
    push(folder)
    return str(folder)


@pytest.fixture(scope="module")
def scorer(pushed: str) -> Scorer:
    return Scorer(pushed)


def test_the_newest_version_is_taken(scorer: Scorer, pushed: str) -> None:
    assert scorer.path == f"{pushed}/2"
    assert Scorer(f"{pushed}/2").path == f"{pushed}/2"


def test_rows_become_what_the_raw_signature_takes(scorer: Scorer) -> None:
    rows = [ROW, {"user": None, "item": "3", "tags": "b|c|d", "price": None, "other": 1}]
    model = LiteModel(f"{scorer.path}/model.tflite")
    expected = model.score(
        {
            "user": np.array([b"u1", b""], np.object_),
            "item": np.array([2, 3], np.int64),
            "tags": np.array([[b"a", b"b"], [b"b", b"c"]], np.object_),
            "price": np.array([1.5, np.nan], np.float32),
        },
        SERVING_RAW,
    )
    np.testing.assert_array_equal(scorer.score(rows), expected)
    assert len(set(expected)) == 2


@pytest.mark.parametrize("missing", [None, "", float("nan"), np.float32("nan")])
def test_every_way_to_say_missing_is_one(scorer: Scorer, missing: Any) -> None:
    row = {"user": "", "item": -(2**63), "tags": [], "price": float("nan")}
    other = scorer.score(
        [dict.fromkeys(ROW, missing), {**ROW, "tags": [missing, " ", "a", "b", "c"]}]
    )
    np.testing.assert_array_equal(other, scorer.score([row, ROW]))


def test_numpy_values_are_values(scorer: Scorer) -> None:
    row = {
        "user": np.str_("u1"),
        "item": np.float64(2),
        "tags": np.array(["a", "b"]),
        "price": np.float32(1.5),
    }
    np.testing.assert_array_equal(scorer.score([row]), scorer.score([ROW]))


def test_many_rows_are_scored_in_batches(scorer: Scorer) -> None:
    rows = [{**ROW, "item": k % 5} for k in range(1100)]
    scores = scorer.score(iter(rows))
    np.testing.assert_allclose(scores[:5], scorer.score(rows[:5]), rtol=1e-6)
    assert len(scores) == 1100
    assert len(scorer.score([])) == 0


def test_top_k(scorer: Scorer) -> None:
    items: list[dict[str, Any]] = [
        {"item": k, "tags": [], "price": float(k)} for k in (1, 2, 3, 99)
    ]
    scores = scorer.score([{**ROW, **item} for item in items])
    best = scorer.top_k({"user": "u1"}, items, 2)
    assert [index for index, _ in best] == list(np.argsort(-scores)[:2])
    assert best[0][1] >= best[1][1]
    same = scorer.top_k(ROW, [{}, {}, {}], 9)
    assert [index for index, _ in same] == [0, 1, 2]
    with pytest.raises(ValueError, match="k = -1"):
        scorer.top_k(ROW, [{}], -1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"item": "many"}, ValueError, "row 1: item = 'many' is not of type int64"),
        ({"item": 1.5}, ValueError, "row 1: item = 1.5 is not of type int64"),
        ({"price": "dear"}, ValueError, "row 1: price = 'dear' is not of type float32"),
        ({"user": 1.5}, ValueError, "row 1: user = 1.5 is not of type string"),
        ({"user": [1]}, ValueError, r"row 1: user = \[1\] is not of type string"),
        ({"item": float("inf")}, ValueError, "row 1: item = inf is not of type int64"),
        ({"item": 2**63}, ValueError, "row 1: item = 9223372036854775808 is not of type int64"),
        ({"tags": 1.5}, ValueError, "row 1: tags = 1.5 is no list"),
    ],
)
def test_wrong_values_are_named(
    scorer: Scorer, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        scorer.score([ROW, {**ROW, **change}])


def test_an_absent_feature_is_named(scorer: Scorer) -> None:
    with pytest.raises(KeyError, match="row 0 has no feature 'user'"):
        scorer.score([{"item": 1, "tags": [], "price": 1}])


def test_a_csv_file(scorer: Scorer, tmp_path: pathlib.Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("user,item,tags,price,note\nu1,2,a|b,1.5,x\n,3,,,y\n")
    assert scorer.score_file(str(source), str(target)) == 2
    with open(target, newline="") as file:
        rows = list(csv.DictReader(file))
    expected = scorer.score([ROW, {"user": None, "item": 3, "tags": [], "price": None}])
    np.testing.assert_allclose([float(row["score"]) for row in rows], expected, rtol=1e-6)
    assert [row["note"] for row in rows] == ["x", "y"]
    with pytest.raises(ValueError, match="is the input"):
        scorer.score_file(str(source), str(source))
    source.write_text("user,item\nu,1\n")
    with pytest.raises(ValueError, match="no column tags, price"):
        scorer.score_file(str(source), str(tmp_path / "other.csv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "user,item,tags,price\n" + "u,1,a,1\n" * 600 + "u,x,a,1\n",
            r"in.csv:602: item = 'x'",
        ),
        ("user,item,tags,price\nu,1,a,1,2\n", "line 2 has 5 fields, and there are 4 columns"),
        ("user,item,tags,price,score\nu,1,a,1,2\n", "a column 'score' already"),
        ("user,item,tags,price,user\nu,1,a,1,u\n", "names user twice"),
        ("", "no column user"),
    ],
)
@pytest.mark.fault("a row to score is wrong", "named; no output is left")
def test_a_bad_csv_file_leaves_nothing(
    scorer: Scorer, tmp_path: pathlib.Path, text: str, message: str
) -> None:
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        scorer.score_file(str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_byte_order_mark_is_no_part_of_a_name(scorer: Scorer, tmp_path: pathlib.Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("user,item,tags,price\nu1,2,a|b,1.5\n", encoding="utf-8-sig")
    assert scorer.score_file(str(source), str(target)) == 1


def test_a_folder_without_versions(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pushed model"):
        Scorer(str(tmp_path))


def test_no_tensorflow_is_imported(pushed: str) -> None:
    code = (
        "import sys, json; from ranklite.models.serving.scorer import Scorer\n"
        f"Scorer({pushed!r}).score([json.loads({json.dumps(json.dumps(ROW))})])\n"
        "late = ['ranklite.models.export.tflite_halves', 'ai_edge_litert.tools.flatbuffer_utils']\n"
        "some = ['tensorflow', 'tfx', 'pydantic', 'pandas', *late]\n"
        "print([m for m in some if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.fault("a pushed file is damaged", "refused before the runtime sees it")
def test_a_damaged_file_is_refused_before_it_is_loaded(tmp_path: pathlib.Path) -> None:
    version = push(tmp_path)
    path = version / "model.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(bundle.DamagedFile, match=r"model\.tflite is not the file that was pushed"):
        Scorer(str(version))
    path.write_bytes(content[:-100])
    with pytest.raises(bundle.DamagedFile, match=f"{len(content) - 100} bytes"):
        Scorer(str(version))


CRASHES = """
import os, signal
from ranklite.models.export import tflite_runtime

def load(self, content):
    os.kill(os.getpid(), signal.SIGSEGV)

tflite_runtime.LiteModel.__init__ = load
"""


@pytest.mark.fault("a stranger's file crashes the runtime", "the scorer lives, and says so")
def test_a_file_that_crashes_the_runtime_is_an_error(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = push(tmp_path / "pushed")
    rows = [ROW, {**ROW, "user": None}]
    expected = Scorer(str(version)).score(rows)
    np.testing.assert_array_equal(Scorer(str(version), trusted=False).score(rows), expected)
    (tmp_path / "sitecustomize.py").write_text(CRASHES)  # only a new process runs it
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UnreadableModel, match=r"crashes the tflite runtime \(SIGSEGV\)"):
        Scorer(str(version), trusted=False)


def test_what_the_runtime_refuses_is_an_error_of_the_child_too() -> None:
    with pytest.raises(UnreadableModel, match="ai-edge-litert cannot load the file"):
        trial.check("tflite", b"no model")


def test_the_runtime_writes_nothing(pushed: str) -> None:
    code = f"from ranklite import Scorer; print(Scorer({pushed!r}).score([{ROW!r}]).shape)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "(1,)\n"
    assert ended.stderr == ""


def test_what_others_write_meanwhile_appears(capfd: pytest.CaptureFixture[str]) -> None:
    with without_runtime_log():
        os.write(
            2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nERROR: it is broken\n"
        )
        os.write(2, b"of an app\n")
    assert capfd.readouterr().err == "ERROR: it is broken\nof an app\n"


@pytest.fixture(scope="module")
def two_files(scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A version with the model as TFLite and as ONNX."""
    content = pathlib.Path(scorer.path, "model.tflite").read_bytes()
    files = {"model.tflite": content, "model.onnx": from_tflite(content)}
    names = {"tflite": {"file": "model.tflite"}, "onnx": {"file": "model.onnx"}}
    metadata = {**scorer.metadata, "target": "tflite", "targets": names}
    folder = tmp_path_factory.mktemp("two")
    return bundle.write_version(str(folder), files, {"model": metadata})


def test_the_first_target_scores_unless_another_is_asked_for(two_files: str) -> None:
    rows = [ROW, {**ROW, "user": "?", "price": None}, {**ROW, "item": 2**63 - 1, "tags": []}]
    first, other = Scorer(two_files), Scorer(two_files, target="onnx")
    assert type(first._model).__name__ == "LiteModel"
    assert type(other._model).__name__ == "OnnxModel"
    np.testing.assert_allclose(other.score(rows), first.score(rows), rtol=0, atol=1e-6)
    items = [{"item": k} for k in range(5)]
    assert [k for k, _ in other.top_k(ROW, items, 5)] == [k for k, _ in first.top_k(ROW, items, 5)]


def test_each_file_is_fed_what_it_takes(tmp_path: pathlib.Path) -> None:
    """`model.json` says what the first file takes; the other one takes texts as they are."""
    version = str(push(tmp_path, strings=True))
    rows = [ROW, {**ROW, "user": "?", "price": None}, {**ROW, "item": 2**63 - 1, "tags": []}]
    scores = Scorer(version).score(rows)
    np.testing.assert_array_equal(Scorer(version, target="tflite_strings").score(rows), scores)
    assert len(set(scores)) == 3


def test_a_target_that_is_not_there_is_named(two_files: str, pushed: str) -> None:
    with pytest.raises(ValueError, match="no file of the target 'tfjs', only of onnx, tflite"):
        Scorer(two_files, target="tfjs")
    with pytest.raises(ValueError, match="no file of the target 'onnx', only of tflite"):
        Scorer(pushed, target="onnx")


def test_onnx_needs_neither_tflite_nor_tensorflow_nor_onnx(two_files: str) -> None:
    code = f"""
import sys
for name in ("ai_edge_litert", "tensorflow", "onnx"):
    sys.modules[name] = None
from ranklite import Scorer
row = {ROW!r}
scorer = Scorer({two_files!r}, target="onnx")
print(len(scorer.score([row])), len(scorer.top_k(row, [{{"item": 1}}, {{"item": 2}}], 1)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1 1\n", "")


def test_a_file_is_mapped_and_what_was_digested_is_loaded(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file may take its name between the two: it is not the one that was looked at."""
    version = push(tmp_path)
    expected = Scorer(str(version)).score([ROW])
    content = (version / "model.tflite").read_bytes()
    given: list[dict[str, Any]] = []
    check, make = files.check_model, tflite_runtime.Interpreter

    def checked(*arguments: Any) -> None:
        check(*arguments)
        (tmp_path / "other").write_bytes(b"no model")
        os.replace(tmp_path / "other", version / "model.tflite")

    def made(**arguments: Any) -> Any:
        given.append(arguments)
        return make(**arguments)

    monkeypatch.setattr(files, "check_model", checked)
    monkeypatch.setattr(tflite_runtime, "Interpreter", made)
    scorer = Scorer(str(version))
    assert "model_path" in given[0]
    np.testing.assert_array_equal(scorer.score([ROW]), expected)
    assert scorer._model.content == content
    prepared = scorer.prepare([{"item": 2, "tags": ["a", "b"], "price": 1.5}])
    assert scorer.top_k({"user": "u1"}, prepared, 1) == [(0, expected[0])]
    with pytest.raises(bundle.DamagedFile):
        Scorer(str(version))
    (version / "model.tflite").write_bytes(content)
    monkeypatch.setattr(files, "check_model", check)
    monkeypatch.setattr(mapped.os.path, "exists", lambda path: False)
    Scorer(str(version))  # a system without paths of open files
    assert given[-1]["model_content"] == content
    given.clear()
    Scorer(str(version), trusted=False)
    assert given[0]["model_content"] == content


def test_a_copy_scores_the_same_bytes(tmp_path: pathlib.Path) -> None:
    version = push(tmp_path, strings=True)
    for target in ("tflite", "tflite_strings"):
        scorer = Scorer(str(version), target, trusted=False)
        (version / scorer._target.file).write_bytes(b"no model")
        other = scorer.copy()
        np.testing.assert_array_equal(other.score([ROW]), scorer.score([ROW]))
        assert other._model is not scorer._model
        assert other._inputs.of_row(ROW) is not scorer._inputs.of_row(ROW)
        items = [{"item": k, "tags": ["a"], "price": 1.0} for k in range(5)]
        assert other.top_k({"user": "u1"}, scorer.prepare(items), 5) == scorer.top_k(
            {"user": "u1"}, other.prepare(items), 5
        )


def test_open_files_are_closed(tmp_path: pathlib.Path) -> None:
    version = push(tmp_path)
    scorer = Scorer(str(version))
    scorer.score([ROW])

    def are_open() -> list[str]:
        return sorted(os.listdir("/dev/fd"), key=int)

    before = are_open()
    del scorer
    for _ in range(3):
        Scorer(str(version))
    (version / "model.tflite").write_bytes(b"")
    with pytest.raises(bundle.DamagedFile, match="it has 0 bytes"):
        Scorer(str(version))
    assert len(are_open()) <= len(before)
