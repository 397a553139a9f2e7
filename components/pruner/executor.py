"""Executor of Pruner."""

from __future__ import annotations

from ranklite.components.compressor.base import CompressorExecutor


class Executor(CompressorExecutor):
    """Prunes a model."""
