"""Exponential moving average of the weights, at the cost of the batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ranklite.models.features.layout import IDS


class WeightAverage:
    r"""Averages all weights of a model over its steps (Polyak & Juditsky 1992), batch norm's too.

        a_t = d_t a_{t-1} + (1 - d_t) w_t,     d_t = min(decay, (1 + t) / (10 + t))

    A row of a table that no batch looks up keeps its w, so its average after steps s+1 ... t is
    w + (a_s - w) d_{s+1} ... d_t:  a row is brought up to date only when it is about to change, and
    all rows when the average is read. A step then costs what the batch costs.

    Args:
      model: The model that trains.
      decay: In (0, 1); 1 / (1 - decay) is about the number of steps averaged over.
      table_rows: Rows of the tables that the batch's `ids` index. Others, which a rule between ids
        and rows indexes, are averaged whole.
    """

    def __init__(self, model: keras.Model, decay: float, table_rows: int) -> None:
        tables = {
            id(layer.embeddings)
            for layer in model.layers
            if isinstance(layer, keras.layers.Embedding) and _reads_ids(layer)
        }
        self._decay = decay
        self._weights = list(model.weights)
        self._is_table = [id(weight) in tables for weight in self._weights]
        self._averages = [tf.Variable(weight, trainable=False) for weight in self._weights]
        self._step = tf.Variable(0.0, trainable=False)
        # log(d_1 ... d_t) now, and when the rows and the other weights were last brought up to it.
        self._now = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self._rows_at = tf.Variable(tf.zeros([table_rows], tf.float64), trainable=False)
        self._others_at = tf.Variable(0.0, trainable=False, dtype=tf.float64)

    def before_step(self, features: dict[str, tf.Tensor]) -> None:
        """Brings up to date what the next step may change; to be called right before it."""
        rows, _ = tf.unique(tf.reshape(features[IDS], [-1]))
        kept = _share(self._now - tf.gather(self._rows_at, rows))[:, None]
        kept_others = _share(self._now - self._others_at)
        for weight, average, is_table in zip(
            self._weights, self._averages, self._is_table, strict=True
        ):
            if is_table:
                current = tf.gather(weight, rows)
                new = current + (tf.gather(average, rows) - current) * kept
                average.scatter_update(tf.IndexedSlices(new, rows))
            else:
                average.assign(weight + (average - weight) * tf.cast(kept_others, weight.dtype))
        self._rows_at.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), self._now), rows))
        self._others_at.assign(self._now)
        self._step.assign_add(1.0)
        rate = tf.minimum(self._decay, (1 + self._step) / (10 + self._step))
        self._now.assign_add(tf.math.log(tf.cast(rate, tf.float64)))

    @property
    def variables(self) -> list[tf.Variable]:
        """All that a step changes here."""
        return [*self._averages, self._step, self._now, self._rows_at, self._others_at]

    def weights(self) -> list[npt.NDArray[np.float32]]:
        """The averages after the last step, in the order of the model's weights."""
        kept = _share(self._now - self._rows_at).numpy()[:, None]
        kept_others = float(_share(self._now - self._others_at))
        return [
            weight.numpy()
            + (average.numpy() - weight.numpy()) * (kept if is_table else kept_others)
            for weight, average, is_table in zip(
                self._weights, self._averages, self._is_table, strict=True
            )
        ]


def _reads_ids(layer: keras.layers.Layer) -> bool:
    """Whether a table is indexed by the model's own input."""
    return isinstance(layer.inbound_nodes[0].inbound_layers, keras.layers.InputLayer)


def _share(log: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.exp(log), tf.float32)
