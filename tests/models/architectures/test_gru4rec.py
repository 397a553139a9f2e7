"""GRU4Rec against its definition, on the features it is given, and on sessions with a rule."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tf_keras as keras

from ranklite.models.architectures import family
from ranklite.models.architectures.gru4rec import GRU4RecSettings, build_gru4rec, sequence_of
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.evaluation.metrics import auc
from ranklite.models.features.layout import FeatureLayout, ListField
from ranklite.models.training import fit as training
from ranklite.models.training.config import RedrawnNegatives, TrainingConfig

Array = npt.NDArray[Any]

DIM, LENGTH = 3, 2
LAYOUT = FeatureLayout.build(
    [("hour", 1, 3), ("item", 1, 4), ("recent", LENGTH, 0)],
    ["x"],
    {"recent": ListField("item", 1, "pool")},  # goes through the GRU all the same
)
HOUR, ITEM = LAYOUT.field("hour"), LAYOUT.field("item")
# Rows with two events, one event, and none; numeric is the number and the weights of the events.
ROWS = {
    "ids": np.array(
        [
            [HOUR.offset, ITEM.offset + 2, ITEM.offset + 3, ITEM.offset + 4],
            [HOUR.offset + 2, ITEM.offset + 5, ITEM.offset + 2, 0],
            [HOUR.offset + 1, ITEM.offset + 3, 0, 0],
        ]
    ),
    "numeric": np.array([[0.3, 0.5, 0.5], [-1.0, 1.0, 0.0], [2.0, 0.0, 0.0]], np.float32),
}


def settings(**changes: Any) -> GRU4RecSettings:
    sizes = {"embedding_dim": DIM, "hidden_units": (5,), "dropout": 0.0, "batch_norm": False}
    return GRU4RecSettings.model_validate({**sizes, **changes})


def randomized(layout: FeatureLayout = LAYOUT) -> keras.Model:
    model, random = build_gru4rec(layout, settings()), np.random.default_rng(0)
    model.set_weights([random.uniform(-1, 1, w.shape) for w in model.get_weights()])
    return model


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def state(model: keras.Model, events: Array) -> Array:
    """The state of the GRU after some embeddings, the oldest first."""
    kernel, outcome, gates, candidate, bias = model.get_layer("embedding_recent_gru").get_weights()
    s = np.zeros(DIM)
    for x in events:
        from_x = x @ kernel + outcome[0] + bias
        z, r = np.split(sigmoid(from_x[: 2 * DIM] + s @ gates), 2)
        s = (1 - z) * s + z * np.tanh(from_x[2 * DIM :] + (r * s) @ candidate)
    return s


def test_logit_is_that_of_the_definition() -> None:
    model = randomized()
    (table,), (linear,) = (model.get_layer(name).get_weights() for name in ("embedding", "linear"))
    kernel, bias = model.get_layer("tower_0").get_weights()
    (by_number,) = model.get_layer("tower_0_numeric").get_weights()
    to_session, session_bias = model.get_layer("session").get_weights()
    to_shift, shift = model.get_layer("tower_out").get_weights()
    expected = []
    for ids, numbers in zip(ROWS["ids"], ROWS["numeric"], strict=True):
        hour, item, *recent = ids
        s = state(model, table[[event for event in recent[::-1] if event]])
        read = np.concatenate([table[hour], s])  # the fields in order, the state last
        h = np.maximum(read @ kernel + numbers[:1] @ by_number + bias, 0)
        match = (h @ to_session + session_bias) @ table[item]
        expected.append(match + linear[item, 0] + (h @ to_shift + shift)[0])
    np.testing.assert_allclose(model(ROWS)[:, 0], expected, rtol=1e-5)
    assert np.ptp(expected) > 0.5


def test_a_session_has_one_vector_for_all_candidates() -> None:
    model = randomized()
    session = keras.Model(model.input, model.get_layer("session").output)
    others = {**ROWS, "ids": ROWS["ids"].copy()}
    others["ids"][:, ITEM.start] = ITEM.offset
    np.testing.assert_array_equal(session(ROWS), session(others))
    assert np.abs(model(ROWS) - model(others)).min() > 1e-3


def test_a_list_without_weights_has_events_where_it_has_ids() -> None:
    """As a log's own column of earlier clicks has them."""
    plain = FeatureLayout.build(
        [("hour", 1, 3), ("item", 1, 4), ("recent", LENGTH, 0)],
        ["x"],
        {"recent": ListField("item")},
    )
    with_weights = randomized()
    model = build_gru4rec(plain, settings())
    model.set_weights(with_weights.get_weights())
    rows = {**ROWS, "numeric": ROWS["numeric"][:, :1]}
    np.testing.assert_allclose(model(rows), with_weights(ROWS), rtol=1e-6)


def layout(**lists: ListField) -> FeatureLayout:
    sizes = [("item", 1, 4), ("shop", 1, 2), *((name, 3, 0) for name in lists)]
    return FeatureLayout.build(sizes, [], lists)


def test_the_list_of_events_is_the_one_that_shares_rows() -> None:
    tags = ListField()
    assert sequence_of(layout(tags=tags, recent=ListField("item", 1))).name == "recent"
    two = layout(shops=ListField("shop", 1), recent=ListField("item", 1, "gru"), tags=tags)
    assert sequence_of(two).name == "recent"
    parts = family.parts(two, settings())
    assert parts.kernels["tower_0"] == (4 * DIM, 5)  # shop, shops, tags and the state
    assert build_gru4rec(two, settings()).get_layer("tower_0").kernel.shape == (4 * DIM, 5)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            {"tags": ListField()},
            r"no feature lists them: add one .* id features are item, shop, tag",
        ),
        (
            {"a": ListField("item", 1), "b": ListField("shop", 1, "attention")},
            "reads one list of events, and 2 might be meant: a, b; give one of them `encoder: gru`",
        ),
        (
            {"a": ListField("item", 1, "gru"), "b": ListField("item", 1, "gru"), "c": ListField()},
            "2 might be meant: a, b",
        ),
    ],
)
def test_what_is_refused(lists: dict[str, ListField], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        family.parts(layout(**lists), settings())
    with pytest.raises(ValueError, match=message):
        family.build(layout(**lists), settings())


ITEMS, EVENTS, NEGATIVES = 60, 5, 4


def sessions(seed: int, count: int) -> list[list[int]]:
    """Sessions in which the next item follows from the last one, three times of four."""
    random = np.random.default_rng(seed)
    follows = np.random.default_rng(99).permutation(ITEMS)
    popularity = 1 / np.arange(1, ITEMS + 1)
    popularity /= popularity.sum()
    made = []
    for _ in range(count):
        session = [random.choice(ITEMS, p=popularity)]
        while len(session) < random.integers(3, 9):
            jumps = random.random() < 0.25
            session.append(random.choice(ITEMS, p=popularity) if jumps else follows[session[-1]])
        made.append([int(item) for item in session])
    return made


def test_it_needs_its_tower() -> None:
    with pytest.raises(ValueError, match=r"hidden_units \[\] with family gru4rec, whose logit is"):
        GRU4RecSettings(hidden_units=())
    with pytest.raises(ValueError, match="without them there are deepfm and dcn_v2"):
        parse_settings({"family": "gru4rec", "hidden_units": []})


@pytest.mark.slow
def test_it_learns_what_follows(tmp_path: pathlib.Path, write_examples: Any) -> None:
    """Where the order of events decides, popularity is of little use."""
    chain = FeatureLayout.build(
        [("item", 1, ITEMS), ("recent", EVENTS, 0)], [], {"recent": ListField("item", 1, "gru")}
    )
    first = chain.field("item").offset + 2
    random = np.random.default_rng(5)

    def rows(made: list[list[int]]) -> dict[str, Array]:
        ids, weights, labels = [], [], []
        for session in made:
            for place in range(1, len(session)):
                recent = session[:place][::-1][:EVENTS]
                listed = np.zeros(EVENTS, np.int64)
                listed[: len(recent)] = np.add(recent, first)
                for k in range(1 + NEGATIVES):
                    item = random.integers(ITEMS) if k else session[place]
                    ids.append([first + item, *listed])
                    weights.append((listed > 0) / len(recent))
                    labels.append([k == 0])
        return {
            "ids": np.array(ids),
            "numeric": np.array(weights, np.float32),
            "label": np.array(labels, np.float32),
        }

    train, test = rows(sessions(1, 1500)), rows(sessions(2, 300))
    splits = [write_examples(tmp_path / f"{n}.gz", r) for n, r in (("a", train), ("b", test))]
    fitting = TrainingConfig(
        batch_size=256,
        epochs=6,
        learning_rate=0.01,
        negatives=RedrawnNegatives(user="session", item="item"),
    )
    chosen = settings(embedding_dim=16, hidden_units=(32,), embedding_stddev=0.1)
    model = training.build(chain, chosen, fitting)
    metrics = training.fit(model, chain, splits[:1], splits[1:], fitting)
    positive = train["label"][:, 0] > 0
    plays = np.bincount(train["ids"][positive, 0], minlength=chain.table_rows)
    popularity = auc(test["label"][:, 0], plays[test["ids"][:, 0]].astype(np.float64))
    assert metrics["auc"] > 0.85 > popularity + 0.1
    # Without the events it knows little more than popularity.
    nothing = {"ids": test["ids"].copy(), "numeric": 0 * test["numeric"], "label": test["label"]}
    nothing["ids"][:, 1:] = 0
    file = write_examples(tmp_path / "c.gz", nothing)
    assert training.evaluate(model, chain, [file])["auc"] < metrics["auc"] - 0.1
