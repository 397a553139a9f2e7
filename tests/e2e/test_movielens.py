"""A whole run on MovieLens, and its log replayed event by event."""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import pathlib
from typing import Any

import numpy as np
import pytest

from ranklite.components.log_example_gen.query_rows import query_rows
from ranklite.models.export.target import SERVING_RAW
from ranklite.models.features.examples import raw_inputs, read_records
from ranklite.models.serving.scorer import Scorer
from ranklite.models.serving.state import EventState, History
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.run_config import RunConfig, load_config

pytestmark = pytest.mark.e2e

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.skipif("RANKLITE_DATA" not in os.environ, reason="RANKLITE_DATA names no logs")
def test_movielens_from_its_own_configuration(tmp_path: pathlib.Path) -> None:
    data = pathlib.Path(os.environ["RANKLITE_DATA"]) / "movielens"
    if not data.is_dir():
        pytest.skip(f"{data} holds no MovieLens")
    config = str(ROOT / "configs/movielens.yaml")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(["run", "--config", config, "--data", str(data), "--runs", str(tmp_path)])
    assert code == 0, printed.getvalue()
    scorer = Scorer(str(tmp_path / "movielens" / "pushed"))
    movies = [
        {"movieId": 318, "genres": ["Crime", "Drama"], "year": 1994},
        {"movieId": 10**7, "genres": [], "year": None},
    ]
    best = scorer.top_k({"userId": 10**6}, movies, 2, history=scorer.history())
    assert best[0][0] == 0  # a loved film before one nobody knows
    assert 0 < best[1][1] < best[0][1] < 1
    report = json.loads((tmp_path / "movielens/pushed/1/report.json").read_text())
    assert report["stages"]["shipped"]["auc"] > 0.72
    assert report["states"]["user_at_request"]["auc"] > 0.8
    _replay(scorer, load_config(config), data, tmp_path / "movielens/artifacts", report)


def _replay(
    scorer: Scorer, config: RunConfig, data: pathlib.Path, artifacts: pathlib.Path, report: Any
) -> None:
    """The log replayed event by event gives every row of the test split the score it was judged by.

    What an app keeps of its user is `ranklite.History`; the state of the items is kept likewise.
    """
    columns = config.feature_set.raw_columns
    judged = read_records(
        sorted(str(f) for f in artifacts.glob("LogExampleGen/examples/*/Split-test/*"))
    )
    raw = raw_inputs(judged, columns)
    expected = scorer._model.score(raw, SERVING_RAW)
    pairs = zip(raw["userId"].tolist(), raw["movieId"].tolist(), strict=True)
    place = {pair: k for k, pair in enumerate(pairs)}
    with query_rows(config.ingest, str(data)) as file:
        rows = sorted((row for _, row in file.rows), key=lambda row: int(row["timestamp"]))
    items = EventState(scorer.metadata, of_user=False)
    histories: dict[int, History] = collections.defaultdict(scorer.history)
    told: dict[int, dict[str, Any]] = {}
    for row in rows:
        user, time = int(row["userId"]), float(row["timestamp"])
        own = {key: value for key, value in row.items() if key != "userId"}
        number = place.get((user, int(row["movieId"])))
        if number is not None:
            history = histories[user]
            past = {**history.values(own, time), **items.values(row, time)}
            told[number] = {**row, **past}
        label = float(float(row["rating"]) >= 4)
        histories[user].add(own, time, label)
        items.add(row, time, label)
    assert len(told) == report["rows"]
    scores = scorer.score([told[k] for k in range(len(told))])
    np.testing.assert_array_equal(scores, expected)
