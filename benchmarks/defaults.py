"""An empty `model` and `training` against a logistic regression and boosted trees, log by log.

    python -m benchmarks.defaults [--only ads,video] [--seeds 1] [--data <folder with frappe/ ...>]

Each log goes through the pipeline's own stages; the model trains as the rules of docs/training.md
say, is quantized to int8 and exported, and the file is judged on the test split. `gain` is the AUC
that it has over the better baseline, with the 95 % interval of a paired bootstrap (by user where
there is one). The generated logs are those of `benchmarks/generated_logs.py`; MovieLens and Frappe
are read from `--data`, by default $RANKLITE_DATA, with the features of their configurations.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import tempfile
import time
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip
import yaml  # isort: skip

from benchmarks.generated_logs import LOGS, write  # isort: skip
from benchmarks.past import Log  # isort: skip
from ranklite.models.evaluation import baselines, bootstrap, metrics
from ranklite.models.export import export_target
from ranklite.models.export.target import SERVING_DEFAULT
from ranklite.models.features.constants import read_constants
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.reporting.tables import table
from ranklite.pipeline.config.run_config import RunConfig

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"
REAL = ("movielens", "frappe")
COMPRESSION = [{"technique": "quantize", "epochs": 1}]


def real(name: str) -> dict[str, Any]:
    """The configuration of a real log, its model and training left out."""
    settings: dict[str, Any] = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text("utf-8"))
    del settings["model"], settings["training"]
    return settings | {"compression": COMPRESSION, "gates": {}}


def judged(log: Log, seed: int) -> list[str]:
    """A row of the table."""
    train, labels, _ = transformed_inputs(read_records(log.files["train"]), log.layout)
    scores = baselines.scores(log.layout, train, labels, log.ids, most=len(labels))
    start = time.perf_counter()
    whole, smaller = log.trained(seed)
    seconds = time.perf_counter() - start
    target = export_target(log.config.targets[0])
    constants = read_constants(log.graph, log.features, log.state)
    content = target.export(smaller, RawFeatures(log.features, constants, log.layout))
    scores["shipped"] = target.load(content).score(log.ids, SERVING_DEFAULT)
    figures = {n: metrics.binary_metrics(log.labels, s) for n, s in scores.items()}
    better = max(list(scores)[1:-1], key=lambda name: figures[name]["auc"])
    users = log.users if log.features.user else None
    drawn = bootstrap.draws(log.labels, scores, users, replicates=1000)
    gains = drawn["shipped"]["auc"] - drawn[better]["auc"]
    low, high = np.nanpercentile(gains, [2.5, 97.5])
    gain = figures["shipped"]["auc"] - figures[better]["auc"]
    verdict = "better" if low > 0 else "worse" if high < 0 else "alike"
    return [
        f"{len(labels):,}",
        *(f"{f['auc']:.4f} / {f['log_loss']:.4f}" for f in list(figures.values())[1:]),
        f"{gain:+.4f} [{low:+.4f}, {high:+.4f}]",
        verdict,
        f"{whole.metrics['epochs']}",
        f"{seconds:.0f}",
    ]


def main() -> int:
    """Prints a row a log and seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", help="names of logs, separated by commas")
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings (default: 1)")
    parser.add_argument("--data", default=os.environ.get("RANKLITE_DATA"))
    arguments = parser.parse_args()
    names = arguments.only.split(",") if arguments.only else [*LOGS, *REAL]
    head = ["log", "train rows", "logistic regression", "boosted trees", "shipped int8"]
    rows = []
    for name in names:
        if name in REAL and not arguments.data:
            print(f"{name}: left out, since neither --data nor RANKLITE_DATA says where it is")
            continue
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder, "data")
            settings = real(name) if name in REAL else write(name, data)
            where = os.path.join(arguments.data, name) if name in REAL else str(data)
            log = Log(RunConfig.model_validate(settings), where, os.path.join(folder, "run"))
            for seed in range(1, arguments.seeds + 1):
                rows.append([name, *judged(log, seed)])
                print(*rows[-1], sep="  ", flush=True)
    print(table([*head, "gain in AUC", "", "epochs", "seconds"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
