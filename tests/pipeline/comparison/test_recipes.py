"""The table and the plot over the trials of a search."""

from __future__ import annotations

import datetime
import json
import pathlib
import re
from typing import Any

import pytest

from ranklite.pipeline.comparison import recipes
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.local.runner import Outcome
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.store import Run, Stage


def trial(name: str, auc: float, size: int, **changes: Any) -> dict[str, Any]:
    figures = {
        "auc": auc,
        "log_loss": 0.5,
        "calibration": 1.0,
        "bytes": size,
        "gzip_bytes": size // 2,
        "latency_1_us": 3.0,
        "latency_512_us": 0.5,
    }
    steps = [{"technique": "quantize", "epochs": 0}]
    return {"name": name, "steps": steps, "figures": figures, "error": "", **changes}


TRIALS = {
    "chosen": "small",
    "miss": "",
    "front": ["large", "small"],
    "trials": [
        trial("small", 0.75, 50_000),
        trial("large", 0.80, 200_000),
        trial("beaten", 0.70, 60_000),
        trial("<b>", 0.0, 0, figures={}, error="blocks of 3 & 4 do not divide"),
    ],
}


def test_table_orders_by_auc_and_marks_front_and_choice() -> None:
    lines = recipes.render(TRIALS).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["large", "small", "beaten", "<b>"]
    assert lines[2].endswith("*")
    assert lines[3].endswith("* chosen")
    assert "50,000" in lines[3]
    assert lines[4].split()[-1] == "0.50"
    assert lines[6] == "<b>: blocks of 3 & 4 do not divide"


def test_a_miss_is_told() -> None:
    text = recipes.render({**TRIALS, "miss": "the nearest miss is 'small'"})
    assert "* nearest" in text
    assert text.endswith("the nearest miss is 'small'")


def test_page_stands_alone_and_escapes_what_it_shows(tmp_path: pathlib.Path) -> None:
    png, page = recipes.draw(TRIALS, str(tmp_path / "out"), title="a & b")
    assert pathlib.Path(png).read_bytes().startswith(b"\x89PNG")
    text = pathlib.Path(page).read_text(encoding="utf-8")
    assert "<h1>a &amp; b: recipes</h1>" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["compare.html", "compare.png"]


def test_a_run_without_a_search_is_told(tmp_path: pathlib.Path) -> None:
    config = load_config("configs/frappe.yaml")
    folders = Folders(str(tmp_path), config.name)
    run = Run(config.name, 1, datetime.datetime(2026, 11, 24), {})
    with pytest.raises(FileNotFoundError, match="has no finished search"):
        recipes.load_trials(Outcome(config, folders, run))
    (tmp_path / "trials.json").write_text(json.dumps(TRIALS))
    stage = Stage("BudgetSearch", "done", 1, {"trials": [str(tmp_path)]})
    run.stages["BudgetSearch"] = stage
    assert recipes.load_trials(Outcome(config, folders, run)) == TRIALS
