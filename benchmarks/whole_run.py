"""Whole runs: the default log, the same once more, and a log with large tables of users and items.

    python -m benchmarks.whole_run [--large 1000000] [--json FILE]

Each run is a process of the command line's own. Prints the seconds of the default run and of its
unchanged rerun, and with `--large` those of a log of that many rows, with as many users and 300,000
items; of each run the stages that took longest and those that had the most memory.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import yaml

from benchmarks.report import Figure, show, write

ITEMS = 300_000
SHOWN = 6  # stages of a run
IMPORTS = "import ranklite.models, ranklite.pipeline.pipeline, ranklite.pipeline.local.dag_runner"
SOURCE = """
import json, sys, ranklite.pipeline.local.runner as runner
jobs = int((sys.argv[4:] or [2])[0])
made = runner.run(sys.argv[1], sys.argv[2] or None, sys.argv[3], jobs=jobs, out=sys.stderr)
figures = {"seconds": made.seconds, "peaks": made.peaks, "pushed": bool(made.pushed)}
print(json.dumps(figures))
"""


def large_log(folder: pathlib.Path, rows: int) -> pathlib.Path:
    """Writes a log with as many users as rows, each once, and its configuration."""
    rng = np.random.default_rng(5)
    users, items = rng.permutation(rows), rng.integers(0, ITEMS, rows)
    fame, hour = rng.normal(0, 0.9, ITEMS), rng.integers(0, 24, rows)
    logit = fame[items] - 1.2 + 0.4 * np.sin(hour / 24 * 2 * np.pi)
    click = rng.random(rows) < 1 / (1 + np.exp(-logit))
    times = np.sort(rng.integers(1_767_225_600, 1_770_000_000, rows))
    columns = {"click": click.astype(int), "user": users, "item": items, "hour": hour}
    with open(folder / "log.csv", "w", encoding="utf-8") as file:
        file.write(",".join([*columns, "time"]) + "\n")
        np.savetxt(file, np.column_stack([*columns.values(), times]), "%d", ",")
    names = ("user", "item", "hour")
    settings = {
        "name": "large",
        "source": {"files": "log.csv"},
        "label": "click",
        "timestamp": "time",
        "split": {"by": "time", "eval": 0.1, "test": 0.1},
        "features": [{"name": name, "kind": "categorical"} for name in names],
        "user": "user",
        "item": "item",
        "training": {"epochs": 1},
        "compression": [{"technique": "quantize", "epochs": 1}],
        "gates": {"min_auc": 0.5},
    }
    path = folder / "large.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def timed(*arguments: str) -> tuple[float, str]:
    """Seconds of a process of Python, and what it printed."""
    started = time.perf_counter()
    result = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{arguments[0]} failed")
    return time.perf_counter() - started, result.stdout


def figures(what: str, to_reach: str, *arguments: str) -> list[Figure]:
    """Those of a run: the whole first, then its longest stages and its largest ones."""
    took, printed = timed("-c", SOURCE, *arguments)
    made = json.loads(printed.splitlines()[-1])
    rows = [Figure(what, took, None, None, "s", to_reach)]
    stages = {name: s for name, s in made["seconds"].items() if name != "total"}
    for name in sorted(stages, key=stages.__getitem__, reverse=True)[:SHOWN]:
        rows.append(Figure(f"{what}: {name}", stages[name], None, None, "s"))
    for name in sorted(made["peaks"], key=made["peaks"].__getitem__, reverse=True)[:SHOWN]:
        gigabytes = made["peaks"][name] / 1e9
        rows.append(Figure(f"{what}: {name}, memory", gigabytes, None, None, "GB"))
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default="configs/synthetic.yaml", help="of the default run")
    parser.add_argument("--large", type=int, metavar="ROWS", help="also a log of so many rows")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        imports, _ = timed("-c", IMPORTS)
        rows = [Figure("importing TFX, alone", imports, None, None, "s")]
        runs = str(folder / "runs")
        first = figures("default run", "<= 35 s", arguments.config, "", runs)
        rerun, _ = timed("-c", SOURCE, arguments.config, "", runs)
        took = first[0].ours
        rows += [*first, Figure("unchanged rerun", rerun, took, took / rerun, "s", "<= 5 s")]
        if arguments.large:
            path = large_log(folder, arguments.large)
            rows += figures(f"{arguments.large:,} rows", "<= 150 s", str(path), name, runs)
    print(show(rows))
    if arguments.json:
        write(arguments.json, "whole_run", rows)


if __name__ == "__main__":
    main()
