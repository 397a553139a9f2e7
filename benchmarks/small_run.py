"""A small configuration of the generated log, for whole runs that are about something else."""

from __future__ import annotations

from typing import Any

from ranklite.pipeline.local.synthetic import LOG_FILE

SETTINGS: dict[str, Any] = {
    "source": {"files": LOG_FILE},
    "label": "click",
    "timestamp": "timestamp",
    "split": {"by": "time", "eval": 0.1, "test": 0.1},
    "features": [
        {"name": "user", "kind": "categorical"},
        {"name": "item", "kind": "categorical", "dtype": "int64"},
        {"name": "price", "kind": "numeric", "log": True},
    ],
    "user": "user",
    "model": {"hidden_units": [16]},
    "compression": [{"technique": "quantize", "epochs": 1}],
}
GATES: dict[str, float | None] = {
    "min_auc": 0.5,
    "max_auc_drop": 0.2,
    "max_log_loss_rise": 0.5,
    # A few hundred rows and an epoch or two may not tell.
    **dict.fromkeys(["min_calibration", "max_calibration", "min_gain_over_constant"]),
}
