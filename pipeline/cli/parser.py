"""The arguments of the `ranklite` command."""

from __future__ import annotations

import argparse

import ranklite
from ranklite.models.environment import cores
from ranklite.pipeline.cli import serving
from ranklite.pipeline.kubeflow import commands as kubeflow
from ranklite.pipeline.runs.folders import DEFAULT_RUNS

DEFAULT_CONFIG = "configs/synthetic.yaml"


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; `command` of what it returns names one."""
    top = argparse.ArgumentParser(
        prog="ranklite",
        description="From interaction logs to a small, fast, gated TFLite ranking model.",
    )
    top.add_argument("--version", action="version", version=f"ranklite {ranklite.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

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
    run.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=_jobs,
        default=min(2, cores()),
        help="how many stages run at the same time, each in a process of its own, where none waits "
        "for another (default: %(default)s); 0 runs all in one process",
    )

    validate = command("validate", "Check a configuration without running anything.")
    with_config(validate)
    validate.add_argument(
        "--data",
        metavar="DIR",
        help="also read the first rows of its files, and say what a run would make of them",
    )

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

    score = command("score", "Score the rows of a file with a pushed model (no TensorFlow).")
    score.add_argument("model", help="a pushed version, or the folder of all versions")
    score.add_argument(
        "input",
        help="CSV, JSON Lines or Parquet file with the columns of the model's log, or, where the "
        "configuration has a query, the folder of the log",
    )
    score.add_argument(
        "-o",
        "--output",
        required=True,
        help="file to write, in the format of the input: the input and a column of scores; text "
        "that a spreadsheet takes for a formula is left as it is",
    )
    score.add_argument(
        "--column", default="score", help="name of that column (default: %(default)s)"
    )
    score.add_argument(
        "--target",
        help="which file of a version that has several, such as onnx (default: the first one that "
        "it was pushed with)",
    )

    serving.add_parser(
        command("serve", "Serve a pushed model over HTTP, and each new version once it is there.")
    )

    demo = command(
        "demo", "Open a page that ranks with a pushed model in the browser (no TensorFlow)."
    )
    demo.add_argument("model", help="a pushed version, or the folder of all versions")
    demo.add_argument("--port", type=int, default=8000, help="0: any (default: %(default)s)")
    demo.add_argument(
        "--litert",
        metavar="DIR",
        help="folder of LiteRT.js: node_modules (default: that of `make demo`)",
    )

    lineage = command(
        "lineage", "Say which logs, code and configuration made a model, and what was refused."
    )
    lineage.add_argument("model", help="a model file, a pushed version, or the folder of all")
    with_runs(lineage)
    lineage.add_argument("--json", action="store_true", help="everything, as JSON")

    verify = command(
        "verify", "Hold pushed versions and artifacts to the digests that were written with them."
    )
    verify.add_argument(
        "model",
        nargs="?",
        help="a pushed version, or the folder of all versions (default: all that the runs of "
        "--config made, and what they pushed)",
    )
    with_config(verify)
    with_runs(verify)

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
    return top


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _jobs(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of stages, 0 or more")
    return int(text)
