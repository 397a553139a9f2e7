"""Clusterer."""

from __future__ import annotations

from tfx.dsl.components.base import executor_spec

from ranklite.components.clusterer.executor import Executor
from ranklite.components.compressor.base import Compressor


class Clusterer(Compressor):
    """Clusters the weights of a trained model, pruned or not."""

    TECHNIQUES = ("cluster",)
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
