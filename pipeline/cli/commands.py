"""What the commands of `ranklite` do; each imports what it needs when it runs."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranklite.pipeline.runs.retention import Freed

TENSORBOARD_SECONDS = 30  # how often TensorBoard is given new runs


def run(args: argparse.Namespace) -> int:
    """Runs the pipeline; 2 where a gate kept the model from being pushed."""
    from ranklite.pipeline.local.runner import run
    from ranklite.pipeline.local.stage_processes import possible

    outcome = run(
        args.config,
        args.data,
        args.runs,
        span=args.span,
        name=args.name,
        verbose=args.verbose,
        enable_cache=not args.no_cache,
        jobs=args.jobs if possible() else 0,
    )
    from ranklite.pipeline.runs.report import render

    print(render(outcome))
    return 0 if outcome.pushed else 2


def validate(args: argparse.Namespace) -> int:
    """Checks a configuration."""
    from ranklite.pipeline.config.run_config import load_config

    config = load_config(args.config)
    if args.data:
        config.check_files(args.data)
    if config.source.query and (config.engine or config.source.partition_by):
        from ranklite.components.log_example_gen.parts.divide import check_divisible

        check_divisible(config.ingest)
    print(f"{args.config} is valid: {config.summary()}")
    if args.data:
        from ranklite.components.log_example_gen.preview import preview

        for line in preview(config.ingest, args.data):
            print(line)
    return 0


def report(args: argparse.Namespace) -> int:
    """Prints the table of the last run."""
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.local.runner import outcome
    from ranklite.pipeline.runs.folders import Folders
    from ranklite.pipeline.runs.report import render

    config = load_config(args.config)
    print(render(outcome(config, Folders(args.runs, config.name))))
    return 0


def score(args: argparse.Namespace) -> int:
    """Scores the rows of a CSV file."""
    from ranklite.models.serving.scorer import Scorer

    scorer = Scorer(args.model, args.target)
    if os.path.isdir(args.input):
        from ranklite.components.log_example_gen.past_rows import past_rows
        from ranklite.components.log_example_gen.query_rows import query_rows
        from ranklite.pipeline.config.run_config import RunConfig

        config = RunConfig.model_validate(scorer.metadata["config"])
        past = scorer.metadata.get("past")
        opened = (
            past_rows(config.ingest, args.input, past["means"])
            if past
            else query_rows(config.ingest, args.input)
        )
        with opened as result:
            rows = scorer.score_rows(result, args.output, column=args.column)
    else:
        rows = scorer.score_file(args.input, args.output, column=args.column)
    print(f"{rows} rows scored: {args.output}")
    return 0


def demo(args: argparse.Namespace) -> int:
    """Serves a version's page until it is stopped."""
    from ranklite.models.serving.demo import address, files, server

    with server(files(args.model, args.litert), args.port) as running:
        print(f"{address(running)} ranks in the browser; Ctrl-C ends it", flush=True)
        running.serve_forever()
    return 0


def lineage(args: argparse.Namespace) -> int:
    """Says what made a model."""
    from ranklite.pipeline.runs.lineage import trace
    from ranklite.pipeline.runs.lineage_text import render

    traced = trace(args.model, args.runs)
    print(json.dumps(dataclasses.asdict(traced), indent=2) if args.json else render(traced))
    return 0


def verify(args: argparse.Namespace) -> int:
    """Reads what was written again; 1 where something is damaged."""
    from ranklite.pipeline.runs import verify
    from ranklite.pipeline.runs.folders import Folders

    if args.model is not None:
        verified = verify.pushed(args.model)
    else:
        from ranklite.pipeline.config.run_config import load_config

        verified = verify.of_pipeline(Folders(args.runs, load_config(args.config).name))
    print("\n".join(map(str, verified)))
    return int(any(each.wrong for each in verified))


def clean(args: argparse.Namespace) -> int:
    """Removes the artifacts of old runs."""
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.local.runner import exclusive
    from ranklite.pipeline.local.tensorboard import COLLECTED
    from ranklite.pipeline.runs.folders import Folders
    from ranklite.pipeline.runs.retention import free, free_collected
    from ranklite.pipeline.runs.store import stores

    local = stores(args.runs)
    fetched = [path.parent.name for path in pathlib.Path(args.runs).glob(f"*/{COLLECTED}")]
    names = sorted({*local, *fetched})
    if args.config:
        names = [load_config(args.config).name]
    if not names:
        raise FileNotFoundError(f"no runs in {args.runs!r}: `ranklite run` makes them")
    code = 0
    for name in names:
        if name not in (*local, *fetched):
            raise FileNotFoundError(f"no run of {name} in {args.runs!r}")
        folders = Folders(args.runs, name)
        with exclusive(folders.root):
            if name in local:
                try:
                    _print_freed(name, free(folders, args.keep, dry_run=args.dry_run), args)
                except OSError as error:  # of one pipeline, which is no reason to leave others
                    print(f"ranklite clean: {error} (`ranklite run` mends it)", file=sys.stderr)
                    code = 1
            if name in fetched:
                freed = free_collected(folders.root, args.keep, dry_run=args.dry_run)
                _print_freed(f"{name} on Kubeflow", freed, args)
    return code


def _print_freed(name: str, freed: Freed, args: argparse.Namespace) -> None:
    whose = [", ".join(f"#{number}" for number in freed.runs)] if freed.runs else []
    whose += ["killed trainings that nothing resumes"] if freed.leftovers else []
    what = f"{len(freed.folders)} folders, {freed.size / 1e6:.1f} MB"
    done = "would be removed" if args.dry_run else "removed"
    some = f"{name}: {what} of {' and '.join(whose)} {done}"
    print(some if whose else f"{name}: nothing to remove")
    if freed.kept:
        stay = ", ".join(f"#{number}" for number in freed.kept)
        print(f"{name}: {stay} stays: the next run is compared with what it pushed")


def tensorboard(args: argparse.Namespace) -> int:
    """Serves TensorBoard on all runs until it is stopped."""
    from ranklite.pipeline.stack import import_tensorflow

    import_tensorflow()
    from tensorboard import program

    from ranklite.pipeline.local.tensorboard import arrange

    logs = arrange(args.runs)

    def keep_arranging() -> None:
        while True:
            time.sleep(TENSORBOARD_SECONDS)
            try:
                arrange(args.runs)
            except (OSError, ValueError) as error:  # such as a store that is being written to
                print(f"ranklite tensorboard: {error}; tried again soon", file=sys.stderr)

    threading.Thread(target=keep_arranging, daemon=True).start()
    server = program.TensorBoard()
    server.configure(
        argv=["tensorboard", "--logdir", logs, "--port", str(args.port), "--host", args.host]
    )
    return int(server.main() or 0)
