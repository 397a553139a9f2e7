"""Settings that follow the data, and what a person is told of them."""

from __future__ import annotations

import pathlib

import pytest
import tensorflow as tf

from ranklite.models.features.layout import FeatureLayout
from ranklite.models.reporting import training_words
from ranklite.models.training import rules
from ranklite.models.training.config import TrainingConfig

LAYOUT = FeatureLayout.build([("user", 1, 4), ("tags", 2, 3)])
USER, TAGS = LAYOUT.field("user"), LAYOUT.field("tags")


@pytest.fixture
def judged(tmp_path: pathlib.Path) -> list[str]:
    """Ten rows: two users of nine are new, one is missing; of three tags one is new."""
    known, new, missing = USER.offset + USER.rows - 1, USER.oov_row, USER.missing_row
    tag = TAGS.offset + TAGS.rows - 1
    users = [new, new, missing, *[known] * 7]
    tags = [[tag, TAGS.oov_row], [tag, 0], *[[0, 0]] * 8]
    path = str(tmp_path / "eval.gz")
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP")) as writer:
        for user, listed in zip(users, tags, strict=True):
            example = tf.train.Example()
            example.features.feature["ids"].int64_list.value.extend([user, *listed])
            example.features.feature["label"].float_list.value.append(1.0)
            writer.write(example.SerializeToString())
    return [path]


def test_shares_of_values_that_training_never_saw(judged: list[str]) -> None:
    shares = rules.unseen_shares(LAYOUT, judged)
    assert shares == {"user": pytest.approx(2 / 9), "tags": pytest.approx(1 / 3)}


def test_what_is_left_open_follows_the_data(judged: list[str]) -> None:
    made = rules.settled(TrainingConfig(), LAYOUT, 32_000, judged)
    assert made.batch_size == 512
    assert made.oov_rate == {"user": 0.222, "tags": rules.MOST_OOV}


def test_what_is_given_stays(judged: list[str]) -> None:
    given = TrainingConfig(batch_size=7, oov_rate=0.0, learning_rate=0.01)
    assert rules.settled(given, LAYOUT, 32_000, judged) is given
    one = rules.settled(TrainingConfig(oov_rate={"user": 0.5}), LAYOUT, 10**9, judged)
    assert one.batch_size == rules.MOST_BATCH
    assert one.oov_rate == {"user": 0.5}


def test_the_length_of_a_training_is_told() -> None:
    enough = {"steps": 1000, "epochs": 10, "still_improving": 0.0}
    assert training_words.warnings(enough, {}) == []
    assert training_words.warnings({}, {}) == []
    [few, rising] = training_words.warnings({"steps": 6, "epochs": 3, "still_improving": 1.0}, {})
    assert few.startswith("training took 6 steps in 3 epochs")
    assert "raise training.epochs" in rising


def test_what_the_data_chose_can_be_pasted() -> None:
    metrics = {"batch_size": 512, "oov_rate": {"user": 0.1}}
    text = training_words.chosen(metrics, {"training": {"batch_size": None}})
    assert text == "training: {batch_size: 512, oov_rate: {user: 0.1}}"
    assert training_words.chosen(metrics, {"training": metrics}) == ""


def test_the_rate_grows_with_the_batch_and_never_falls() -> None:
    rates = [rules.learning_rate(TrainingConfig(), rows) for rows in range(100, 600_000, 5_000)]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (0.001, 0.008)
    wide = TrainingConfig(batch_size=2048)
    assert rules.learning_rate(wide, 100) == 0.004
    assert rules.settled(wide.model_copy(update={"oov_rate": 0.0}), LAYOUT, 100, []) == (
        wide.model_copy(update={"oov_rate": 0.0, "learning_rate": 0.004})
    )
