"""What a student learns from: its teachers' logits, their hidden layers, unlabelled pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf
import tf_keras as keras

from ranklite.models.architectures.family import last_hidden
from ranklite.models.training import data
from ranklite.models.training.ema import WeightAverage
from ranklite.models.training.negatives import Catalogue
from ranklite.models.training.task import Batch, RankingModel

if TYPE_CHECKING:
    from ranklite.models.compression.techniques.distill import Distillation, UnlabelledPairs

UNLABELLED = -1.0


class DistillationModel(RankingModel):
    r"""A student in a ranking task that also learns what its teachers say.

    With z the student's logit, t the mean of the teachers' logits, T the temperature, y the label
    and H the cross entropy, a labelled row costs

        h H(y, sigmoid(z)) + (1 - h) T^2 H(sigmoid(t / T), sigmoid(z / T))

    and an unlabelled one  T^2 H(sigmoid(t / T), sigmoid(z / T)).  With `hidden_weight` w, the last
    hidden layers are drawn together (Romero et al. 2015): plus  w |P a - b|^2 / |b|_0  with a the
    student's activations, b all teachers' and P a matrix that is learnt.

    Args:
      logits: The student.
      teachers: Models of the same inputs; they are not changed.
      config: h (`hard_weight`), T (`temperature`) and w (`hidden_weight`).
      average: Takes part in every step, where weights are averaged.
    """

    def __init__(
        self,
        logits: keras.Model,
        teachers: Sequence[keras.Model],
        config: Distillation,
        average: WeightAverage | None = None,
    ) -> None:
        super().__init__(logits, average)
        # Closures, since Keras would train whatever model is an attribute.
        self._teach = teaching(teachers, with_hidden=config.hidden_weight > 0)
        self._config = config
        self._hidden = None
        if config.hidden_weight:
            hidden = last_hidden(logits)
            width = sum(last_hidden(teacher).shape[1] for teacher in teachers)
            self._hidden = keras.Model(logits.inputs, [logits.output, hidden])
            self._project = keras.layers.Dense(width, use_bias=False)

    def compute_loss(self, inputs: Batch, training: bool = False) -> tf.Tensor:
        """The mean over the rows of the batch; `loss` shows the labelled rows' cross entropy."""
        features, labels = inputs
        taught, hidden_targets = self._teach(features)
        penalty = 0.0
        if self._hidden is None:
            logits = self(features, training=training)
        else:
            logits, hidden = self._hidden(features, training=training)
            distance = tf.reduce_mean(tf.square(self._project(hidden) - hidden_targets))
            penalty = self._config.hidden_weight * distance
        temperature, hard_weight = self._config.temperature, self._config.hard_weight
        soft = temperature**2 * tf.nn.sigmoid_cross_entropy_with_logits(
            tf.sigmoid(taught / temperature), logits / temperature
        )
        labelled = labels[:, 0] >= 0
        share = tf.where(labelled, 1 - hard_weight, 1.0)
        hard = self.task(
            labels=tf.boolean_mask(labels, labelled), predictions=tf.boolean_mask(logits, labelled)
        )
        total = hard_weight * tf.reduce_sum(hard) + tf.reduce_sum(share * soft[:, 0])
        return total / tf.cast(tf.shape(labels)[0], tf.float32) + penalty


def teaching(
    teachers: Sequence[keras.Model], with_hidden: bool
) -> Callable[[data.Features], tuple[tf.Tensor, tf.Tensor | None]]:
    """A function to the mean logit [B, 1] and the last hidden activations of some models."""
    probes = [
        keras.Model(t.inputs, [t.output, last_hidden(t)] if with_hidden else [t.output])
        for t in teachers
    ]

    def teach(features: data.Features) -> tuple[tf.Tensor, tf.Tensor | None]:
        outputs = [probe(features, training=False) for probe in probes]
        if not with_hidden:
            return tf.stop_gradient(tf.add_n(outputs) / len(outputs)), None
        logits, hidden = zip(*outputs, strict=True)
        return (
            tf.stop_gradient(tf.add_n(logits) / len(logits)),
            tf.stop_gradient(tf.concat(hidden, axis=1)),
        )

    return teach


def with_unlabelled(
    catalogue: Catalogue, pairs: UnlabelledPairs, first: data.Augment | None
) -> data.Augment:
    """Appends rows of the batch with another item, which only the teachers have an opinion on."""
    chances = catalogue.chances(pairs.by_popularity)
    per_row = pairs.per_row

    def augment(
        features: data.Features, label: tf.Tensor, seed: tf.Tensor
    ) -> tuple[data.Features, tf.Tensor]:
        if first is not None:
            features, label = first(features, label, seed)
        rows = tf.shape(label)[0]
        source = tf.range(tf.cast(tf.cast(rows, tf.float32) * per_row, tf.int32)) % rows
        copies = {name: tf.gather(value, source) for name, value in features.items()}
        everywhere = tf.ones_like(source, tf.bool)
        drawn = catalogue.redraw(copies, everywhere, chances, seed + 1, exclude_owned=False)
        unlabelled = tf.fill([tf.shape(source)[0], 1], UNLABELLED)
        return (
            {name: tf.concat([features[name], drawn[name]], axis=0) for name in features},
            tf.concat([label, unlabelled], axis=0),
        )

    return augment
