"""`ranklite kubeflow compile|upload|schedule|run|runs|collect`."""

from __future__ import annotations

import argparse
import datetime
import functools
import os
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranklite.pipeline.kubeflow.client import Kubeflow


def add_parser(
    kubeflow: argparse.ArgumentParser,
    with_config: Callable[[argparse.ArgumentParser], None],
    with_runs: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Adds the commands.

    Args:
      kubeflow: Parser of `ranklite kubeflow`.
      with_config: Adds the option `--config`.
      with_runs: Adds the option `--runs`.
    """
    actions = kubeflow.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text)
        with_config(sub)
        return sub

    def compiled(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--image", help="container image (default: kubeflow.image)")
        sub.add_argument(
            "--pipeline-root",
            metavar="URI",
            help="gs://, s3:// or minio:// for artifacts (default: kubeflow.pipeline_root)",
        )
        sub.add_argument(
            "--data",
            metavar="URI",
            help="URI or mounted folder of the log (default: kubeflow.data)",
        )

    def server(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--host",
            metavar="URL",
            help="the Kubeflow Pipelines API (default: KF_PIPELINES_ENDPOINT, or the cluster that "
            "kubectl is set to)",
        )
        sub.add_argument("--namespace", help="of a multi-user installation")

    compile_ = action("compile", "Write the pipeline for Kubeflow Pipelines 2 as YAML.")
    compiled(compile_)
    compile_.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write")

    upload = action("upload", "Compile, and upload as a new version of the pipeline.")
    schedule = action("schedule", "Upload, and run it on a schedule; replaces its last schedule.")
    start = action("run", "Upload, and run it once, now; what is scheduled stays.")
    for sub in (upload, schedule, start):
        compiled(sub)
        server(sub)
        sub.add_argument(
            "--dry-run",
            action="store_true",
            help="ask the server, change nothing, print the requests that would",
        )
    schedule.add_argument(
        "--cron",
        required=True,
        help="minute, hour, day of month, month, day of week, in UTC: '0 2 * * *'",
    )
    start.add_argument("--name", help="what the run is called (default: the pipeline and the time)")
    start.add_argument(
        "--span", help="newest span of the log to read (default: the newest there is)"
    )
    runs = action("runs", "List the newest runs: name, state, failed task, reason and page.")
    server(runs)
    runs.add_argument(
        "--pipeline-root",
        metavar="URI",
        help="where failed tasks keep their reason and page (default: kubeflow.pipeline_root)",
    )
    runs.add_argument("--limit", type=int, default=10, help="how many (default: 10)")
    collect = action(
        "collect", "Fetch pages, also of failed runs, and TensorBoard logs, to see them here."
    )
    collect.add_argument(
        "--pipeline-root", metavar="URI", help="where they are (default: kubeflow.pipeline_root)"
    )
    with_runs(collect)


def run(args: argparse.Namespace) -> int:
    """Runs a command."""
    return {
        "compile": _compile,
        "upload": _upload,
        "schedule": _schedule,
        "run": _run,
        "runs": _runs,
        "collect": _collect,
    }[args.action](args)


def _compile_to(args: argparse.Namespace, path: str) -> tuple[str, list[str]]:
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.kubeflow.compiler import compile_pipeline
    from ranklite.pipeline.stack import import_tensorflow

    config = load_config(args.config)
    import_tensorflow()
    tasks = compile_pipeline(
        config, path, image=args.image, pipeline_root=args.pipeline_root, data=args.data
    )
    return config.name, tasks


def _compile(args: argparse.Namespace) -> int:
    name, tasks = _compile_to(args, args.output)
    print(f"{name}: {len(tasks)} tasks written to {args.output}: {', '.join(tasks)}")
    print(f"next: ranklite kubeflow schedule --config {args.config} --cron '0 2 * * *' --host URL")
    return 0


def _upload(args: argparse.Namespace) -> int:
    _uploaded(args)
    return 0


def _schedule(args: argparse.Namespace) -> int:
    from ranklite.pipeline.kubeflow.cron import six_fields

    cron = six_fields(args.cron)  # a wrong expression before anything is sent
    server, name, pipeline_id, version_id = _uploaded(args)
    made, replaced = server.schedule(name, cron, pipeline_id, version_id)
    done = "would be scheduled" if args.dry_run else f"scheduled as {made}"
    instead = f", in place of {', '.join(replaced)}" if replaced else ""
    print(f"{name}: {done} at '{args.cron}' (UTC){instead}")
    return 0


def _run(args: argparse.Namespace) -> int:
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.kubeflow.compiler import SPAN_PARAMETER
    from ranklite.pipeline.runs.names import check_name

    config = load_config(args.config)
    if args.name is not None:
        check_name(args.name, config.name, [])
    if args.span is not None and not config.ingest.has_spans:
        raise ValueError(
            f"--span {args.span!r}: source.files of {config.name!r} has no {{SPAN}} or {{YYYY}}"
        )
    now = datetime.datetime.now(datetime.timezone.utc)
    run_name = args.name or f"{config.name} {now:%Y-%m-%d %H:%M}"
    server, name, pipeline_id, version_id = _uploaded(args)
    parameters = {} if args.span is None else {SPAN_PARAMETER: args.span}
    run_id = server.start(name, run_name, pipeline_id, version_id, parameters)
    done = "would be started" if args.dry_run else f"started as {run_id}"
    print(f"{name}: {run_name!r} {done}")
    return 0


def _uploaded(args: argparse.Namespace) -> tuple[Kubeflow, str, str, str]:
    """Uploads what is compiled; returns the server, and the pipeline's name, id and version."""
    from ranklite.pipeline.kubeflow.client import Kubeflow

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pipeline.yaml")
        name, _ = _compile_to(args, path)
        say = functools.partial(print, file=sys.stdout)  # this one: kfp's own words are silenced
        server = Kubeflow(args.host, args.namespace, say=say if args.dry_run else None)
        pipeline_id, version_id, new = server.upload(path, name)
    done = "would be uploaded" if args.dry_run else "uploaded"
    print(f"{name}: version {version_id} {done if new else 'is there already, unchanged'}")
    return server, name, pipeline_id, version_id


def _runs(args: argparse.Namespace) -> int:
    from ranklite.models.reporting.tables import table
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.kubeflow.client import Kubeflow
    from ranklite.pipeline.kubeflow.compiler import folders
    from ranklite.pipeline.kubeflow.runs import explain

    config = load_config(args.config)
    listed = Kubeflow(args.host, args.namespace).runs(config.name, args.limit)
    if not listed:
        print(f"{config.name}: no runs yet")
        return 0
    root = args.pipeline_root or config.kubeflow.pipeline_root
    artifacts = folders(config, root)["artifacts"] if root else None
    rows, reasons = [], list[str]()
    for run in listed:
        failed, words = explain(run, config.name, artifacts)
        created = run.created.strftime("%Y-%m-%d %H:%M") if run.created else ""
        rows.append([run.name, created, run.state, ", ".join(failed)])
        reasons += ["", f"{run.name}:", *words] if words else []
    print("\n".join([table(["run", "created (UTC)", "state", "failed task"], rows), *reasons]))
    return 0


def _collect(args: argparse.Namespace) -> int:
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.kubeflow.collect import collect
    from ranklite.pipeline.kubeflow.compiler import folders

    config = load_config(args.config)
    root = args.pipeline_root or config.kubeflow.pipeline_root
    if not root:
        raise ValueError("say where the runs are: kubeflow.pipeline_root, or --pipeline-root URI")
    pipeline = os.path.join(args.runs, config.name)
    fetched = collect(folders(config, root)["artifacts"], pipeline)
    print(
        f"{config.name}: {fetched.runs} runs, {fetched.files} new or longer files fetched to "
        f"{pipeline}"
    )
    for run in fetched.failed:
        print(f"{run.title}: {run.failure.task} failed: {run.failure.first_line}")
        print(f"  page: {run.page or 'none'}")
    print(f"next: ranklite tensorboard --runs {args.runs}")
    return 0
