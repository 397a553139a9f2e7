"""A user's history on a device, and a pushed file that reads it."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.export import tflite_convert as export
from ranklite.models.export import tflite_graph
from ranklite.models.export.target import SERVING_RAW
from ranklite.models.features.constants import STATE, PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.serving.prepared import PreparedItems
from ranklite.models.serving.scorer import Scorer
from ranklite.models.serving.state import EventState, History
from ranklite.models.serving.versions import write_version

FEATURES = FeatureSet.model_validate(
    {
        "user": "user",
        "item": "item",
        "features": [
            {"name": "item", "kind": "categorical", "dtype": "int64"},
            {"name": "tags", "kind": "multi_categorical", "max_length": 2, "separator": "|"},
            {"name": "seen", "kind": "history", "of": "item", "by": "user", "length": 3},
            {"name": "stats", "kind": "aggregate", "by": "item"},
            {
                "name": "taste",
                "kind": "aggregate",
                "by": ["user", "tags"],
                "stats": ["count"],
                "as_of": "second",
            },
        ],
    }
)
ABOUT = {
    "label": "label",
    "user": "user",
    "session_gap": 30.0,
    "means": {"label": 0.5},
    "numbers": [],
}
ITEMS = ["2", "1", "70000"]
EXTRA = ["5", "900"]  # items that came after the train split
COUNTS = [0.0, 0.0, 4.0, 1.0, 9.0, 7.0, 2.0]  # reserved rows, items, extra items
RATES = [0.5, 0.5, 0.25, 1.0, 0.75, 0.125, 0.375]
NAN = float("nan")


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    numbers = FEATURES.numeric_names
    layout = FeatureLayout.build(
        [("item", 1, 3), ("tags", 2, 2), ("seen", 3, 0)], numbers, FEATURES.list_fields
    )
    config = DeepFMConfig(embedding_dim=4, hidden_units=(8,), embedding_stddev=0.5)
    checkpoint = Checkpoint(build_deepfm(layout, config), layout, config)
    state = {
        "extra": EXTRA,
        "values": {"stats_count": [0.0, NAN, *COUNTS[2:]], "stats_rate": [0.5, NAN, *RATES[2:]]},
    }
    constants = PreprocessingConstants(
        {"item": ITEMS, "tags": ["a", "b"]},
        dict.fromkeys(numbers, 0.5),
        dict.fromkeys(numbers, 2.0),
        {},
        {"stats": {STATE: state}},
    )
    content = export.to_tflite(checkpoint, RawFeatures(FEATURES, constants, layout))
    metadata = {"features": [c.entry() for c in FEATURES.raw_columns], "past": ABOUT}
    folder = tmp_path_factory.mktemp("pushed")
    return Scorer(write_version(str(folder), {"model.tflite": content}, {"model": metadata}))


def events(history: EventState) -> None:
    """Two sessions: three events, then one an hour later."""
    for time, item, outcome in ((0, 1, 1), (10, 2, 0), (10, 5, 1), (4000, 70000, 0)):
        history.add({"item": item, "tags": "a"}, 1e9 + time, outcome)


def test_a_history_by_hand(scorer: Scorer) -> None:
    history = scorer.history()
    assert history.values({"tags": "a|b"}, 1e9) == {
        "seen": [],
        "seen_outcome": [],
        "taste_count": 0.0,
    }
    events(history)
    # The session that began at 4000 goes on: it sees what was before.
    assert history.shared(1e9 + 4100) == {"seen": [5, 2, 1], "seen_outcome": [1.0, 0.0, 1.0]}
    # Half an hour and a second later another begins.
    assert history.shared(1e9 + 4000 + 1801)["seen"] == [70000, 5, 2]
    # Seconds do not wait for a session; events of the same second are not seen.
    assert history.values({"tags": "a"}, 1e9 + 4100)["taste_count"] == 4
    assert history.values({"tags": "a"}, 1e9 + 10.9)["taste_count"] == 1
    assert history.values({"tags": "b"}, 1e9 + 4100)["taste_count"] == 0
    assert history.values({"tags": ""}, 1e9 + 4100)["taste_count"] is None


def test_a_bounded_history_goes_on_counting(scorer: Scorer) -> None:
    history = History(scorer.metadata, limit=5)
    for k in range(20):
        history.add({"item": k, "tags": "a"}, 1e9 + 4000 * k, k % 2)
    values = history.values({"tags": "a"}, 1e9 + 4000 * 20)
    assert values["taste_count"] == 20
    assert values["seen"] == [19, 18, 17]


def test_events_out_of_order_are_refused(scorer: Scorer) -> None:
    history = scorer.history()
    history.add({"item": 1, "tags": "a"}, 20.0, 1)
    with pytest.raises(ValueError, match="add events in the order of their times"):
        history.add({"item": 1, "tags": "a"}, 19.0, 1)


def test_the_file_stores_what_is_not_sent(scorer: Scorer) -> None:
    """An item's statistics are those of the table, also of an item without an embedding."""
    for item, place in (("2", 2), ("1", 3), ("70000", 4), ("5", 5), ("900", 6), ("42", 0)):
        row: dict[str, Any] = {"item": int(item), "tags": "a"}
        sent = {"stats_count": COUNTS[place], "stats_rate": RATES[place]}
        stored, fresh = scorer.score([row]), scorer.score([{**row, **sent}])
        np.testing.assert_allclose(stored, fresh, atol=2e-3)  # 256 steps
        other = scorer.score([{**row, "stats_count": 1000.0}])
        assert abs(other - stored) > 1e-3


def test_the_best_candidates_of_a_history(scorer: Scorer) -> None:
    history = scorer.history()
    events(history)
    time = 1e9 + 4100
    candidates = [{"item": item, "tags": tags} for item in (1, 2, 5, 42) for tags in ("a", "b|a")]
    best = scorer.top_k({}, candidates, 3, history=history, time=time)
    rows = [{**row, **history.values(row, time)} for row in candidates]
    scores = scorer.score(rows)
    assert best == [
        (int(k), pytest.approx(float(scores[k]))) for k in np.argsort(-scores, kind="stable")[:3]
    ]
    nobody = scorer.score([{**row, **scorer.history().values(row, time)} for row in candidates])
    assert np.abs(nobody - scores).max() > 1e-4  # the history matters
    assert scorer.top_k({}, [], 3, history=history, time=time) == []


def test_a_model_without_a_past_says_so() -> None:
    with pytest.raises(ValueError, match="reads nothing of the past"):
        History({"features": []})


def test_neither_tensorflow_nor_tfx_is_loaded() -> None:
    code = (
        "import sys, ranklite; ranklite.History; "
        "assert not {'tensorflow', 'tfx', 'duckdb', 'pydantic'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_example_of_the_package(tmp_path: pathlib.Path, scorer: Scorer) -> None:
    """`ranklite.History` reads a version's `model.json` alone."""
    import json

    import ranklite

    with open(pathlib.Path(scorer.path, "model.json"), encoding="utf-8") as file:
        history = ranklite.History(json.load(file))
    events(history)
    assert history.shared(1e9 + 9000)["seen"] == [70000, 5, 2]


def test_a_user_is_looked_up_once_for_many_candidates(scorer: Scorer) -> None:
    """More than a batch of candidates: one row of the history goes with each batch."""
    history = scorer.history()
    events(history)
    time = 1e9 + 4100
    candidates = [{"item": k % 90, "tags": "ab"[k % 2]} for k in range(1100)]
    best = scorer.top_k({}, candidates, 1100, history=history, time=time)
    scores = scorer.score([{**row, **history.values(row, time)} for row in candidates])
    ranked = np.array([score for _, score in sorted(best)])
    np.testing.assert_array_equal(ranked, scores)


def test_lists_of_the_user_are_those_that_only_he_keys() -> None:
    assert {name: field.of_user for name, field in FEATURES.list_fields.items()} == {
        "tags": False,
        "seen": True,
    }
    assert [f.name for f in FEATURES.features if FEATURES.is_shared(f)] == ["seen"]
    near = {"name": "near", "kind": "history", "of": "item", "by": "hour", "as_of": "second"}
    others = {**FEATURES.model_dump(), "features": [*FEATURES.model_dump()["features"], near]}
    others["features"].append({"name": "hour", "kind": "categorical"})
    by_hour = FeatureSet.model_validate(others)
    assert [f.name for f in by_hour.id_features][-2:] == ["near", "seen"]
    assert not by_hour.list_fields["near"].of_user


def looked_up_again(scorer: Scorer, prepared: PreparedItems) -> list[str]:
    """Operators by which the second half looks something up: a state that is stored, too."""
    (halves,) = scorer._model._halves.values()  # type: ignore[attr-defined]
    assert set(prepared.parts or ()) <= halves.cut.between.keys()
    graph = tflite_graph.read(scorer._model.content).graphs[SERVING_RAW]
    names = [graph.operators[place].name for place in halves.cut.second]
    return [name for name in names if name in ("GATHER", "FLOOR_MOD")]


def test_prepared_candidates_are_ranked_with_a_history(scorer: Scorer) -> None:
    history = scorer.history()
    events(history)
    time = 1e9 + 4100
    candidates = [{"item": k % 4, "tags": ["a", "b"][: k % 3]} for k in range(40)]
    columns = {name: [row[name] for row in candidates] for name in ("item", "tags")}
    expected = scorer.top_k({}, candidates, 12, history=history, time=time)
    assert expected != scorer.top_k({}, candidates, 12, time=time)
    for items in (candidates, columns):
        prepared = scorer.prepare(items)
        assert prepared.parts
        assert not looked_up_again(scorer, prepared)
        assert scorer.top_k({}, prepared, 12, history=history, time=time) == expected
        assert scorer.top_k({}, prepared, 12) == scorer.top_k({}, candidates, 12)
        sent = {"stats_count": 3.0, "seen": [1, 2], "seen_outcome": [1.0, 0.0]}
        assert scorer.top_k(sent, prepared, 12) == scorer.top_k(sent, candidates, 12)
        assert scorer.top_k(sent, prepared, 12) != scorer.top_k({}, prepared, 12)
    assert [sorted(key) for key in prepared.keys[:2]] == [["tags"], ["tags"]]
    stored = {"item": [1, 2, 5], "tags": [[], [], []], "stats_count": [None, 4.0, None]}
    rows = [dict(zip(stored, row, strict=True)) for row in zip(*stored.values(), strict=True)]
    for user in ({}, sent):
        assert scorer.top_k(user, scorer.prepare(stored), 3) == scorer.top_k(user, rows, 3)
