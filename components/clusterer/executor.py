"""Executor of Clusterer."""

from __future__ import annotations

from components.compressor import CompressorExecutor


class Executor(CompressorExecutor):
    """Clusters the weights of a model."""
