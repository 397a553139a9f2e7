"""Settings of TensorFlow that every process needs, in one place."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras
from tensorflow.python.autograph.core import config as autograph
from tensorflow.python.autograph.core import config_lib


def configure() -> None:
    """Keeps autograph out of tf_keras, and grappler's remapper out; may be called again.

    Autograph exempts `keras` from its tracing but not `tf_keras`, which costs the first `fit` of a
    process more than ten seconds and changes nothing. The remapper cannot fuse the first hidden
    layer's sum of two products: it fails on every trace of it with an error on the terminal.
    """
    tf.config.optimizer.set_experimental_options({"remapping": False})
    rule = config_lib.DoNotConvert("tf_keras")
    if not any(str(known) == str(rule) for known in autograph.CONVERSION_RULES):
        autograph.CONVERSION_RULES = (rule, *autograph.CONVERSION_RULES)


def set_seeds(seed: int) -> None:
    """Seeds Python's, numpy's and TensorFlow's generators and makes TensorFlow's ops deterministic.

    Args:
      seed: The seed.
    """
    configure()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
