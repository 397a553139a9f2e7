"""Finished runs side by side: found by their names, every difference told, certain ones marked."""

from __future__ import annotations

import copy
import json
import math
import pathlib
import re
import shutil
from typing import Any

import numpy as np
import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from ranklite.models.evaluation.scored_rows import ScoredRows
from ranklite.models.reporting.tables import Section, render
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.comparison import inputs, judgement
from ranklite.pipeline.comparison.compare import compare, page
from ranklite.pipeline.comparison.runs import JudgedRun, catalogue, find
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.runs.store import note_name
from tests.recorder import Recorder

DONE, FAILED = mlmd.Execution.COMPLETE, mlmd.Execution.FAILED
CONFIG = load_config("configs/synthetic.yaml").model_dump(mode="json")
EVIL = "<script>alert(1)</script>"
SAME_ROWS = {"label": "1", "user": "2"}
# Users a and b, each with a click and a pass.
LABELS, USERS = np.array([1, 0, 1, 0]), np.array(["a", "a", "b", "b"])
GOOD, FLAT = np.array([0.9, 0.1, 0.8, 0.2]), np.array([0.9, 0.1, 0.5, 0.5])


def figures(scores: Any, size: int = 50_000, latency: float = 2.0) -> dict[str, Any]:
    losses = -np.log(np.where(LABELS == 1, scores, 1 - scores))
    auc = 1.0 if scores is GOOD else 0.75
    measured = {"auc": auc, "log_loss": float(losses.mean()), "calibration": 1.0}
    costs = {"bytes": size, "gzip_bytes": size // 2, "latency_1_us": 4.0}
    return {**measured, **costs, "latency_512_us": latency}


def kept(shipped: Any, identity: dict[str, str] = SAME_ROWS, users: Any = USERS) -> ScoredRows:
    scores = {"float": GOOD, "shipped": shipped}
    return ScoredRows.of(LABELS, users, scores, {"slice_user": USERS}, identity)


def judged(name: str = "mine#1", shipped: Any = GOOD, **changes: Any) -> JudgedRun:
    slices = [
        {"column": "slice_user", "value": user, "rows": 2}
        | {"float": {"auc": 1.0}, "shipped": {"auc": auc}}
        for user, auc in (("a", 1.0), ("b", 1.0 if shipped is GOOD else 0.5))
    ]
    report = {
        "split": "test",
        "rows": 4,
        "positives": 2,
        "stages": {"float": figures(GOOD, 90_000), "shipped": figures(shipped)},
        "slices": slices,
        "verdicts": [
            {"name": "AUC", "value": 0.75, "threshold": 0.7, "at_least": True}
            | {"passed": True, "detail": ""},
            {"name": "plain TFLite operators", "value": 0, "threshold": None, "at_least": False}
            | {"passed": True, "detail": ""},
        ],
        "evidence": {"unseen": {"user": {"vocabulary": 2, "unseen": 0.25, "missing": 0.0}}},
        "processor": "one",
        "software": {"python": "3.10.1", "numpy": "1.26.4"},
    }
    split = {"rows": 4, "positives": 2, "users": 2, "items": None}
    ingest = {
        "splits": {"test": {**split, "first_time": 1767225771, "last_time": None}},
        "rejected": {},
        "files": [{"name": "a.csv", "bytes": 9, "sha256": "ab" * 32}],
        "spans": [],
    }
    given: dict[str, Any] = {
        "started": "2026-11-24T12:00:00+00:00",
        "result": "pushed 1",
        "config": CONFIG,
        "report": report,
        "ingest": ingest,
        "code": {"Trainer": "c0de" * 4},
        "scores": kept(shipped),
    }
    return JudgedRun(name, **{**given, **changes})


def report_with(run: JudgedRun, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(run.report), **changes}


def row(section: Section, label: str, table: int = 0) -> list[str]:
    (found,) = [row for row in section.tables[table].rows if row[0] == label]
    return found[1:]


# ------------------------------------------------------------------------------------- accuracy


def test_identical_runs_do_not_differ() -> None:
    for section in compare([judged(), judged("mine#2")]):
        for table in section.tables:
            assert [row for row in table.rows if row[-1]] == []
    found = row(judgement.metrics(judged(), judged("mine#2")), "shipped file: AUC")
    assert found == ["1.00000", "1.00000", "+0.00000", "[+0.00000, +0.00000]", ""]


def test_a_paired_difference_by_hand() -> None:
    # On user b the second model says .5 and not .8 and .2: its loss is ln 1.6 more there, 0 on a.
    # A sample of two users is a twice with probability 1/4, b twice with 1/4.
    section = judgement.metrics(judged(), judged("mine#2", FLAT))
    before = (math.log(1 / 0.9) + math.log(1 / 0.8)) / 2
    assert row(section, "shipped file: log loss") == [
        f"{before:.5f}",
        f"{before + math.log(1.6) / 2:.5f}",
        f"+{math.log(1.6) / 2:.5f}",
        f"[+0.00000, +{math.log(1.6):.5f}]",
        "",
    ]
    assert "The same rows (4)" in section.notes[0]


@pytest.mark.parametrize(
    ("scores", "metric", "mark"),
    [
        (np.array([0.8, 0.2, 0.5, 0.5]), "log loss", "worse"),
        (np.array([0.95, 0.05, 0.9, 0.1]), "log loss", "better"),
        (np.array([0.99, 0.2, 0.9, 0.3]), "calibration", "differs"),
    ],
)
def test_what_is_certain_is_marked(scores: Any, metric: str, mark: str) -> None:
    assert row(judgement.metrics(judged(), judged("", scores)), f"shipped file: {metric}")[-1] == (
        mark
    )


OTHER_ROWS = {"label": "1", "user": "9"}


def test_other_rows_are_told_and_not_paired() -> None:
    section = judgement.metrics(judged(), judged("mine#2", FLAT, scores=kept(FLAT, OTHER_ROWS)))
    assert "Not the same rows (4 of test, 4 of test)" in section.notes[0]
    unknown = judgement.metrics(judged(), judged("mine #2", FLAT, scores=kept(FLAT, {})))
    assert unknown.notes[0].startswith("Perhaps not the same rows")
    low = row(section, "shipped file: log loss")[3].split(",")[0]
    assert float(low.strip("[")) < 0  # in pairs no sample gets better


def test_the_user_need_be_named_in_one_configuration_only() -> None:
    half = np.array([0.9, 0.1, 0.5, 0.2])  # one row of b loses ln 1.6, so b ln 1.6 / 2
    other = judged("mine#2", half, scores=kept(half, users=None))
    by_user, by_row = (
        row(judgement.metrics(judged("", scores=one), other), "shipped file: log loss")[3]
        for one in (kept(GOOD), kept(GOOD, users=None))
    )
    assert by_user == f"[+0.00000, +{math.log(1.6) / 2:.5f}]"
    assert by_row != by_user


def test_runs_without_scores_fall_back_on_their_reports() -> None:
    def old(name: str, auc: float, bounds: list[float]) -> JudgedRun:
        run = judged(name, scores=None)
        figures = {"auc": auc, "interval": {"auc": bounds}}
        return judged(name, scores=None, report=report_with(run, stages={"shipped": figures}))

    before, after = old("mine#1", 0.7, [0.66, 0.74]), old("mine#2", 0.8, [0.77, 0.83])
    section = judgement.metrics(before, after)
    assert "Of mine#1 and mine#2 no scores row by row are at hand" in section.notes[0]
    # Arms of .03 and .04 make one of .05.
    assert row(section, "shipped file: AUC")[2:] == ["+0.10000", "[+0.05000, +0.15000]", "better"]
    older = old("mine#0", 0.7, [])
    older.report["stages"]["shipped"].pop("interval")
    assert row(judgement.metrics(older, after), "shipped file: AUC")[3:] == ["-", ""]


def test_stages_of_one_run_only_are_named() -> None:
    other = judged("mine#2")
    other.report["stages"]["pruned"] = figures(GOOD)
    assert judgement.metrics(judged(), other).notes[1] == "Only one of them has: pruned."


def test_slices_come_by_what_they_changed() -> None:
    section = judgement.slices(judged(), judged("mine#2", FLAT))
    assert [cells[0] for cells in section.tables[0].rows] == ["user = b", "user = a"]
    changed = ["2", "2", "1.00000", "0.50000", "-0.50000", "[-0.50000, -0.50000]", "worse"]
    assert row(section, "user = b") == changed
    assert row(section, "user = a")[-2:] == ["[+0.00000, +0.00000]", ""]


def test_slices_without_scores_and_without_an_auc() -> None:
    other = judged("mine#2", FLAT, scores=None)
    other.report["slices"][0]["shipped"]["auc"] = math.nan
    (table,) = judgement.slices(judged(), other).tables
    assert table.rows == [["user = b", "2", "2", "1.00000", "0.50000", "-0.50000", "-", ""]]


def test_of_many_slices_those_of_many_rows_and_large_changes_are_shown() -> None:
    def many(name: str, changed: dict[int, float]) -> JudgedRun:
        entries = [
            {"column": "slice_city", "value": str(k), "rows": 100 if k else 1}
            | {"shipped": {"auc": 0.5 + changed.get(k, 0.0)}}
            for k in range(20)
        ]
        run = judged(name, scores=None)
        return judged(name, scores=None, report=report_with(run, slices=entries))

    section = judgement.slices(many("mine#1", {}), many("mine#2", {0: 0.2, 7: 0.1, 8: -0.3}))
    assert section.notes == ["12 of the 20 that both have."]
    shown = [cells[0] for cells in section.tables[0].rows]
    assert (shown[:3], len(shown)) == (["city = 8", "city = 7", "city = 0"], 12)


# ----------------------------------------------------------------------------- gates and costs


def test_a_gate_that_turned_is_marked() -> None:
    refused = judged("mine#2", result="refused by FileValidator")
    refused.report["verdicts"][0] |= {"threshold": 0.8, "passed": False}
    refused.report["verdicts"].pop()
    section = judgement.gates([judged(), refused])
    assert row(section, "result") == ["pushed 1", "refused by FileValidator", "turned"]
    assert row(section, "AUC") == ["0.75 >= 0.7 passed", "0.75 >= 0.8 FAILED", "turned"]
    assert row(section, "plain TFLite operators") == ["0 passed", "-", ""]


def test_a_gate_that_became_undecided_turned_with_its_interval() -> None:
    unsure = judged("mine#2")
    unsure.report["verdicts"][0] |= {"interval": [0.69, 0.81], "undecided": True}
    section = judgement.gates([judged(), unsure])
    cells = ["0.75 >= 0.7 passed", "0.75 [0.69, 0.81] >= 0.7 undecided", "turned"]
    assert row(section, "AUC") == cells


def test_the_outcome_of_a_gate_is_never_cut_off() -> None:
    unsure = judged("mine#2")
    unsure.report["verdicts"][0] |= {"value": -0.000588931, "interval": [-0.0002618, 0.009093]}
    unsure.report["verdicts"][0] |= {"threshold": 0.00025, "undecided": True, "passed": False}
    shown = render([judgement.gates([judged(), unsure])])
    assert "-0.000588931 [-0.0002618, 0.009093] >= 0.00025 undecided, REFUSED" in shown


def test_sizes_and_times_have_ratios() -> None:
    smaller = judged("mine#2")
    smaller.report["stages"]["shipped"] = figures(GOOD, 25_000, latency=3.0)
    smaller.report["stages"]["pruned"] = figures(GOOD, 30_000)
    section = judgement.costs([judged(), smaller])
    assert row(section, "shipped file: bytes") == ["50,000", "25,000 (0.50 x)", ""]
    assert row(section, "shipped file: us/row, batch 512") == ["2.00", "3.00 (1.50 x)", ""]
    assert row(section, "pruned: bytes") == ["-", "30,000", ""]
    assert "different processors" not in section.notes[0]
    smaller.report["processor"] = "two"
    assert "processors (one, two)" in judgement.costs([judged(), smaller]).notes[0]


# --------------------------------------------------------------------------------------- inputs


def test_configurations_differ_by_key_path() -> None:
    other = copy.deepcopy(CONFIG)
    other["training"]["epochs"] = 12
    other["model"]["hidden_units"] = [32]
    other["features"] = [
        {"kind": "numeric", "name": "margin", "log": False},
        *[f for f in other["features"][1:] if f["name"] != "age"],
    ]
    other["compression"] = other["compression"][::-1][:1]
    runs = [judged(), judged("mine#2", config=other)]
    changed = {path: (old, new) for path, old, new, _ in inputs.configuration(runs).tables[0].rows}
    assert changed.pop("features.age")[1] == "-"
    assert changed.pop("features.user")[0].startswith("{kind: categorical, name: user")
    assert changed.pop("compression.prune")[1] == "-"
    assert changed.pop("features.margin") == (
        "-",
        "{kind: numeric, name: margin, column: '', log: false, missing_indicator: false}",
    )
    assert changed == {
        "training.epochs": ("60", "12"),
        "model.hidden_units": ("[64, 32]", "[32]"),
    }


def test_the_order_of_steps_is_a_difference() -> None:
    steps = {"prune": {"technique": "prune"}, "cluster": {"technique": "cluster"}}
    one = {"compression": list(steps.values())}
    found = list(inputs.changes([one, {"compression": one["compression"][::-1]}]))
    assert found == [(("compression", "(order)"), [["prune", "cluster"], ["cluster", "prune"]])]


def test_defaults_are_filled_in_before_configurations_are_compared() -> None:
    old = copy.deepcopy(CONFIG)
    del old["training"]["ema"]  # a key of a later version
    section = inputs.configuration([judged(), judged("mine#2", config=old)])
    assert (section.notes, section.tables[0].rows) == (["The same."], [])
    illegal = {**old, "gone": 1}  # one of an earlier version
    section = inputs.configuration([judged(), judged("mine#2", config=illegal)])
    assert ["gone", "-", "1", ""] in section.tables[0].rows


def test_code_and_versions() -> None:
    other = judged("mine#2", code={"Trainer": "beef" * 4, "Pruner": "1"})
    other.report["software"] = {"python": "3.13.0", "numpy": "1.26.4"}
    assert inputs.code([judged(), other]).tables[0].rows == [
        ["Trainer", "c0dec0dec0de", "beefbeefbeef", ""],
        ["python", "3.10.1", "3.13.0", ""],
    ]
    assert "The same" in inputs.code([judged(), judged()]).notes[0]


def test_data_that_changed() -> None:
    other = judged("mine#2")
    ingest = copy.deepcopy(other.ingest)
    ingest["files"][0]["sha256"] = "cd" * 32
    ingest["files"].append({"name": "b.csv", "bytes": 9, "sha256": "ef" * 32})
    ingest["splits"]["test"] |= {"rows": 8, "first_time": None}
    ingest |= {"rejected": {"bad number": 3}, "sampled": {"negatives": 4}, "spans": [4, 5]}
    other.report["evidence"]["unseen"]["user"]["unseen"] = 0.5
    changed = judged("mine#2", ingest=ingest, report=other.report)
    section = inputs.data([judged(), changed])
    assert row(section, "test: rows") == ["4", "8", ""]
    assert row(section, "test: positive") == ["50.00%", "25.00%", ""]
    assert row(section, "test: from") == ["2026-01-01 00:02", "-", ""]
    assert row(section, "rejected: bad number") == ["-", "3", ""]
    assert row(section, "sampled: negatives") == ["-", "4", ""]
    assert row(section, "spans") == ["-", "4 to 5 (2)", ""]
    assert row(section, "a.csv", 1) == ["abababababab", "cdcdcdcdcdcd", "changed"]
    assert row(section, "b.csv", 1) == ["-", "efefefefefef", "added"]
    assert row(section, "user: OOV", 2) == ["25.00%", "50.00%", ""]
    back = inputs.data([changed, judged()])
    assert row(back, "b.csv", 1)[-1] == "removed"


def test_the_same_data_and_none_at_all() -> None:
    assert inputs.data([judged(), judged()]).notes[0] == "The same file."
    section = inputs.data([judged(), judged("mine#2", ingest={})])
    assert section.notes == ["There is no report on the log of mine#2."]


# ---------------------------------------------------------------------------------------- pages


def test_three_runs_are_shown_side_by_side() -> None:
    runs = [judged(), judged("mine#2", FLAT), judged("yours#1", FLAT)]
    text = render(compare(runs))
    assert "Accuracy: mine#2 against mine#1" in text
    assert "Accuracy: yours#1 against mine#1" in text
    assert re.search(r"shipped file: bytes +50,000 +50,000 \(1.00 x\) +50,000 \(1.00 x\)", text)


def test_long_values_are_shown_where_they_differ() -> None:
    queries = [f"SELECT\n  {'x, ' * 40}{end} FROM log" for end in ("price", "age")]
    runs = [
        judged(f"mine#{k}", config={**CONFIG, "source": {**CONFIG["source"], "query": query}})
        for k, query in enumerate(queries)
    ]
    (line,) = [line for line in render(compare(runs)).splitlines() if "source.query" in line]
    assert len(line) < 120
    assert re.search(r"  \.\.\.[x, ]+ price FROM log  +\.\.\.[x, ]+ age FROM log$", line)
    assert all(" ".join(query.split()) in page(runs, compare(runs)) for query in queries)


def test_the_page_stands_alone_and_no_name_is_markup() -> None:
    other = judged(EVIL, FLAT, config={**CONFIG, "label": EVIL})
    text = page([judged(), other], compare([judged(), other]))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert "viewport" in text
    assert '<tr class="out"><td>user = b' in text
    assert '<tr class="out"><td>user = a' not in text


# ---------------------------------------------------------------------------------------- names


LOST = {"name": "AUC change from float", "value": -0.0123, "threshold": -0.01} | {
    "at_least": True,
    "passed": False,
    "detail": "",
}


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> pathlib.Path:
    """`mine`: failed, pushed, refused; `yours`: failed."""
    root = tmp_path / "runs"
    (root / "mine").mkdir(parents=True)
    (root / "yours").mkdir()
    recorder = Recorder(root / "mine" / "metadata.sqlite")

    def folder(name: str, files: dict[str, Any]) -> str:
        path = root / "mine" / name
        path.mkdir(parents=True)
        for file, content in files.items():
            (path / file).write_text(json.dumps(content))
        return str(path)

    first = recorder.run("mine", "mine.1")
    recorder.execution("mine", first, "Trainer", FAILED, {}, error="the loss became nan")
    for number, passed in ((2, True), (3, False)):
        run = recorder.run("mine", f"mine.{number}")
        report = folder(f"report-{number}", {"report.json": judged().report})
        if passed:
            kept(GOOD).save(f"{report}/scores.npz")
        version = folder("pushed/1", {"report.json": judged().report}) if passed else None
        pushed = {"version": version, "refused_by": [] if passed else ["Evaluator"]}
        if not passed:
            pushed["verdicts"] = [*judged().report["verdicts"], LOST]
        pusher = folder(f"pusher-{number}", {"pushed.json": pushed})
        custom = json.dumps({"code_digest": "c0de"})
        recorder.execution("mine", run, "Trainer", DONE, {}, custom_config=custom)
        recorder.execution("mine", run, "FileValidator", DONE, {"report": report})
        config = json.dumps(CONFIG)
        recorder.execution("mine", run, "RunReport", DONE, {}, config=config, code_digest="beef")
        recorder.execution("mine", run, "Pusher", DONE, {"pushed_model": pusher})
    (root / "mine/pushed/1/model.tflite").write_text("the model")
    note_name(str(root / "mine" / "metadata.sqlite"), "mine", 2, "wide tower")
    Recorder(root / "yours" / "metadata.sqlite").run("yours", "yours.1")
    return root


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("mine", 3),
        ("mine#3", 3),
        ("mine #2", 2),
        ("mine#-1", 3),
        ("mine#-2", 2),
        ("{day} mine run 2", 2),
        ("{day} mine run 2/trainer/validation", 2),
        ("{day} mine run 2 wide tower/trainer/validation", 2),
        ("wide tower", 2),
        ("{root}/mine/pushed", 2),
        ("{root}/mine/pushed/1", 2),
        ("{root}/mine/pushed/1/model.tflite", 2),
    ],
)
def test_names_of_runs(runs: pathlib.Path, given: str, number: int) -> None:
    day = find(["mine#2"], str(runs))[0].started[:10]
    (found,) = find([given.format(day=day, root=runs)], str(runs))
    assert found.name == ("mine#2 wide tower" if number == 2 else "mine#3")


def test_a_name_that_runs_of_two_pipelines_have_is_told(runs: pathlib.Path) -> None:
    note_name(str(runs / "yours" / "metadata.sqlite"), "yours", 1, "wide tower")
    with pytest.raises(ValueError, match="say which of mine#2, yours#1"):
        find(["wide tower"], str(runs))


def test_a_name_that_means_a_run_of_another_pipeline_too_is_told(runs: pathlib.Path) -> None:
    note_name(str(runs / "yours" / "metadata.sqlite"), "yours", 1, "mine run 3")
    with pytest.raises(ValueError, match=r"say which by mine#\.\.\. or yours#1"):
        find(["mine run 3"], str(runs))


def test_of_a_run_that_was_stopped_and_the_one_that_went_on_the_newer_is_meant(
    runs: pathlib.Path,
) -> None:
    note_name(str(runs / "mine" / "metadata.sqlite"), "mine", 3, "wide tower")
    assert find(["wide tower"], str(runs))[0].name == "mine#3 wide tower"


def test_what_is_read_of_a_run(runs: pathlib.Path) -> None:
    pushed, refused = find(["mine#2", "mine#3"], str(runs))
    assert (pushed.result, refused.result) == ("pushed 1", "refused by Evaluator")
    assert pushed.config == CONFIG
    assert pushed.code == {"Trainer": "c0de", "RunReport": "beef"}
    assert pushed.scores is not None
    assert refused.scores is None
    section = judgement.gates([pushed, refused])
    assert row(section, LOST["name"]) == ["-", "-0.0123 >= -0.01 FAILED", ""]
    assert row(section, "AUC") == ["0.75 >= 0.7 passed"] * 2 + [""]


def test_what_a_search_for_settings_chose_is_compared(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "runs"
    (root / "mine").mkdir(parents=True)
    recorder = Recorder(root / "mine" / "metadata.sqlite")

    def folder(name: str, content: dict[str, Any]) -> str:
        path = root / "mine" / name.rpartition("/")[0]
        path.mkdir(parents=True)
        (root / "mine" / name).write_text(json.dumps(content))
        return str(path)

    config = {**CONFIG, "training": {"ridge": 5.0}}
    for number, ridge in ((1, 2.5), (2, 12.5)):
        run = recorder.run("mine", f"mine.{number}")
        report = folder(f"report-{number}/report.json", judged().report)
        settings = {"settings": {"training": {"ridge": ridge}}}
        trials = folder(f"trials-{number}/trials.json", settings)
        recorder.execution("mine", run, "SettingsSearch", DONE, {"trials": trials})
        recorder.execution("mine", run, "FileValidator", DONE, {"report": report})
        recorder.execution("mine", run, "RunReport", DONE, {}, config=json.dumps(config))
    found = find(["mine#1", "mine#2"], str(root))
    assert [run.config["training"]["ridge"] for run in found] == [2.5, 12.5]
    assert found[0].config.keys() == config.keys()


@pytest.mark.parametrize(
    ("given", "reported"),
    [
        ("other", "no run 'other'; there are mine#1 to mine#3, yours#1: `ranklite compare --list`"),
        ("2026-11-22", "a name with spaces goes in quotes"),
        ("1999-01-01 mine #2", "mine#2 was started on "),
        ("mine#4", "no run mine#4; the newest is mine#3"),
        ("mine#-3", "no run mine#-3: #-1 is the newest of 2 that came to their gates"),
        ("mine#0", "no run mine#0"),
        ("mine#1", "mine#1 never came to its gates: Trainer failed (the loss became nan)"),
        ("yours", "no run of 'yours' came to its gates; yours#1 never came to its gates"),
    ],
)
def test_a_wrong_name_is_told(
    runs: pathlib.Path, given: str, reported: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", given, "mine", "--runs", str(runs)]) == 1
    printed = capsys.readouterr()
    assert reported in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""


def test_a_deleted_report_is_told(runs: pathlib.Path) -> None:
    shutil.rmtree(runs / "mine/report-2")
    with pytest.raises(ValueError, match="the report of mine#2 was deleted"):
        find(["mine#2"], str(runs))


def test_a_version_from_elsewhere_is_read_from_its_folder(
    runs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    version = tmp_path / "elsewhere"
    shutil.copytree(runs / "mine/pushed/1", version)
    about = {"created": "2026-11-24T12:00:00+00:00", "config": CONFIG}
    (version / "model.json").write_text(json.dumps(about))
    (found,) = find([str(version)], str(runs))
    assert found.name.endswith("elsewhere")
    assert (found.config, found.scores, found.result) == (CONFIG, None, "pushed")
    (version / "model.json").unlink()
    with pytest.raises(FileNotFoundError, match="no run made"):
        find([str(version)], str(runs))


def test_the_list_of_runs(runs: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [(cells[0], cells[2], cells[-1]) for cells in catalogue(str(runs))] == [
        ("mine#1", "-", "Trainer failed"),
        ("mine#2 wide tower", "1.00000", "pushed 1"),
        ("mine#3", "1.00000", "refused by Evaluator"),
        ("yours#1", "-", "unfinished"),
    ]
    assert main(["compare", "--list", "--runs", str(runs)]) == 0
    assert "mine#3" in capsys.readouterr().out
    assert main(["compare", "--list", "--runs", str(runs / "none")]) == 1
    assert "name their folder with --runs" in capsys.readouterr().err


def test_the_command(
    runs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "mine", "--runs", str(runs)]) == 1
    assert "name another beside 'mine'" in capsys.readouterr().err
    assert main(["compare", "mine#2", "mine", "--config", "x.yaml"]) == 1
    assert "leave it out beside runs" in capsys.readouterr().err
    assert main(["compare", "mine#2", "mine", "--runs", str(runs)]) == 0
    assert "Accuracy: mine#3 against mine#2 wide tower" in capsys.readouterr().out
    assert (runs / "compare.html").is_file()
    folder = tmp_path / "new"
    assert main(["compare", "mine#2", "mine", "--runs", str(runs), "-o", str(folder)]) == 0
    assert [path.name for path in folder.iterdir()] == ["compare.html"]
