"""The same data, configuration and seeds on each stack, side by side.

    python -m benchmarks.stacks FOLDER [--seeds 3] [--config <yaml>] [--data <folder>]

Runs the whole pipeline on the stack of this environment, keeps the figures in FOLDER under the
stack's name, and prints a table of all stacks whose figures are there: run it once in each
environment. Figures are of TFLite files; `apart` is the difference of the means, and beside it how
many standard errors of that difference it is: about 2 and less is what seeds do by themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import sys
import time
from importlib import metadata
from typing import Any

import numpy as np
import yaml

from benchmarks.compression import figures_of

FIGURES = {
    "auc": ("AUC", "{:.5f}"),
    "log_loss": ("log loss", "{:.5f}"),
    "bytes": ("bytes", "{:,.0f}"),
    "gzip_bytes": ("gzipped", "{:,.0f}"),
    "latency_512_us": ("us/row, batch 512", "{:.2f}"),
}
PACKAGES = (
    *("tfx", "tensorflow", "tf-keras", "tensorflow-model-analysis", "apache-beam", "kfp"),
    *("protobuf", "numpy", "pyarrow", "duckdb", "ai-edge-litert"),
)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the pipeline for each seed; the figures by stage, and what they were measured with."""
    settings = yaml.safe_load(pathlib.Path(arguments.config).read_text(encoding="utf-8"))
    versions = {name: metadata.version(name) for name in PACKAGES}
    stack = "tfx" + ".".join(versions["tfx"].split(".")[:2])
    arguments.runs = os.path.join(arguments.folder, stack)
    os.makedirs(arguments.runs, exist_ok=True)
    by_seed, seconds = [], []
    for seed in range(1, arguments.seeds + 1):
        settings.setdefault("training", {})["seed"] = seed
        path = pathlib.Path(arguments.runs, f"{settings['name']}-seed{seed}.yaml")
        path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        started = time.monotonic()
        by_seed.append(figures_of(str(path), arguments))
        seconds.append(time.monotonic() - started)
    return {
        "stack": stack,
        "versions": {"Python": platform.python_version(), **versions},
        "config": pathlib.Path(arguments.config).stem,
        "stages": {
            stage: {
                figure: [figures[stage][figure] for figures in by_seed]
                for figure in FIGURES
                if by_seed[0][stage].get(figure) is not None
            }
            for stage in by_seed[0]
        },
        "seconds": seconds,
    }


def apart(one: list[float], other: list[float]) -> str:
    """The difference of two means, and how many of its standard errors it is."""
    difference = np.mean(other) - np.mean(one)
    error = np.sqrt(sum(np.var(v, ddof=1) / len(v) for v in (one, other) if len(v) > 1))
    return f"{difference:+.5f} ({abs(difference) / error:.1f})" if error else f"{difference:+.5f}"


def table(result: list[dict[str, Any]]) -> str:
    """Markdown: a row for each figure of each stage, a column for each stack."""
    names = [each["stack"] for each in result]
    pair = len(result) == 2
    head = ["stage", "figure", *names, *(["apart"] if pair else [])]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for stage, figures in result[0]["stages"].items():
        for figure in figures:
            title, form = FIGURES[figure]
            values = [each["stages"][stage][figure] for each in result]
            exact = figure in ("auc", "log_loss")
            cells = [
                form.format(np.mean(v))
                + (f" ± {np.std(v, ddof=1):.5f}" if exact and len(v) > 1 else "")
                for v in values
            ]
            cells += [apart(*values) if exact else ""] if pair else []
            lines.append(f"| {stage} | {title} | {' | '.join(cells)} |")
    seconds = [f"{np.mean(each['seconds']):.0f}" for each in result]
    lines.append(f"| whole run | seconds | {' | '.join(seconds)} |" + (" |" if pair else ""))
    lines += ["", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for package in result[0]["versions"]:
        lines.append(f"| {package} | {' | '.join(each['versions'][package] for each in result)} |")
    return "\n".join(lines)


def main() -> int:
    """Measures this environment's stack and prints all that were measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where the figures of all stacks are kept")
    parser.add_argument("--config", default="configs/synthetic.yaml", help="the configuration")
    parser.add_argument("--data", help="folder with its logs")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    arguments = parser.parse_args()
    result = measure(arguments)
    path = pathlib.Path(arguments.folder, f"{result['stack']}.json")
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    paths = sorted(pathlib.Path(arguments.folder).glob("tfx*.json"))
    every = [json.loads(each.read_text(encoding="utf-8")) for each in paths]
    seeds = {len(each["seconds"]) for each in every}
    print(f"\n{result['config']}, {'/'.join(map(str, sorted(seeds)))} seeds, mean ± deviation\n")
    print(table([each for each in every if each["config"] == result["config"]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
