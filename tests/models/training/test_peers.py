"""Where a process stands among those of its training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from ranklite.models.training import peers


def strategy(spec: dict[str, Any] | None, task: tuple[Any, Any]) -> Any:
    if spec is None:
        return SimpleNamespace(cluster_resolver=None)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(spec), task_type=task[0], task_id=task[1]
    )
    return SimpleNamespace(cluster_resolver=resolver)


@pytest.mark.parametrize(
    ("spec", "task", "place"),
    [
        (None, (None, None), (0, 1)),
        ({}, (None, None), (0, 1)),
        ({"worker": ["a:1", "b:1", "c:1"]}, ("worker", 2), (2, 3)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("chief", 0), (0, 3)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("worker", 0), (1, 3)),
    ],
)
def test_the_chief_comes_first(spec: Any, task: Any, place: tuple[int, int]) -> None:
    assert peers.place(strategy(spec, task)) == place


def test_one_process_has_its_own_numbers_alone() -> None:
    assert peers.gathered(tf.distribute.get_strategy(), [3, 1]) == [[3, 1]]
