"""The processes that train one model together, and what they agree on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf


class Place(NamedTuple):
    """Where a process stands among those of its training.

    Attributes:
      rank: Its number, from 0: that of the chief, which writes what was trained.
      of: How many there are; 1 without a cluster.
    """

    rank: int
    of: int


def place(strategy: tf.distribute.Strategy) -> Place:
    """Where this process stands, by the cluster that its strategy knows of."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec():
        return Place(0, 1)
    spec = resolver.cluster_spec().as_dict()
    tasks = [(kind, k) for kind in ("chief", "worker") for k in range(len(spec.get(kind, ())))]
    return Place(tasks.index((resolver.task_type, resolver.task_id)), len(tasks))


def gathered(strategy: tf.distribute.Strategy, numbers: Sequence[int]) -> list[list[int]]:
    """What each process has, the chief's first; all wait for each other.

    Args:
      strategy: That they train under.
      numbers: As many in each of them.
    """
    of = place(strategy).of
    own = [int(number) for number in numbers]
    if of == 1:
        return [own]
    made = _together(strategy)(tf.constant([own], tf.int64))
    of_devices: list[list[int]] = made.numpy().tolist()
    return of_devices[:: len(of_devices) // of]


@functools.cache
def _together(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    def gather(own: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        # Copied, so that it is on the device of this worker, as collectives want it.
        return context.all_gather(tf.identity(own), axis=0)

    def together(own: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(gather, args=(own,)))[0]

    return tf.function(together, reduce_retracing=True, autograph=False)
