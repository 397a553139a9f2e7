"""What a search for settings gains on the test split, which it has not seen, log by log.

    python -m benchmarks.tune [--only ads,video] [--minutes 5] [--seed 1]

Each generated log of `benchmarks/generated_logs.py` goes through the pipeline's own stages with an
empty `model` and `training`, and `tune: {minutes: ...}` searches on its validation split. The float
models of the configured settings, of the best trial, and of the chosen one (which is either) are
judged on the test split; `gain` is the best one's AUC over the configured, with the 95 % interval
of a paired bootstrap (by user where there is one).
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import tempfile

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip

from benchmarks.generated_logs import LOGS, write  # isort: skip
from benchmarks.past import Log  # isort: skip
from ranklite.models.evaluation import bootstrap, metrics
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.slices import GROUP
from ranklite.models.reporting.tables import table
from ranklite.models.search_space import Point
from ranklite.models.training import fit
from ranklite.models.training.splits import Splits
from ranklite.models.training.tuning import search
from ranklite.models.training.tuning_config import merged
from ranklite.models.training.tuning_trials import Scores, Trials
from ranklite.pipeline.config.run_config import RunConfig


def judged(log: Log, seed: int, folder: str) -> list[str]:
    """A row of the table."""
    config, training = log.config, log.config.fitting.model_copy(update={"seed": seed})
    splits = Splits(log.files["train"], log.files["eval"])
    _, labels, texts = transformed_inputs(read_records(splits.eval), log.layout, [GROUP])
    trials = Trials(log.layout, config.model, training, splits, os.path.join(folder, "trials"))
    by_user = bool(log.features.user)
    users = texts[GROUP] if by_user else None
    assert config.tune is not None
    tuned = search(config.tune, config.search_space, config.model, training, trials, labels, users)

    def scores(point: Point) -> Scores:
        model, settings = merged(config.model, training, point)
        logits = fit.build(log.layout, model, settings)
        fit.fit(logits, log.layout, splits.train, splits.eval, settings)
        return fit.predict(logits, log.layout, log.files["test"])[0]

    numbers = {"configured": 0, "best": tuned.best}
    found = {name: scores(tuned.trials[number].settings) for name, number in numbers.items()}
    auc = {name: metrics.binary_metrics(log.labels, s)["auc"] for name, s in found.items()}
    drawn = bootstrap.draws(log.labels, found, log.users if by_user else None, replicates=1000)
    low, high = np.nanpercentile(drawn["best"]["auc"] - drawn["configured"]["auc"], [2.5, 97.5])
    best = tuned.trials[tuned.best]
    shown = ", ".join(f"{key.split('.')[1]} {value}" for key, value in best.settings.items())
    return [
        str(len(tuned.trials)),
        f"{tuned.trials[0].figures['auc']:.4f}",
        f"{best.figures['auc']:.4f}",
        f"{tuned.noise:.4f}",
        "best" if tuned.chosen else "configured",
        f"{auc['configured']:.4f}",
        f"{auc['best']:.4f}",
        f"{auc['best'] - auc['configured']:+.4f} [{low:+.4f}, {high:+.4f}]",
        shown,
    ]


def main() -> int:
    """Prints a row a log."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", help="names of logs, separated by commas")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each search (default: 5)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    head = ["log", "trials", "configured, validation", "best, validation", "noise", "chosen"]
    head += ["configured, test", "best, test", "gain on test", "best settings"]
    rows = []
    for name in arguments.only.split(",") if arguments.only else LOGS:
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder, "data")
            settings = write(name, data) | {"tune": {"minutes": arguments.minutes}}
            log = Log(RunConfig.model_validate(settings), str(data), os.path.join(folder, "run"))
            rows.append([name, *judged(log, arguments.seed, folder)])
            print(*rows[-1], sep="  ", flush=True)
    print(table(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
