"""Executor of Transform: TFX's, with batches of one size."""

from __future__ import annotations

from typing import Any

from tfx.components.transform import executor as transform_executor

BATCH_ROWS = 1024


class Executor(transform_executor.Executor):
    """Transforms in batches of a fixed size.

    Beam tunes the size by the clock. What is added up, and which numbers a vector instruction takes
    together, would then depend on what else the machine does, and with the last digit of a number
    everything that is trained on it: two runs on the same data would push different bytes.
    """

    def _GetDesiredBatchSize(self, *args: Any, **kwargs: Any) -> int:
        return BATCH_ROWS
