"""The `ranklite` command."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import select
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ranklite
from ranklite.extras import explained
from ranklite.pipeline.kubeflow import commands as kubeflow
from ranklite.pipeline.runs.folders import DEFAULT_RUNS

if TYPE_CHECKING:
    from ranklite.pipeline.runs.retention import Freed

DEFAULT_CONFIG = "configs/synthetic.yaml"
_BOARD_SECONDS = 30  # how often TensorBoard is told of new runs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ranklite",
        description="From interaction logs to a small, fast, gated TFLite ranking model.",
    )
    parser.add_argument("--version", action="version", version=f"ranklite {ranklite.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    def with_config(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--config",
            default=DEFAULT_CONFIG,
            metavar="YAML",
            help=f"the run's configuration (default: {DEFAULT_CONFIG}, on generated data)",
        )

    def with_runs(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--runs",
            default=DEFAULT_RUNS,
            metavar="DIR",
            help=f"folder for everything that runs write (default: {DEFAULT_RUNS})",
        )

    run = command("run", "Run the whole pipeline and print what it made.")
    with_config(run)
    with_runs(run)
    run.add_argument(
        "--data",
        metavar="DIR",
        help="folder with the logs; file names in the configuration are relative to it. Without it "
        "the synthetic configuration generates its data; every other one needs it",
    )
    run.add_argument(
        "--span",
        default="",
        metavar="SPAN",
        help="the newest span of the log to read, a date such as 2026-11-22 or a number (default: "
        "the newest there is)",
    )
    run.add_argument(
        "--name",
        metavar="NAME",
        help="what to call this run beside its number, such as 'wide tower'; TensorBoard, compare "
        "and lineage show it",
    )
    run.add_argument("-v", "--verbose", action="store_true", help="show the logs of TFX too")
    run.add_argument(
        "--no-cache", action="store_true", help="run every stage, also those with nothing new"
    )

    validate = command("validate", "Check a configuration without running anything.")
    with_config(validate)
    validate.add_argument("--data", metavar="DIR", help="also check that its files are there")

    report = command("report", "Print the table of a configuration's last run again.")
    with_config(report)
    with_runs(report)

    compare = command(
        "compare",
        "Compare finished runs: accuracy with intervals, size, speed, gates, configuration, code "
        "and data. Without any run: the recipes that the last run's search tried.",
    )
    compare.add_argument(
        "run",
        nargs="*",
        metavar="RUN",
        help="two or more, the first to compare the others with: movielens#7, movielens (its "
        "newest that came to the gates), movielens#-2 (the one before), a run's name, a name from "
        "TensorBoard, or a pushed version's folder",
    )
    compare.add_argument("--list", action="store_true", help="list the runs that there are")
    with_config(compare)
    with_runs(compare)
    compare.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="folder for compare.html, and of a search compare.png (default: that of --runs, of a "
        "search the pipeline's own in it)",
    )

    score = command("score", "Score the rows of a CSV file with a pushed model (no TensorFlow).")
    score.add_argument("model", help="a pushed version, or the folder of all versions")
    score.add_argument("input", help="CSV file with a header that names the model's features")
    score.add_argument(
        "-o", "--output", required=True, help="CSV file to write: the input and a column `score`"
    )

    lineage = command(
        "lineage", "Say which logs, code and configuration made a model, and what was refused."
    )
    lineage.add_argument("model", help="a model file, a pushed version, or the folder of all")
    with_runs(lineage)
    lineage.add_argument("--json", action="store_true", help="everything, as JSON")

    clean = command(
        "clean",
        "Remove the artifacts of old runs; their pages and reports, pushed versions, and what the "
        "next run is compared with stay.",
    )
    clean.add_argument(
        "--keep", type=_positive, required=True, metavar="N", help="newest runs that stay whole"
    )
    clean.add_argument("--config", metavar="YAML", help="only this pipeline's runs (default: all)")
    with_runs(clean)
    clean.add_argument("--dry-run", action="store_true", help="only say what would be removed")

    tensorboard = command("tensorboard", "Open TensorBoard on all runs.")
    with_runs(tensorboard)
    tensorboard.add_argument("--port", type=int, default=6006)
    tensorboard.add_argument("--host", default="localhost")

    kubeflow.add_parser(
        command("kubeflow", "Compile, upload and schedule the pipeline on Kubeflow."),
        with_config,
        with_runs,
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    from ranklite.pipeline.local.runner import run

    outcome = run(
        args.config,
        args.data,
        args.runs,
        span=args.span,
        name=args.name,
        verbose=args.verbose,
        enable_cache=not args.no_cache,
    )
    from ranklite.pipeline.runs.report import (
        render,  # imports TensorFlow, whose words belong in the log
    )

    print(render(outcome))
    return 0 if outcome.pushed else 2


def _validate(args: argparse.Namespace) -> int:
    from ranklite.pipeline.config.run_config import load_config

    config = load_config(args.config)
    if args.data:
        config.check_files(args.data)
    print(f"{args.config} is valid: {config.summary()}")
    return 0


def _report(args: argparse.Namespace) -> int:
    from ranklite.pipeline.stack import import_tensorflow

    import_tensorflow()
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.local.runner import outcome
    from ranklite.pipeline.runs.folders import Folders
    from ranklite.pipeline.runs.report import render

    config = load_config(args.config)
    print(render(outcome(config, Folders(args.runs, config.name))))
    return 0


def _compare(args: argparse.Namespace) -> int:
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
    from ranklite.pipeline.comparison.runs import catalogue
    from ranklite.pipeline.tables import table

    print(table(["run", "started (UTC)", "AUC", "log loss", "bytes", "result"], catalogue(runs)))
    return 0


def _compare_runs(names: Sequence[str], runs: str, folder: str) -> int:
    from ranklite.pipeline.comparison.page import compare, page, render
    from ranklite.pipeline.comparison.runs import find
    from ranklite.pipeline.files import write

    if len(names) < 2:
        raise ValueError(f"one run is no comparison: name another beside {names[0]!r}")
    found = find(names, runs)
    sections = compare(found)
    print(render(sections))
    path = write(os.path.join(folder, "compare.html"), page(found, sections).encode())
    print(f"written {os.path.relpath(path)}")
    return 0


def _score(args: argparse.Namespace) -> int:
    from ranklite.models.serving.scorer import Scorer

    rows = Scorer(args.model).score_csv(args.input, args.output)
    print(f"{rows} rows scored: {args.output}")
    return 0


def _lineage(args: argparse.Namespace) -> int:
    from ranklite.pipeline.runs import lineage

    found = lineage.trace(args.model, args.runs)
    whole = json.dumps(dataclasses.asdict(found), indent=2) if args.json else lineage.render(found)
    print(whole)
    return 0


def _clean(args: argparse.Namespace) -> int:
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
    for name in names:
        if name not in (*local, *fetched):
            raise FileNotFoundError(f"no run of {name} in {args.runs!r}")
        folders = Folders(args.runs, name)
        with exclusive(folders.root):
            if name in local:
                store, artifacts = folders.metadata, folders.artifacts
                _say(name, free(store, artifacts, name, args.keep, dry_run=args.dry_run), args)
            if name in fetched:
                freed = free_collected(folders.root, args.keep, dry_run=args.dry_run)
                _say(f"{name} on Kubeflow", freed, args)
    return 0


def _say(name: str, freed: Freed, args: argparse.Namespace) -> None:
    runs = ", ".join(f"#{number}" for number in freed.runs)
    what = f"{len(freed.folders)} folders, {freed.size / 1e6:.1f} MB"
    done = "would be removed" if args.dry_run else "removed"
    print(f"{name}: {what} of {runs} {done}" if freed.runs else f"{name}: nothing to remove")
    if freed.kept:
        stay = ", ".join(f"#{number}" for number in freed.kept)
        print(f"{name}: {stay} stays: the next run is compared with what it pushed")


def _tensorboard(args: argparse.Namespace) -> int:
    from ranklite.pipeline.stack import import_tensorflow

    import_tensorflow()
    from tensorboard import program

    from ranklite.pipeline.local.tensorboard import arrange

    logs = arrange(args.runs)

    def keep_up() -> None:
        while True:
            time.sleep(_BOARD_SECONDS)
            try:
                arrange(args.runs)
            except (OSError, ValueError) as error:  # such as a store that is being written to
                print(f"ranklite tensorboard: {error}; tried again soon", file=sys.stderr)

    threading.Thread(target=keep_up, daemon=True).start()
    board = program.TensorBoard()
    board.configure(
        argv=["tensorboard", "--logdir", logs, "--port", str(args.port), "--host", args.host]
    )
    return int(board.main() or 0)


_COMMANDS = {
    "run": _run,
    "validate": _validate,
    "report": _report,
    "compare": _compare,
    "score": _score,
    "lineage": _lineage,
    "clean": _clean,
    "tensorboard": _tensorboard,
    "kubeflow": kubeflow.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
      argv: Arguments after the program's name; None takes those of the process.

    Returns:
      0 if all went well, 1 after an error, 2 if a gate kept the model from being pushed; 130 if it
      was interrupted, 141 if what reads its output (`| head`) ended before it.
    """
    args = _parser().parse_args(argv)
    if args.command != "run":  # which keeps these words in its log
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what is absent: CUDA, TensorRT
        warnings.filterwarnings("ignore", category=FutureWarning, module="google")
    try:
        code = _COMMANDS[args.command](args)
        sys.stdout.flush()  # or a pipe that broke would be noticed where nothing can be done
        return code
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _unread():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is buffered
            return 141
        print(f"ranklite {args.command}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        why = explained(f"`ranklite {args.command}`", error)
        if why is error:
            raise
        print(f"ranklite {args.command}: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from the last finished stage"
        print(f"\nstopped{goes_on if args.command == 'run' else ''}", file=sys.stderr)
        return 130


def _unread() -> bool:
    """Whether what read the standard output is gone; a broken pipe may be a socket's, too."""
    poll = select.poll()
    poll.register(sys.stdout, select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


if __name__ == "__main__":
    sys.exit(main())
