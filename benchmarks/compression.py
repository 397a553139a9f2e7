"""What compression costs: runs a configuration over seeds, prints every stage or recipe.

    python benchmarks/compression.py --config configs/frappe.yaml --data <folder> --seeds 3
    python benchmarks/compression.py --config configs/frappe.yaml --data <folder> --techniques

With --techniques, every technique alone and some combinations take the place of the configured
compression (models/search.py tries them on one float model). Figures are of TFLite files on the
validation split; latency is the fastest of repeated calls on one thread. Seeds and choices are made
on the split they are reported on, as the published benchmarks do.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
from typing import Any

import numpy as np
import yaml

from ranklite.models.architectures.settings import parse_settings

QUANTIZE = {"technique": "quantize", "epochs": 0}
TRAINED = {"technique": "quantize", "epochs": 1}
PRUNE = {"technique": "prune", "tower": {"sparsity": 0.8}, "epochs": 4}
UNITS = {"technique": "prune_units", "keep": 0.5, "epochs": 6, "learning_rate": 0.002}
ROWS = {"technique": "prune_rows", "by": "norm", "keep": 0.8, "epochs": 2}
COLUMNS = ("auc", "log_loss", "bytes", "gzip_bytes", "latency_1_us", "latency_512_us")


def techniques(settings: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Recipes by name: each technique alone, then combinations."""
    model = settings.get("model", {})
    sizes = parse_settings(model)
    dim = sizes.embedding_dim
    narrow = [max(8, width // 2) for width in sizes.hidden_units]
    distill = {
        "technique": "distill",
        "teachers": 2,
        "epochs": 8,
        "unlabelled": {"per_row": 1.0},
    }

    def student(**changes: Any) -> dict[str, Any]:
        return {**distill, "student": {**model, "dropout": 0.0, **changes}}

    recipes: dict[str, list[dict[str, Any]]] = {
        "float": [],
        "float16": [{"technique": "quantize", "format": "float16"}],
        "dynamic_range": [{"technique": "quantize", "format": "dynamic_range"}],
        "int8_post_training": [QUANTIZE],
        "int8_trained": [TRAINED],
        "int16x8": [{**TRAINED, "format": "int16x8"}],
        "int8_units": [{**QUANTIZE, "granularity": "per_channel"}],
        "int8_rows": [{**QUANTIZE, "table": "int8_per_row"}],
        "int4_rows": [{**TRAINED, "table": "int4_per_row"}],
        "int4_kernels": [{**TRAINED, "epochs": 2, "bits": 4, "table": "int8_per_row"}],
        "prune_80": [PRUNE],
        "prune_80_taylor": [{**PRUNE, "importance": "taylor"}],
        "prune_80_constant": [{**PRUNE, "schedule": "constant"}],
        "prune_80_after_l1": [{**PRUNE, "l1": 0.01}],
        "prune_2to4": [{**PRUNE, "tower": {"sparsity": 0.5, "pattern": "2:4"}}],
        "prune_80_blocks": [
            {**PRUNE, "tower": {"sparsity": 0.8, "pattern": "block", "block_size": [4, 4]}}
        ],
        "units_half": [UNITS],
        "units_half_taylor": [{**UNITS, "importance": "taylor"}],
        "rows_80_frequency": [{**ROWS, "by": "frequency"}],
        "rows_80": [ROWS],
        "cluster_16": [{"technique": "cluster", "clusters": 16, "epochs": 1}],
        # The size that published benchmarks train: on true labels alone, so no distillation.
        "float_400x3": [
            {
                **student(embedding_dim=10, hidden_units=[400, 400, 400], dropout=0.2),
                "hard_weight": 1.0,
                "unlabelled": None,
            }
        ],
        "distilled": [student()],
        "distilled_narrow": [student(hidden_units=narrow)],
        "table_hashed": [student(table={"kind": "hashed", "rows": 2000})],
        "table_quotient_remainder": [student(table={"kind": "quotient_remainder", "buckets": 4})],
        "table_low_rank": [student(table={"kind": "low_rank", "rank": dim // 2})],
        "table_by_frequency": [
            student(table={"kind": "by_frequency", "head": 0.2, "tail_dim": max(1, dim // 4)})
        ],
        "prune_80+int8": [PRUNE, TRAINED],
        "units_half+int8": [UNITS, TRAINED],
        "units_half+int4_rows": [UNITS, {**TRAINED, "table": "int4_per_row"}],
        "rows_80+units_half+int8": [ROWS, UNITS, TRAINED],
        "prune_80+cluster_16+int8": [PRUNE, {"technique": "cluster", "epochs": 1}, TRAINED],
        "distilled_narrow+int8": [student(hidden_units=narrow), QUANTIZE],
    }
    if any(feature["kind"] == "multi_categorical" for feature in settings["features"]):
        del recipes["int16x8"]  # not with multi-valued features
    if not (settings.get("user") and settings.get("item")):
        distill.pop("unlabelled")
    return {name.replace("+", "__"): steps for name, steps in recipes.items()}


def figures_of(config: str, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Runs a configuration and returns its stages, and its trials where it searched."""
    from ranklite.pipeline.comparison import recipes
    from ranklite.pipeline.local.runner import run

    outcome = run(config, arguments.data, arguments.runs)
    folder = outcome.stages["FileValidator"].folder("report")
    assert folder is not None
    report = json.loads(pathlib.Path(folder, "report.json").read_text(encoding="utf-8"))
    result = {stage: dict(figures) for stage, figures in report["stages"].items()}
    if "BudgetSearch" in outcome.stages:
        trials = recipes.load_trials(outcome)["trials"]
        refused = [f"{trial['name']}: {trial['error']}" for trial in trials if trial["error"]]
        print("\n".join(refused), flush=True)
        return {trial["name"]: trial["figures"] for trial in trials if trial["figures"]}
    return result


def _mean(values: list[float]) -> str:
    spread = f" ± {np.std(values):.5f}" if len(values) > 1 else ""
    return f"{np.mean(values):.5f}{spread}"


def table(by_seed: list[dict[str, dict[str, float]]]) -> str:
    """Markdown: means over the seeds, with the standard deviation of what varies."""
    lines = [
        "| | AUC | log loss | bytes | gzipped | us/row, batch 1 | us/row, batch 512 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in by_seed[0]:
        cells = []
        for column in COLUMNS:
            found = [figures[name].get(column) for figures in by_seed if name in figures]
            values = [value for value in found if value is not None]
            if not values:
                cells.append("")
            elif column in ("auc", "log_loss"):
                cells.append(_mean(values))
            elif column.endswith("bytes"):
                cells.append(f"{np.mean(values):,.0f}")
            else:
                cells.append(f"{np.mean(values):.2f}")
        lines.append(f"| {name.replace('__', ' + ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ways(by_seed: list[dict[str, dict[str, float]]]) -> str:
    """Markdown: what rounding after training reached, and training with it, where both were tried.

    The figures are those of the Keras models, of which the one with the lower log loss ships.
    """
    keys = ("calibrated_auc", "trained_auc", "calibrated_log_loss", "trained_log_loss")
    lines = [
        f"| | {' | '.join(key.replace('_', ' ', 1) for key in keys)} |",
        "|---|---|---|---|---|",
    ]
    for name in by_seed[0]:
        rows = [row for figures in by_seed if keys[1] in (row := figures.get(name, {}))]
        if rows:
            cells = [_mean([row[key] for row in rows]) for key in keys]
            lines.append(f"| {name.replace('__', ' + ')} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="the configuration to start from")
    parser.add_argument("--data", help="folder with its logs")
    parser.add_argument("--runs", default="runs/benchmarks", help="folder for the runs")
    parser.add_argument("--seeds", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--first-seed", type=int, default=1, help="where to begin (default: 1)")
    parser.add_argument("--techniques", action="store_true", help="try every technique instead")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the techniques, only these")
    arguments = parser.parse_args()
    settings = yaml.safe_load(pathlib.Path(arguments.config).read_text(encoding="utf-8"))
    if arguments.techniques:
        recipes = techniques(settings)
        chosen = arguments.only or list(recipes)
        if unknown := sorted(set(chosen) - set(recipes)):
            parser.error(f"--only {unknown[0]}: there are {', '.join(recipes)}")
        settings["compression"] = {"recipes": {name: recipes[name] for name in chosen}}
        settings["name"] += "-techniques"
    os.makedirs(arguments.runs, exist_ok=True)
    by_seed = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        settings.setdefault("training", {})["seed"] = seed
        path = pathlib.Path(arguments.runs, f"{settings['name']}-seed{seed}.yaml")
        path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        by_seed.append(figures_of(str(path), arguments))
        print(f"\nseed {seed}\n\n{table(by_seed[-1:])}\n\n{ways(by_seed[-1:])}", flush=True)
    if arguments.seeds > 1:
        print(f"\n{arguments.seeds} seeds, mean ± standard deviation")
        print(f"\n{table(by_seed)}\n\n{ways(by_seed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
