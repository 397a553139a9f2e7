"""Another package's feature kind, model family, technique and target run the whole pipeline."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from benchmarks.small_run import SETTINGS
from ranklite.pipeline.local.synthetic import LOG_FILE, generate
from tests.other_package import TOYS, installed

pytestmark = pytest.mark.e2e

ROOT = pathlib.Path(__file__).parents[2]
ENTRY_POINTS = {
    "ranklite.kinds": "day_part = toy_kind:DayPart",
    "ranklite.families": "wide_and_deep = toy_family:WideAndDeep",
    "ranklite.techniques": "prune_inputs = toy_technique:PruneInputs",
    "ranklite.targets": "packed = toy_target:Packed",
}
SCORE = """
import csv, sys
import numpy as np
from ranklite import Scorer

with open(sys.argv[2], newline="") as file:
    rows = [row for _, row in zip(range(500), csv.DictReader(file))]
for row in rows:
    row["item"], row["hour"] = int(row["item"]), int(row["hour"])
scores = Scorer(sys.argv[1]).score(rows)
others = Scorer(sys.argv[1], target="onnx").score(rows)
assert "tensorflow" not in sys.modules
np.testing.assert_allclose(scores, others, rtol=0, atol=1e-3)
print(len(scores), float(np.std(scores)), float(scores.min()), float(scores.max()))
"""


def test_a_pipeline_of_another_packages_entries(tmp_path: pathlib.Path) -> None:
    """One file each in a folder outside of the package; no file of RankLite knows of them."""
    outside = tmp_path / "outside"
    installed(outside, ENTRY_POINTS)
    for door in ("kind", "family", "technique", "target"):
        shutil.copy(TOYS / f"toy_{door}.py", outside)
    data, runs = tmp_path / "data", tmp_path / "runs"
    generate(str(data), rows=6000)
    config = tmp_path / "config.yaml"
    settings = {
        **SETTINGS,
        "name": "doors",
        "features": [
            {"name": "user", "kind": "categorical"},
            {"name": "item", "kind": "categorical", "dtype": "int64"},
            {"name": "part", "kind": "day_part", "hour": "hour"},
        ],
        "item": "item",
        "model": {"family": "wide_and_deep", "embedding_dim": 4, "hidden_units": [16]},
        "training": {"epochs": 2, "batch_size": 128},
        "compression": [
            {"technique": "prune_inputs", "drop": 0.25, "epochs": 1},
            {"technique": "quantize", "epochs": 0},
        ],
        "targets": ["packed", "onnx"],
        "gates": {
            "min_auc": 0.5,
            "max_auc_drop": 0.1,
            "max_log_loss_rise": 0.2,
            "max_score_change": 1.0,
            "max_score_change_p999": 1.0,
            "min_gain_over_constant": None,  # two epochs learn little
        },
    }
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(outside)])}

    def run(*command: str) -> str:
        ended = subprocess.run(
            [sys.executable, *command],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
        return ended.stdout

    arguments = ["--config", str(config), "--data", str(data), "--runs", str(runs)]
    printed = run("-m", "ranklite", "run", *arguments)
    pushed = runs / "doors" / "pushed"
    assert "pushed" in printed
    files = {"model.packed", "model.onnx", "model.json"}
    assert {path.name for path in (pushed / "1").iterdir()} >= files
    assert "shipped file, ONNX" in printed
    assert "ONNX: score against Keras" in printed
    assert "shipped file, ONNX" in (pushed / "1" / "report.html").read_text(encoding="utf-8")
    for suffix, last in (("packed", "Exporter.quantized"), ("onnx", "Exporter.quantized.onnx")):
        given = str(pushed / "1" / f"model.{suffix}")
        traced = run("-m", "ranklite", "lineage", given, "--runs", str(runs), "--json")
        assert json.loads(traced)["steps"][-1]["node"] == last
    count, spread, least, most = map(
        float, run("-c", SCORE, str(pushed), str(data / LOG_FILE)).split()
    )
    assert count == 500
    assert spread > 0
    assert 0 < least < most < 1
    assert np.isfinite([least, most]).all()
