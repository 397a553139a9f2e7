"""Pruner."""

from __future__ import annotations

from tfx.dsl.components.base import executor_spec

from ranklite.components.compressor.base import Compressor
from ranklite.components.pruner.executor import Executor


class Pruner(Compressor):
    """Prunes a trained model: weights, whole units of the tower, or rows of the tables."""

    TECHNIQUES = ("prune", "prune_units", "prune_rows")
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
