"""A second night that differs from the first: each stops at its place, and says by how much."""

from __future__ import annotations

import contextlib
import io
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.local.runner import outcome
from ranklite.pipeline.runs.folders import Folders

pytestmark = pytest.mark.e2e

ROWS = 3000
SETTINGS: dict[str, Any] = {
    "name": "night",
    "source": {"files": "clicks.csv"},
    "label": "click",
    "split": {"by": "hash", "eval": 0.15, "test": 0.2},
    "features": [
        {"name": "user", "kind": "categorical"},
        {"name": "item", "kind": "categorical", "dtype": "int64"},
    ],
    "user": "user",
    "model": {"embedding_dim": 8, "hidden_units": [16], "dropout": 0.0},
    "training": {"epochs": 6, "batch_size": 64, "learning_rate": 0.02},
    "compression": [{"technique": "quantize", "epochs": 1}],
}

# What a user would keep: a label, users of any name, items that are known.
SCHEMA = """
feature { name: "label" type: FLOAT }
feature { name: "user" type: BYTES }
feature { name: "item" type: INT int_domain { min: 0 max: 19 } }
"""


def clicks(seed: int) -> pd.DataFrame:
    """Users of whom some click more, and items of which some are clicked more."""
    random = np.random.default_rng(seed)
    user, item = random.integers(0, 40, ROWS), random.integers(0, 20, ROWS)
    logit = 0.8 * (item % 8 - 3.5) + 0.5 * (user % 5 - 2)
    click = random.random(ROWS) < 1 / (1 + np.exp(-logit))
    return pd.DataFrame({"user": user, "item": item, "click": click.astype(int)})


class Night:
    """A pipeline, and the log that it reads tonight."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.log = folder / "data" / "clicks.csv"
        self.log.parent.mkdir()
        self.first = clicks(seed=1)

    def run(self, log: pd.DataFrame, **settings: Any) -> tuple[int, str]:
        """A run on a log: exit code, and all that it printed."""
        log.to_csv(self.log, index=False)
        config = self.folder / "night.yaml"
        config.write_text(yaml.safe_dump({**SETTINGS, **settings}), encoding="utf-8")
        out, err = io.StringIO(), io.StringIO()
        arguments = ["--config", str(config), "--data", str(self.log.parent)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["run", *arguments, "--runs", str(self.folder / "runs"), "-j", "0"])
        return code, out.getvalue() + err.getvalue()

    def verdicts(self) -> dict[str, dict[str, Any]]:
        """Those of the newest run, by the end of their key."""
        config = load_config(str(self.folder / "night.yaml"))
        run = outcome(config, Folders(str(self.folder / "runs"), "night")).run
        pushed = run.document("Pusher", "pushed_model", "pushed.json")
        return {verdict["key"].removeprefix("gates."): verdict for verdict in pushed["verdicts"]}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    made = Night(tmp_path_factory.mktemp("night"))
    code, printed = made.run(made.first)
    assert code == 0, printed
    return made


def renumbered(log: pd.DataFrame) -> pd.DataFrame:
    return log.assign(user=log.user.map("u{}".format), item=log.item + 1000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda log: log.drop(columns="item"),
            ["LogExampleGen failed: the log has no column 'item'; it has user, click"],
        ),
        (
            lambda log: log.assign(item=log.item.map("i{}".format)),
            ["LogExampleGen failed: 3000 of 3000 rows", "item", "rejects"],
        ),
        (
            renumbered,
            [
                "ValidationGate failed:",
                "train: user: Values replaced",
                "train: item: Values replaced",
                "0.0% is left",
                "validation.min_overlap",
            ],
        ),
        (
            lambda log: log.assign(item=3),
            [
                "ValidationGate failed:",
                "train: item: High Linfty distance",
                "is: 3; last accepted: 20 values, '3' in ",
                "; now: 1 value, '3' in 100.0%",
            ],
        ),
        (lambda log: log.assign(click=1), ["LogExampleGen failed: all", "have label 1"]),
        (lambda log: log.head(0), ["LogExampleGen failed: the log has no rows"]),
        (lambda log: log.assign(user=np.nan), ["user: Missing values: missing in 100.0%"]),
        (
            lambda log: log.assign(user=log.user.where(log.index % 2 == 0)),
            [
                "train: user: Values went missing: its share of missing values rose by 0.",
                "; last accepted: 40 values, '",
                "validation.drift",
            ],
        ),
        (
            lambda log: log.assign(click=np.where(log.index % 20 > 0, 1, log.click)),
            [
                "train: label: Label rate changed: the odds of label 1 rose ",
                "; last accepted: 0 to 1, mean 0.",
                "validation.max_label_odds",
            ],
        ),
    ],
    ids=[
        *("column gone", "type changed", "ids replaced", "one value", "label", "empty", "missing"),
        *("some missing", "label rate"),
    ],
)
@pytest.mark.fault("a second night differs", "stopped at its place, with feature and values")
def test_a_night_that_differs_stops_before_training(
    night: Night, change: Callable[[pd.DataFrame], pd.DataFrame], words: list[str]
) -> None:
    code, printed = night.run(change(clicks(seed=2)))
    assert code == 1, printed
    for each in words:
        assert each in printed
    assert "Trainer" not in printed
    assert "Traceback" not in printed


@pytest.mark.fault("a schema contradicts a second night", "stopped before training")
def test_a_schema_that_contradicts_stops_before_training(night: Night) -> None:
    path = night.folder / "schema.pbtxt"
    path.write_text(SCHEMA)
    code, printed = night.run(clicks(seed=2).assign(item=77), schema_file=str(path))
    assert code == 1, printed
    assert "ValidationGate failed:" in printed
    assert "train: item: Out-of-range values: " in printed
    assert "last accepted: 20 values" in printed
    assert "another schema in `schema_file`" in printed
    assert "Trainer" not in printed


@pytest.mark.fault("a second night has shuffled labels", "not pushed")
def test_shuffled_labels_are_not_pushed_behind_a_good_night(night: Night) -> None:
    log = clicks(seed=3)
    log["click"] = np.random.default_rng(0).permutation(log.click.to_numpy())
    code, printed = night.run(log)
    assert code == 2, printed
    fall = night.verdicts()["max_auc_fall"]
    assert not fall["passed"]
    assert fall["value"] > 0.15
    assert "it was 0." in fall["detail"]
    assert "not pushed   refused by FileValidator" in printed
    assert "AUC lost since the last push" in printed


def test_a_feature_that_came_does_not_end_the_comparison(night: Night) -> None:
    log = clicks(seed=4).assign(hour=lambda log: log.index % 24)
    features = [*SETTINGS["features"], {"name": "hour", "kind": "categorical", "dtype": "int64"}]
    code, printed = night.run(log, features=features)
    assert code == 0, printed
    assert "max_auc_drop_from_blessed" in night.verdicts()
    assert "its inputs differ from the last version's: 'hour' is new" in printed
    assert "were not compared" not in printed


def test_one_that_went_is_told(night: Night) -> None:
    log = clicks(seed=5)
    code, printed = night.run(log)  # without the hour again
    assert code == 0, printed
    assert "max_auc_drop_from_blessed" in night.verdicts(), "the first night reads the same"
    assert "'hour' is gone" in printed
