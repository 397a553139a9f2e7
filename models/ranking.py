"""The TensorFlow Recommenders task that a logit model is trained in."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from models.averaging import WeightAverage

Batch = tuple[dict[str, tf.Tensor], tf.Tensor]


class RankingModel(tfrs.Model):
    """A logit model in a `tfrs` ranking task, trained on the cross entropy

        L = 1/R sum_r -y_r log sigmoid(z_r) - (1 - y_r) log(1 - sigmoid(z_r))

    of a batch of R rows over all replicas. The penalty on embeddings is the optimizer's business
    (see `LazyAdam`), so `loss` is the log loss whatever the settings.

    Args:
      logits: From features to the logit z [B, 1].
      average: Takes part in every step, where weights are averaged.
    """

    def __init__(self, logits: keras.Model, average: WeightAverage | None = None) -> None:
        super().__init__()
        self.logits = logits
        self._average = average
        self.task = tfrs.tasks.Ranking(
            loss=keras.losses.BinaryCrossentropy(
                from_logits=True, reduction=keras.losses.Reduction.NONE
            ),
            metrics=[keras.metrics.BinaryCrossentropy("loss", from_logits=True)],
        )

    def call(self, features: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The logits [B, 1]."""
        return self.logits(features, training=training)

    def compute_loss(self, inputs: Batch, training: bool = False) -> tf.Tensor:
        """This replica's share of the loss: their sum over the replicas is L."""
        features, labels = inputs
        rows = self.task(labels=labels, predictions=self(features, training=training))
        return tf.reduce_mean(rows) / tf.distribute.get_strategy().num_replicas_in_sync

    def train_step(self, inputs: Batch) -> dict[str, tf.Tensor]:
        """One step; reports the mean loss of the epoch, where `tfrs` reports the last batch's."""
        if self._average is not None:
            self._average.before_step(inputs[0])
        super().train_step(inputs)
        return {metric.name: metric.result() for metric in self.metrics}
