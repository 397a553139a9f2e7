"""Executor of Clusterer."""

from __future__ import annotations

from ranklite.components.compressor.base import CompressorExecutor


class Executor(CompressorExecutor):
    """Clusters the weights of a model."""
