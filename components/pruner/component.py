"""Pruner."""

from __future__ import annotations

from tfx.dsl.components.base import executor_spec

from components.compressor import Compressor
from components.pruner.executor import Executor
from models.config import Pruning


class Pruner(Compressor):
    """Prunes a trained DeepFM by magnitude; its `config` is JSON of a Pruning."""

    CONFIG = Pruning
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
