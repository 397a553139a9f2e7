"""The TensorFlow Recommenders task that a logit model is trained in."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from ranklite.models.training import sharded
from ranklite.models.training.ema import WeightAverage

Batch = tuple[dict[str, tf.Tensor], tf.Tensor]


class RankingModel(tfrs.Model):
    """A logit model in a `tfrs` ranking task, trained on the cross entropy

        L = 1/R sum_r -y_r log sigmoid(z_r) - (1 - y_r) log(1 - sigmoid(z_r))

    of a batch of R rows over all replicas. The penalty on embeddings is the optimizer's business
    (see `LazyAdam`), so `loss` is the log loss whatever the settings.

    Args:
      logits: From features to the logit z [B, 1].
      average: Takes part in every step, where weights are averaged.

    Attributes:
      first_step: Which step of its first epoch `fit` begins with: not 0 where a training resumes.
    """

    def __init__(self, logits: keras.Model, average: WeightAverage | None = None) -> None:
        super().__init__()
        self.logits = logits
        self._average = average
        self.first_step = 0
        self._gradient_norm = keras.metrics.Mean("gradient_norm")
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

    # No layer of ours or of tfmot has Python's control flow over tensors: AutoGraph would rewrite
    # each of them for nothing, which takes half of what tracing a step does.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, inputs: Batch) -> dict[str, tf.Tensor]:
        """The step of `tfrs`, whose gradients stay out of reach there.

        Returns:
          Means over the epoch so far: `loss`, where `tfrs` reports the last batch's, and
          `gradient_norm`, over all weights and, of a table, over the rows as the batch looks them
          up: a row's gradients are summed only later, when it is updated.
        """
        if self._average is not None:
            self._average.before_step(inputs[0])
        with tf.GradientTape() as tape, sharded.watched(tape) as lookups:
            loss = self.compute_loss(inputs, training=True)
            loss += tf.reduce_sum([tf.reduce_sum(penalty) for penalty in self.losses])
            if scales := isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer):
                loss = self.optimizer.get_scaled_loss(loss)
        values = [lookup.values for lookup in lookups]
        of_weights, of_values = tape.gradient(loss, (self.trainable_variables, values))
        for lookup, gradient in zip(lookups, of_values, strict=True):
            sharded.update(lookup, gradient, self.optimizer)
        pairs = zip(of_weights, self.trainable_variables, strict=True)
        gradients, weights = zip(*(pair for pair in pairs if pair[0] is not None), strict=True)
        if scales:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        # Summed over the replicas here and not in the optimizer: the norm is that of the sum.
        gradients = tf.distribute.get_replica_context().all_reduce("SUM", list(gradients))
        self._gradient_norm.update_state(tf.linalg.global_norm(gradients))
        self.optimizer.apply_gradients(
            zip(gradients, weights, strict=True), experimental_aggregate_gradients=False
        )
        return {metric.name: metric.result() for metric in self.metrics}

    def _maybe_load_initial_counters_from_ckpt(
        self, steps_per_epoch: int, initial_epoch: int
    ) -> tuple[int, int]:
        """The epoch and the step that `fit` begins with: `fit` asks its model, but has no argument.

        Keras's own way here is for its `BackupAndRestore`, which knows neither of our order of rows
        nor of our callbacks.
        """
        return initial_epoch, self.first_step
