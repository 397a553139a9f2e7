"""`ranklite compare`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ranklite.pipeline.cli.parser import DEFAULT_CONFIG


def compare(args: argparse.Namespace) -> int:
    """Compares finished runs, or the recipes of a search."""
    if args.list:
        return _list(args.runs)
    if args.run:
        if args.config != DEFAULT_CONFIG:
            raise ValueError("--config is for the recipes of a search: leave it out beside runs")
        return _compare_runs(args.run, args.runs, args.output or args.runs)
    from ranklite.pipeline.comparison import recipes
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.local.runner import outcome
    from ranklite.pipeline.runs.folders import Folders

    config = load_config(args.config)
    folders = Folders(args.runs, config.name)
    trials = recipes.load_trials(outcome(config, folders))
    print(recipes.render(trials))
    for path in recipes.draw(trials, args.output or folders.root, title=config.name):
        print(f"written {os.path.relpath(path)}")
    return 0


def _list(runs: str) -> int:
    from ranklite.models.reporting.tables import table
    from ranklite.pipeline.comparison.runs import LISTED, catalogue

    print(table(["run", "started (UTC)", *(m.title for m in LISTED), "result"], catalogue(runs)))
    return 0


def _compare_runs(names: Sequence[str], runs: str, folder: str) -> int:
    from ranklite.models.files import write
    from ranklite.models.reporting.tables import render
    from ranklite.pipeline.comparison.compare import compare, page
    from ranklite.pipeline.comparison.runs import find

    if len(names) < 2:
        raise ValueError(f"one run is no comparison: name another beside {names[0]!r}")
    result = find(names, runs)
    sections = compare(result)
    print(render(sections))
    path = write(os.path.join(folder, "compare.html"), page(result, sections).encode())
    print(f"written {os.path.relpath(path)}")
    return 0
