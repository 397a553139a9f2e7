"""Executor of Pruner."""

from __future__ import annotations

from components.compressor import CompressorExecutor


class Executor(CompressorExecutor):
    """Prunes a model."""
