"""The page of a run: every finding is on it, nothing is loaded, nothing from outside is trusted."""

from __future__ import annotations

import dataclasses
import datetime
import html.parser
import pathlib
import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ranklite.models.evaluation.scored_rows import ScoredRows
from ranklite.models.reporting import page, tensorboard
from ranklite.models.reporting.columns import Column
from ranklite.models.reporting.facts import CurrentRun, Facts, StoppedRun
from tests.browser import PAPER, PHONE, needs_browser, opened

EVIL = "<script>alert(1)</script>"
CURVE = {"x": [0.0, 0.5, 1.0], "y": [0.0, 0.8, 1.0], "rows": [5.0, 5.0, 5.0]}
BOTH = {"float": CURVE, "shipped": CURVE}
FIGURES = {
    "auc": 0.75,
    "log_loss": 0.4321,
    "calibration": 1.01,
    "bytes": 123456,
    "gzip_bytes": 65432,
    "latency_1_us": 3.25,
    "latency_512_us": 0.55,
    "operators": {"GATHER": 2},
    "interval": {"auc": [0.74, 0.76], "auc_change": [-0.0012, 0.0007]},
}
SLICE = {"column": "slice_user", "rows": 10, "float": FIGURES}


def facts(**changes: Any) -> Facts:
    report = {
        "split": "test",
        "rows": 100,
        "positives": 20,
        "stages": {"float": FIGURES, "shipped": FIGURES},
        "verdicts": [
            {"name": "AUC", "value": 0.75, "threshold": 0.7, "at_least": True}
            | {"passed": True, "detail": ""},
            {"name": "bytes", "value": 123456, "threshold": 1000, "at_least": False}
            | {"passed": False, "detail": EVIL},
            {"name": "AUC change from the blessed model", "value": -0.0123, "threshold": -0.01}
            | {"passed": False, "at_least": True, "detail": ""},
        ],
        "warnings": [f"One user has 40 of the 100 rows of {EVIL}."],
        "slices": [
            {**SLICE, "value": "seen", "shipped": FIGURES},
            {**SLICE, "value": "new", "shipped": {**FIGURES, "auc": 0.6}},
            {**SLICE, "value": "none", "shipped": {**FIGURES, "auc": float("nan")}},
        ],
        "evidence": {
            "roc": BOTH,
            "precision_recall": BOTH,
            "calibration": BOTH,
            "score_pairs": CURVE,
            "score_change": {"control": {"max": 0.4321, "p999": 0.0321}},
            "users": {"users": 12, "largest_share": 0.4}
            | {"both_labels": 7, "both_labels_share": 0.875},
            "single_feature_auc": {
                "train": {"age": 0.5432, "price": 0.9111},
                "judged": {"age": float("nan"), "price": 0.6111},
            },
            "unseen": {"user": {"vocabulary": 7, "unseen": 0.25, "missing": 0.0}},
            "tensors": [{"name": "table", "dtype": "int8", "shape": [9, 8], "bytes": 72}],
            "sqnr_db": {"tower_0": 38.5},
        },
    }
    split = {"rows": 400, "positives": 80, "users": None, "items": 9}
    ingest = {
        "splits": {"train": {**split, "first_time": 1767225771, "last_time": None}},
        "rejected": {"bad number": 3},
        "files": [{"name": f"{EVIL}.csv", "bytes": 4321, "sha256": "ab" * 32}],
        "spans": ["2026-11-21", "2026-11-22"],
    }
    given: dict[str, Any] = {
        "config": {
            "name": "clicks",
            "model": {"embedding_dim": 8, "hidden_units": [64, 32]},
            "compression": [{"technique": "quantize"}],
            "gates": {"max_auc_drop": None},
        },
        "ingest": ingest,
        "report": report,
        "anomalies": [("train", "price", EVIL)],
        "columns": [
            Column("price", f"float {EVIL}", {"train": 0.125}, "0 to 9", {"train": [0.5, 0.5]})
        ],
        "trainings": {"Trainer": {"validation/epoch_auc": [(0, 0.6), (1, 0.7)]}},
        "refused_by": [],
        "lineage": {"stage_report": [(12, "components.StageReport")]},
        "code_digest": "c0de" * 16,
        "versions": {"python": "3.10.13", "tfx": "1.16.0"},
        "commit": f"{'c0ffee00' * 5}-dirty",
        "warm": {"auc": 0.7},
    }
    return Facts(**{**given, **changes})


class Page(html.parser.HTMLParser):
    """Tags, what they would load, and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "srcset"):
                self.loads.append(value or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_every_finding_is_on_the_page() -> None:
    text = Page(page.render(facts())).text
    for expected in (
        "Every gate passed",
        "0.7500 [0.7400, 0.7600]",
        "[-0.0012, +0.0007]",
        "123,456",
        "AUC change from the blessed model -0.0123 >= -0.01 FAILED",
        "tower_0",
        "38.5",
        "0.4321",
        "0.0321",
        "9x8",
        "2026-01-01 00:02",
        "3 rows could not be read",
        "Spans 2026-11-21 to 2026-11-22",
        "25.0%",
        "12.5%",
        "0 to 9",
        "ab" * 32,
        "components.StageReport 12",
        "hidden_units:",
        "GATHER",
        "One user has 40 of the 100 rows",
        "7 of 12 users, those with both labels, who have 87.5% of the rows",
        "price 0.9111 0.6111 age 0.5432 -",
    ):
        assert expected in text, expected
    assert "max_auc_drop: null" in text  # left out, it would have its default again


STARTED = datetime.datetime(2026, 11, 24, 22, 10, tzinfo=datetime.timezone.utc)
REFUSED = f"""the data are not what the schema says:
  train: price: out of range: {EVIL}
  eval: tags: missing column: none has it

Mend the log."""


def test_its_head_says_which_run_it_is() -> None:
    text = page.render(
        facts(run=CurrentRun("2026-11-24 clicks run 7 wide", STARTED), seconds=100.4)
    )
    assert "<h1>2026-11-24 clicks run 7 wide, test split</h1>" in text
    for words in ("100 rows", "Started 2026-11-24 22:10 UTC", "this page written 0:01:40 later"):
        assert words in text
    assert "<h1>clicks, test split</h1>" in page.render(facts())


def test_a_run_that_stopped_says_why_and_shows_what_there_is() -> None:
    stages = [("StatisticsGen", "done", 5.84), ("ValidationGate", "failed", 0.2)]
    stages += [("Transform", "did not run", None)]
    stopped = StoppedRun("ValidationGate", REFUSED, stages, "logs/05-ValidationGate.log")
    whole = facts()
    given = Facts(whole.config, whole.code_digest, ingest=whole.ingest, stopped=stopped)
    html_text = page.render(given)
    read = Page(html_text)
    titles = re.findall("<h2>(.*?)</h2>", html_text)
    assert titles == ["Stopped", "Data", "Lineage and how to repeat it"]
    assert "script" not in read.tags
    assert read.tags.count("li") == 2  # an anomaly each
    for words in (
        "ValidationGate failed: the data are not what the schema says:",
        f"train: price: out of range: {EVIL}",
        "Mend the log.",
        "5.8",
        "did not run",
        "logs/05-ValidationGate.log",
        "3 rows could not be read",
    ):
        assert words in read.text, words
    assert "No anomalies" not in read.text  # the gate said nothing but its error
    nothing = Facts(whole.config, whole.code_digest, stopped=stopped)
    assert re.findall("<h2>(.*?)</h2>", page.render(nothing)) == [titles[0], titles[2]]


def test_a_run_that_stopped_after_its_gates_does_not_say_that_they_passed() -> None:
    stopped = StoppedRun("Pusher", "the disk is full", [], "logs/18-Pusher.log")
    text = Page(page.render(facts(stopped=stopped))).text
    assert "Pusher failed: the disk is full" in text
    assert "Every gate passed" not in text
    assert "FAILED" in text


def test_the_command_repeats_the_run() -> None:
    text = Page(page.render(facts())).text
    assert f"commit {'c0ffee00' * 5}-dirty, digest c0dec0dec0dec0de" in text
    assert "python 3.10.13, tfx 1.16.0" in text
    command = "ranklite run --config run.yaml --data FOLDER"
    assert f"{command} --span 2026-11-22  makes the same model." in text
    assert f"{command}  makes" in Page(page.render(facts(ingest=None, commit=None))).text


def settings_trials(**changes: Any) -> dict[str, Any]:
    """`trials.json` of a search for settings."""
    trials = [
        {"settings": {"training.ridge": 5.0}, "state": "finished", "figures": {"auc": 0.7}},
        {"settings": {"training.ridge": 9.5}, "state": "finished", "figures": {"auc": 0.7345}},
        {"settings": {"training.ridge": 0.5}, "state": "pruned", "figures": {}},
        {"settings": {"training.ridge": 70.0}, "state": "failed", "figures": {}, "error": EVIL},
    ]
    return {
        "trials": [{"error": "", "seconds": 1.25, **trial} for trial in trials],
        **{"best": 1, "chosen": 1, "gain": 0.0345, "noise": 0.0123},
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "with a standard error of 0.0123: the best is taken"),
        ({"chosen": 0}, "0.0123: within noise, so that the configured settings stay"),
        ({"best": 0, "chosen": 0}, "AUC 0.7000 the best, of the configured settings, which stay"),
        ({"gain": None}, "0.7345 the best, which is taken; the configured settings did not train"),
    ],
)
def test_a_search_for_settings_is_on_the_page(changes: dict[str, Any], sentence: str) -> None:
    tuned = {"tuned": {"model": {"hidden_units": [8]}, "training": {"ridge": 9.5}}}
    given = settings_trials(**changes)
    page_text = page.render(facts(settings_trials=given, warm={"auc": 0.7, **tuned}))
    text = Page(page_text).text
    assert "4 trials (1 pruned, 1 failed), validation AUC 0.7" in text
    assert sentence in text
    assert "training.ridge 70.0" in text
    assert EVIL not in page_text
    assert "model: {hidden_units: [8]}" in text
    assert "training: {ridge: 9.5}" in text
    assert "Search for settings" not in page.render(facts())


def test_a_run_that_searched_says_how_to_repeat_it() -> None:
    config = {**facts().config, "tune": {"minutes": 5}}
    text = Page(page.render(facts(config=config))).text
    assert "as long as its search for settings chooses the same" in text
    assert "search for settings" not in Page(page.render(facts())).text


@pytest.mark.parametrize(
    ("warm", "expected"),
    [
        ({"warm_started": 0.0}, "makes the same model, as long as nothing was pushed before"),
        (
            {"warm_started": 1.0, "parent": {"folder": "Trainer/model/7", "sha256": "beef"}},
            "started from Trainer/model/7, whose model.h5 has the SHA-256 beef.",
        ),
    ],
)
def test_a_warm_start_is_not_repeated_from_nothing(warm: dict[str, Any], expected: str) -> None:
    text = Page(page.render(facts(warm=warm))).text
    assert expected in text
    assert ("makes the same model" in text) == (warm["warm_started"] == 0)


def test_a_refused_model_says_so_first() -> None:
    text = Page(page.render(facts(refused_by=["FileValidator"]))).text
    assert "refused by FileValidator" in text
    assert "Every gate passed" not in text


def test_without_a_report_on_the_log_there_are_no_files_to_show() -> None:
    text = Page(page.render(facts(ingest=None))).text
    assert "There is no report on the log" in text
    assert "25.0%" in text  # what the model knows of it is there


def test_a_log_without_users_has_no_words_on_gauc() -> None:
    given = facts()
    assert given.report is not None
    given.report["evidence"]["users"] = None
    given.report["warnings"] = []
    text = page.render(given)
    assert "GAUC is about" not in text
    assert 'class="warn"' not in text
    assert 'class="warn"' in page.render(facts())


def test_slices_come_by_what_they_lost() -> None:
    text = Page(page.render(facts())).text
    assert text.index("user = new") < text.index("user = seen") < text.index("user = none")
    assert "loses much" in text[text.index("user = new") : text.index("user = seen")]


def test_nothing_is_loaded_and_no_name_is_markup() -> None:
    read = Page(page.render(facts()))
    assert "script" not in read.tags
    outside = [load for load in read.loads if not load.startswith(("#", "data:"))]
    assert outside == []
    assert read.text.count(EVIL) == 5  # a gate's detail, a warning, an anomaly, a column, a file


def test_the_same_facts_make_the_same_page() -> None:
    assert page.render(facts()) == page.render(facts())


@needs_browser
@pytest.mark.parametrize("width", [1280, PHONE])
def test_a_browser_shows_it_without_complaint(tmp_path: pathlib.Path, width: int) -> None:
    path, shot = tmp_path / "report.html", tmp_path / "shot.png"
    path.write_text(page.render(facts()), encoding="utf-8")
    with opened(path.as_uri(), width=width) as visit:
        visit.page.screenshot(path=shot, full_page=True)
        # A phone scrolls the tables, not the page.
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.page.locator("figure svg").count() == 2
        assert all(box["width"] <= width for box in _boxes(visit.page, "figure svg"))
        assert visit.complaints == []
    assert shot.read_bytes().startswith(b"\x89PNG")


@needs_browser
def test_paper_shows_all_of_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "report.html"
    shown = page.render(facts())
    path.write_text(shown, encoding="utf-8")
    with opened(path.as_uri(), width=PAPER) as visit:
        assert visit.lost_on_paper() == []
        path.write_text(shown.replace("@media print", "@media none"), encoding="utf-8")
        visit.page.reload()
        lost = "\n".join(visit.lost_on_paper())
    for words in ("us/row, batch 512", "SHA-256", "hidden_units", "GATHER"):
        assert words in lost, words


def _boxes(shown: Any, selector: str) -> list[dict[str, float]]:
    return [result.bounding_box() for result in shown.locator(selector).all()]


@needs_browser
def test_the_browser_notices_what_is_wrong_with_a_page(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "report.html"
    broken = "<img src=x.png><img src=http://127.0.0.1:9/y.png><script>nothing()</script>"
    path.write_text(page.render(facts()) + broken, encoding="utf-8")
    with opened(path.as_uri()) as visit:
        visit.page.wait_for_load_state("networkidle")
        reported = "\n".join(visit.complaints)
    for words in ("x.png", "asks http://127.0.0.1:9/y.png", "nothing is not defined"):
        assert words in reported


@pytest.mark.parametrize("trainings", [{}, {"Quantizer": {}}])
def test_without_a_training_there_is_no_picture_of_one(trainings: dict[str, Any]) -> None:
    assert "Nothing was trained" in Page(page.render(facts(trainings=trainings))).text


def test_an_undecided_gate_is_told_with_its_interval() -> None:
    lost = {"name": "AUC lost to float", "value": 0.00071, "threshold": 0.0005, "detail": ""}
    lost |= {"at_least": False, "passed": True, "undecided": True, "key": "gates.max_auc_drop"}
    lost |= {"interval": [-0.0002, 0.0016]}
    given = facts()
    assert given.report is not None
    given.report["verdicts"] = [lost]
    text = Page(page.render(given)).text
    assert "No gate failed, 1 undecided." in text
    assert "AUC lost to float 0.00071 [-0.0002, 0.0016] <= 0.0005 undecided" in text
    given.report["verdicts"] = [lost | {"passed": False}]
    text = Page(page.render(dataclasses.replace(given, refused_by=["FileValidator"]))).text
    assert "Not to be pushed: refused by FileValidator. Undecided: AUC lost to float is" in text
    assert "undecided, REFUSED" in text


def test_tensorboard_gets_the_figures_the_text_and_the_settings(tmp_path: pathlib.Path) -> None:
    labels, scores = np.array([0, 1, 1]), np.array([0.1, 0.2, 0.9])
    rows = ScoredRows.of(labels, None, {"float": scores, "shipped": scores}, {}, {})
    given = facts()
    assert given.report is not None
    tensorboard.write(given.report, given.config, rows, str(tmp_path))
    events = EventAccumulator(str(tmp_path / "summary")).Reload()
    assert {"trial/auc", "trial/bytes", "run"} <= set(events.Tags()["tensors"])
    (shown,) = EventAccumulator(str(tmp_path / "summary")).Reload().Tensors("run")
    text = tf.make_ndarray(shown.tensor_proto).item().decode()
    assert "| AUC change from the blessed model | -0.0123 |  | >= -0.01 | FAILED |" in text
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")
    result = tensorboard.scalars(str(tmp_path))
    assert result["summary/trial/bytes"] == [(0, 123456.0)]
    assert not [tag for tag in result if tag.startswith("summary/") and "trial" not in tag]
    for stage in ("float", "shipped"):
        assert result[f"{stage}/roc_percent"] == [
            (0, 0.0),
            (50, pytest.approx(0.8)),
            (100, 1.0),
        ]
        shown = EventAccumulator(str(tmp_path / stage)).Reload()
        (curve,) = shown.Tensors("precision_recall/pr_curves")
        precision, recall = tf.make_ndarray(curve.tensor_proto)[4:]
        assert (precision[0], recall[0]) == pytest.approx((2 / 3, 1.0))  # at threshold 0
        at_half = len(precision) // 2
        assert (precision[at_half], recall[at_half]) == pytest.approx((1.0, 0.5))


def test_curves_are_read_from_both_kinds_of_events(tmp_path: pathlib.Path) -> None:
    with tf.summary.create_file_writer(str(tmp_path / "train")).as_default():
        tf.summary.scalar("epoch_loss", 0.5, step=1)
        tf.summary.text("said", "words", step=1)
    with tf.compat.v1.Graph().as_default():
        old = tf.compat.v1.summary.FileWriter(str(tmp_path / "old"))
        value = tf.compat.v1.Summary.Value(tag="loss", simple_value=0.25)
        old.add_summary(tf.compat.v1.Summary(value=[value]), 3)
        old.close()
    assert tensorboard.scalars(str(tmp_path)) == {
        "train/epoch_loss": [(1, 0.5)],
        "old/loss": [(3, 0.25)],
    }


def test_settings_are_flat() -> None:
    assert tensorboard.settings(facts().config) == {
        "recipe": "quantize",
        "model.embedding_dim": 8,
        "model.hidden_units": "64-32",
    }
