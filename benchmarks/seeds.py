"""How many seeds of a configuration pass its own gates, and how much their figures differ.

    python -m benchmarks.seeds --config configs/frappe.yaml --data <folder> --seeds 10

Each seed is a whole run, judged by the configured gates. The log is read once and the stages before
the training come from TFX's cache, unless the seed draws rows (`split: {by: hash}`, sampled
negatives). Gates against the model pushed last are left out, and so is a warm start: seeds are not
to be compared with each other. Seeds are 1000 apart, since teachers have those that follow. Rerun
the command to go on after a kill: finished stages are cached.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import yaml  # isort: skip

from ranklite.components.artifact_json import REPORT_FILE
from ranklite.models.compression.seed_repeats import further_seeds
from ranklite.models.evaluation.gates import AccuracyGates
from ranklite.models.reporting.metric_names import METRICS
from ranklite.models.reporting.seed_words import spread
from ranklite.models.reporting.tables import table
from ranklite.pipeline.local.runner import StageFailed, run

STAGES = ("float", "shipped")
SHOWN = ("auc", "log_loss", "calibration")
FROM_BLESSED = [key for key in AccuracyGates.model_fields if key.endswith("_from_blessed")]
HEAD = [
    "seed",
    *(f"{METRICS[name].title}, {stage}" for name in SHOWN for stage in STAGES),
    "pushed",
    "refused by",
    "undecided",
]


def with_seed(settings: dict[str, Any], seed: int, folder: pathlib.Path) -> dict[str, Any]:
    """The configuration of a seed, which pushes into a folder of its own."""
    gates = settings.get("gates") or {}
    training = {key: v for key, v in settings.get("training", {}).items() if key != "warm_start"}
    free = dict.fromkeys(FROM_BLESSED)
    slices = {name: {**bounds, **free} for name, bounds in gates.get("slices", {}).items()}
    return {
        **settings,
        "training": {**training, "seed": seed},
        "repeat": 1,
        "gates": {**gates, **free, **({"slices": slices} if slices else {})},
        "push": {"directory": str(folder / "pushed" / str(seed))},
    }


def judged(path: pathlib.Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs a configuration: figures by stage, whether it was pushed, and by what it was refused."""
    try:
        outcome = run(str(path), arguments.data, arguments.runs)
    except StageFailed as error:
        return {"figures": {}, "pushed": False, "refused": [str(error)], "undecided": []}
    report = outcome.stages["FileValidator"].document("report", REPORT_FILE)
    decided = outcome.stages["Pusher"].document("pushed_model", "pushed.json")
    refused = [_gate(verdict) for verdict in decided["verdicts"] if not verdict["passed"]]
    return {
        "figures": {s: {name: report["stages"][s][name] for name in SHOWN} for s in STAGES},
        "pushed": bool(decided["version"]),
        "refused": refused or decided["refused_by"],
        "undecided": [_gate(verdict) for verdict in decided["verdicts"] if verdict["undecided"]],
    }


def _gate(verdict: dict[str, Any]) -> str:
    """Its key, which tells an upper bound from a lower one; few have none."""
    return str(verdict["key"].removeprefix("gates.") or verdict["name"])


def row(seed: int, result: dict[str, Any]) -> list[str]:
    """The cells below `HEAD`."""
    figures = result["figures"]
    return [
        str(seed),
        *(
            METRICS[name].text(figures.get(stage, {}).get(name), precise=True)
            for name in SHOWN
            for stage in STAGES
        ),
        "yes" if result["pushed"] else "NO",
        ", ".join(result["refused"]),
        ", ".join(result["undecided"]),
    ]


def total(results: list[dict[str, Any]]) -> list[str]:
    """Mean and standard deviation of what came to its end, and how many were pushed."""
    ended = [result["figures"] for result in results if result["figures"]]
    cells = [
        spread([figures[stage][name] for figures in ended]) if ended else ""
        for name in SHOWN
        for stage in STAGES
    ]
    pushed = sum(result["pushed"] for result in results)
    return ["mean ± sd", *cells, f"{pushed} of {len(results)}", "", ""]


def main() -> int:
    """Prints a row a seed, and how many were pushed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", required=True, help="the configuration")
    parser.add_argument("--data", help="folder with its logs")
    parser.add_argument("--runs", default="runs/seeds", help="folder for the runs")
    parser.add_argument("--seeds", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--first-seed", type=int, default=1, help="where to begin (default: 1)")
    arguments = parser.parse_args()
    settings = yaml.safe_load(pathlib.Path(arguments.config).read_text(encoding="utf-8"))
    folder = pathlib.Path(os.path.abspath(arguments.runs), f"{settings['name']}-seeds")
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [arguments.first_seed, *further_seeds(arguments.first_seed, arguments.seeds)]
    results = []
    for seed in seeds:
        path = folder / f"{seed}.yaml"
        text = yaml.safe_dump(with_seed(settings, seed, folder), sort_keys=False)
        path.write_text(text, encoding="utf-8")
        results.append(judged(path, arguments))
        print(*row(seed, results[-1]), sep="  ", flush=True)
    rows = [row(seed, result) for seed, result in zip(seeds, results, strict=True)]
    print(f"\n{table(HEAD, [*rows, total(results)])}")
    print(f"\n{sum(r['pushed'] for r in results)} of {len(results)} seeds pushed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
