"""A pipeline that runs every night on the clicks that arrived: settings, log, constants."""

from __future__ import annotations

import pathlib
from typing import Any

import yaml
from tensorflow.lite.python import schema_py_generated as schema

from ranklite.pipeline.local.synthetic import LOG_FILE, generate
from tests.past_logs import without_past

ROOT = pathlib.Path(__file__).parents[1]
NAME = "nightly"
ROWS = 9000
SPANS = ("2026-01-20", "2026-01-21", "2026-01-22")


def settings(**kubeflow: Any) -> dict[str, Any]:
    """The configuration: small, warm-started, quantized, judged against the model pushed last; it
    reads the past.

    Args:
      **kubeflow: Its part that only Kubeflow reads.
    """
    made: dict[str, Any] = yaml.safe_load((ROOT / "configs/synthetic.yaml").read_text("utf-8"))
    del made["synthetic"]
    made["name"] = NAME
    made["source"] = {"files": "clicks-{YYYY}-{MM}-{DD}.csv", "window": 2}
    made["features"] = [
        *without_past(made["features"]),
        # The state of users and items goes from night to night with the window.
        {"name": "recent", "kind": "history", "of": "item", "by": "user", "length": 5}
        | {"as_of": "second"},
        {"name": "item_stats", "kind": "aggregate", "by": "item"},
    ]
    made["training"] = {"epochs": 2, "batch_size": 64, "warm_start": True}
    made["compression"] = [{"technique": "quantize", "epochs": 1}]
    made["gates"] = {
        "min_auc": 0.5,
        "max_auc_drop": 0.2,
        "max_log_loss_rise": 0.3,
        "max_auc_drop_from_blessed": 0.2,
        "max_log_loss_rise_from_blessed": 0.5,
        "min_gain_over_constant": None,  # two epochs learn little
    }
    made["kubeflow"] = kubeflow
    return made


def log(folder: pathlib.Path, number: int) -> tuple[str, str]:
    """File name and text of a night's log.

    Args:
      folder: For the log of all nights.
      number: Of the night, from 0.
    """
    generate(str(folder), rows=ROWS)
    header, *lines = (folder / LOG_FILE).read_text().splitlines(keepends=True)
    share = len(lines) // len(SPANS)
    lines = lines[number * share : (number + 1) * share]
    return f"clicks-{SPANS[number]}.csv", "".join([header, *lines])


def constants(content: bytes) -> list[bytes]:
    """The constants of a TFLite file, whatever the converter called them."""
    file = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    notes = {entry.buffer for entry in file.metadata}
    return sorted(
        bytes(buffer.data)
        for number, buffer in enumerate(file.buffers)
        if buffer.data is not None and number not in notes
    )
