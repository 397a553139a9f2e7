"""Settings of TensorFlow that every process needs, in one place."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras
from tensorflow.python.autograph.core import config as autograph
from tensorflow.python.autograph.core import config_lib

# What AutoGraph is kept out of: it rewrites functions whose Python depends on tensors, and these
# have none. For each it reads, analyzes and compiles the source.
_AS_WRITTEN = ("tf_keras", "tensorflow_model_optimization", "ranklite")


def configure() -> None:
    """Keeps AutoGraph out of layers, and grappler's remapper out; may be called again.

    Layers that draw numbers get a generator, whose state a training can keep and take up again:
    that of Keras's other kind lives in a kernel, out of reach.

    AutoGraph exempts `keras` from its tracing but not `tf_keras`, which costs the first `fit` of a
    process more than ten seconds and changes nothing; of a process that loads a quantized model it
    takes half of the time. The remapper cannot fuse the first hidden layer's sum of two products:
    it fails on every trace of it with an error on the terminal.
    """
    tf.config.optimizer.set_experimental_options({"remapping": False})
    keras.backend.experimental.enable_tf_random_generator()
    known = {str(rule) for rule in autograph.CONVERSION_RULES}
    rules = [config_lib.DoNotConvert(module) for module in _AS_WRITTEN]
    new = [rule for rule in rules if str(rule) not in known]
    autograph.CONVERSION_RULES = (*new, *autograph.CONVERSION_RULES)


def set_seeds(seed: int) -> None:
    """Seeds Python's, numpy's and TensorFlow's generators and makes TensorFlow's ops deterministic.

    Args:
      seed: The seed.
    """
    configure()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
