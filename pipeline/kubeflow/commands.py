"""`ranklite kubeflow compile|upload|schedule|runs|collect`."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
from collections.abc import Callable


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
    for sub in (upload, schedule):
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
    runs = action("runs", "List the newest runs with their state.")
    server(runs)
    runs.add_argument("--limit", type=int, default=10, help="how many (default: 10)")
    collect = action("collect", "Fetch pages and TensorBoard logs of the runs, to see them here.")
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
    _uploaded(args, None)
    return 0


def _schedule(args: argparse.Namespace) -> int:
    from ranklite.pipeline.kubeflow.cron import six_fields

    _uploaded(args, six_fields(args.cron))  # a wrong expression before anything is sent
    return 0


def _uploaded(args: argparse.Namespace, cron: str | None) -> None:
    from ranklite.pipeline.kubeflow.client import Kubeflow

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pipeline.yaml")
        name, _ = _compile_to(args, path)
        say = functools.partial(print, file=sys.stdout)  # this one: kfp's own words are silenced
        server = Kubeflow(args.host, args.namespace, say=say if args.dry_run else None)
        pipeline_id, version_id, new = server.upload(path, name)
    done = "would be uploaded" if args.dry_run else "uploaded"
    print(f"{name}: version {version_id} {done if new else 'is there already, unchanged'}")
    if cron is None:
        return
    made, replaced = server.schedule(name, cron, pipeline_id, version_id)
    done = "would be scheduled" if args.dry_run else f"scheduled as {made}"
    instead = f", in place of {', '.join(replaced)}" if replaced else ""
    print(f"{name}: {done} at '{args.cron}' (UTC){instead}")


def _runs(args: argparse.Namespace) -> int:
    from ranklite.models.reporting.tables import table
    from ranklite.pipeline.config.run_config import load_config
    from ranklite.pipeline.kubeflow.client import Kubeflow

    name = load_config(args.config).name
    result = Kubeflow(args.host, args.namespace).runs(name, args.limit)
    if not result:
        print(f"{name}: no runs yet")
        return 0
    rows = [
        [
            one.name,
            one.created.strftime("%Y-%m-%d %H:%M") if one.created else "",
            one.state,
            one.error,
        ]
        for one in result
    ]
    print(table(["run", "created (UTC)", "state", "error"], rows))
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
    result, fetched = collect(folders(config, root)["artifacts"], pipeline)
    print(f"{config.name}: {result} runs, {fetched} new or longer files fetched to {pipeline}")
    print(f"next: ranklite tensorboard --runs {args.runs}")
    return 0
