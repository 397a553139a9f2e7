"""A log whose best AUC is known because the past decides: what the features of the past learn."""

from __future__ import annotations

import pathlib

import numpy as np
import pyarrow as pa
import pytest

from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.models.evaluation.metrics import auc
from ranklite.models.features.examples import raw_inputs, read_records
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.notebook.ranker import Ranker

pytestmark = pytest.mark.slow

ROWS, USERS, ITEMS = 6000, 300, 40
CHANCES = np.array([0.15, 0.85])  # of a positive, by the user's last outcome


def write_log(folder: pathlib.Path, seed: int = 0) -> dict[tuple[str, int], float]:
    """Each user's next label follows from his last one; returns the true chance of each row."""
    rng = np.random.default_rng(seed)
    last = rng.integers(0, 2, USERS)
    truth, lines = {}, ["user,item,ts,label"]
    for k in range(ROWS):
        user = int(rng.integers(0, USERS))
        chance = float(CHANCES[last[user]])
        label = int(rng.random() < chance)
        last[user] = label
        time = 1_700_000_000 + 60 * k
        lines.append(f"u{user},i{rng.integers(0, ITEMS)},{time},{label}")
        truth[f"u{user}", time] = chance
    folder.mkdir(parents=True)
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    return truth


def tables(folder: pathlib.Path, config: IngestConfig) -> dict[str, pa.Table]:
    """The splits as tables of raw columns, with user, time and label."""
    ingest(config, str(folder / "data"), str(folder / "rejects"), lambda s: str(folder / s))
    columns = [*config.features.raw_columns, RawColumn("timestamp", "int64")]
    columns += [RawColumn("user", "string"), RawColumn("label", "float32")]
    result = {}
    for split in config.split_names:
        records = read_records([str(path) for path in (folder / split).glob("*")])
        arrays = {}
        for column in columns:
            values = raw_inputs(records, [column])[column.name]
            present = ~np.isnan(values) if column.dtype == "float32" else values != column.missing
            if column.is_list:
                rows = [row[kept].tolist() for row, kept in zip(values, present, strict=True)]
            else:
                rows = [v if kept else None for v, kept in zip(values, present, strict=True)]
            arrays[column.name] = pa.array(rows, column.arrow_type())
        result[split] = pa.table(arrays)
    return result


def trained(folder: pathlib.Path, features: list[dict[str, object]]) -> tuple[float, float]:
    """AUC on the test split of a model with some features, and the best one that there is."""
    truth = write_log(folder / "data")
    config = IngestConfig.model_validate(
        {
            "source": {"files": "log.csv"},
            "label": "label",
            "timestamp": "ts",
            "split": {"by": "time", "eval": 0.15, "test": 0.25},
            "features": {
                "user": "user",
                "features": [{"name": "item", "kind": "categorical"}, *features],
            },
        }
    )
    made = tables(folder, config)
    ranker = Ranker.fit(
        made["train"],
        made["eval"],
        features=config.features,
        model={"embedding_dim": 4, "hidden_units": [16], "dropout": 0.0},
        training={"batch_size": 256, "epochs": 6, "learning_rate": 0.01},
    )
    test = made["test"]
    labels = test.column("label").to_numpy()
    rows = zip(test.column("user").to_pylist(), test.column("timestamp").to_pylist(), strict=True)
    best = auc(labels, np.array([truth[row] for row in rows]))
    return auc(labels, ranker.predict(test)), best


def test_a_history_learns_what_the_last_outcome_says(tmp_path: pathlib.Path) -> None:
    history = {"name": "recent", "kind": "history", "of": "item", "by": "user", "length": 5}
    live, best = trained(tmp_path / "live", [{**history, "as_of": "second"}])
    assert best > 0.8
    assert live > best - 0.02
    # A state of the day before knows the last outcome of few users.
    stale, _ = trained(tmp_path / "stale", [{**history, "as_of": "day"}])
    without, _ = trained(tmp_path / "ids", [])
    assert without < 0.56
    assert stale < live - 0.1
