"""Process-wide settings."""

from __future__ import annotations

import random

import numpy as np
import tensorflow as tf
from tensorflow.python.autograph.core import config as autograph
from tensorflow.python.autograph.core import config_lib

from ranklite.models.training import runtime


def test_autograph_leaves_keras_alone_and_is_told_once() -> None:
    runtime.configure()
    once = autograph.CONVERSION_RULES
    runtime.configure()
    assert once == autograph.CONVERSION_RULES
    action = next(
        rule.get_action(runtime.keras) for rule in once if rule.matches("tf_keras.src.engine")
    )
    assert action is config_lib.Action.DO_NOT_CONVERT


def test_one_seed_gives_the_same_numbers_everywhere() -> None:
    def draw(seed: int) -> list[float]:
        runtime.set_seeds(seed)
        return [random.random(), float(np.random.rand()), float(tf.random.uniform([]))]

    assert draw(1) == draw(1)
    assert all(a != b for a, b in zip(draw(1), draw(2), strict=True))
