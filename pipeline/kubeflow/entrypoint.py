"""What runs in a pod: the surroundings of a TFX executor that Kubeflow Pipelines does not give it.

TFX's own container program (`kubeflow_v2_run_executor`) opens the URIs it is handed. Kubeflow's
launcher hands out those of its object storage, mirrored on the pod's disk, and knows neither
resolvers nor folders that outlive a run. So this program

    1. gives input artifacts the types that the pipeline was compiled with, and leaves outputs alone
       that Kubeflow adds,
    2. replaces URIs by the mirrored folders; where a cluster works for the task, by folders on a
       volume that its workers see, which inputs are copied to and outputs from,
    3. adds what the task recalls from earlier runs (`pipeline.history`),
    4. fetches the files of the log that the run reads, and gives the task local folders in place of
       remote ones,
    5. holds input artifacts to their manifests,
    6. calls TFX's program,
    7. writes the manifests of output artifacts, uploads what the task left in those folders, puts
       the URIs back into its output,
    8. keeps what later runs recall; where the task fails, the reason and a page.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import logging
import os
import pathlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ranklite.components
from ranklite.components.engines.current import used
from ranklite.components.engines.engine import from_json
from ranklite.components.run_report.current import current
from ranklite.pipeline.history import HISTORY_PROPERTY
from ranklite.pipeline.kubeflow import (
    failure,
    run_record,
    shared_folder,
    storage,
    task_artifacts,
    task_folders,
)
from ranklite.pipeline.local.beam_progress import counted
from ranklite.pipeline.local.progress import Display

_log = logging.getLogger(__name__)

TIMED_OUT = 124


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True, metavar="JSON")
    parser.add_argument("--json_serialized_inputs_spec_args", metavar="JSON")
    parser.add_argument(
        "--history", required=True, metavar="URI", help="folder of what later runs recall"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="stop the task after it")
    parser.add_argument("--engine", metavar="JSON", help="what works on the parts of the log")
    parser.add_argument(
        "--shared", metavar="PATH", help="volume that the engine's workers mount under this path"
    )
    parser.add_argument("--run", metavar="JSON", help="what the first task keeps of the run")
    return parser.parse_known_args(argv)


def main(argv: Sequence[str]) -> None:
    """Runs a task; the arguments are those of the compiled container."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    # TFX finds the class of an artifact by its TYPE_NAME, `components.Trials`: the names are older
    # than the package, and stay, so that the stores that hold them can be read.
    sys.modules["components"] = ranklite.components
    args, beam_args = _parse(argv)
    task = json.loads(args.json_serialized_invocation_args)
    record = run_record.begin(task, args.run)
    with contextlib.ExitStack() as stack:
        keep = stack.enter_context(failure.kept(task, record))
        if record:
            stack.enter_context(current(record.about))
        engine = from_json(args.engine) if args.engine else None
        stack.enter_context(used(engine))
        shared = stack.enter_context(shared_folder.opened(args.shared)) if args.shared else None
        if args.timeout:
            _stop_after(args.timeout, args.executor_class_path, keep, shared)
        if engine and shared:
            shared.check_seen(engine)
        _run_task(args, beam_args, task, shared.path if shared else None)


def _run_task(
    args: argparse.Namespace, beam_args: list[str], task: dict[str, Any], shared: str | None
) -> None:
    task_artifacts.name_types(task, json.loads(args.json_serialized_inputs_spec_args or "{}"))
    task_artifacts.drop_foreign_outputs(task)
    parameters = task.get("inputs", {}).get("parameterValues", {})
    history = json.loads(parameters.get(HISTORY_PROPERTY) or "{}")
    task_artifacts.recall(task, history.get("recalls", {}), args.history)
    kept = {  # copied before the URIs of the storage are replaced
        slot: copy.deepcopy(task["inputs"]["artifacts"][key]["artifacts"][0])
        for slot, key in history.get("keeps", {}).items()
    }
    uris = task_artifacts.to_mounts(task, shared)
    task_artifacts.check_inputs(task, uris)
    with task_folders.local_folders(parameters, shared) as pushed_to:
        with _progress(args.executor_class_path):
            output_file = _run(args, task, beam_args)
        output = json.loads(pathlib.Path(output_file).read_text(encoding="utf-8"))
        task_folders.name_pushed_version(output, pushed_to)
    task_artifacts.keep_manifests(output, uris)
    task_artifacts.to_launcher(output, uris)
    task_artifacts.from_mounts(output, uris)
    pathlib.Path(output_file).write_text(json.dumps(output), encoding="utf-8")
    if task_artifacts.is_kept(output):
        for slot, artifact in kept.items():
            uri = task_artifacts.slot_uri(args.history, slot)
            storage.write(uri, json.dumps(artifact, indent=2).encode())
            _log.info("later runs recall %s: %s", slot, artifact["uri"])


def _stop_after(
    seconds: float,
    what: str,
    keep: Callable[[str], None],
    shared: shared_folder.SharedFolder | None = None,
) -> None:
    def stop() -> None:
        print(f"{what} was stopped: it ran past {seconds:g} s", file=sys.stderr, flush=True)
        keep(f"it ran past its timeout of {seconds:g} s and was stopped")
        if shared:
            shared.remove()
        os._exit(TIMED_OUT)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def _progress(executor: str) -> Iterator[None]:
    """Says in plain lines how far the task is; `a.pusher.executor.Executor` is `pusher`."""
    display = Display(sys.stderr, live=False)
    with display.running(), counted():
        display.begin(executor.split(".")[-3:][0])
        yield
        display.end()


def _run(args: argparse.Namespace, task: dict[str, Any], beam_args: list[str]) -> str:
    """Calls TFX's program; returns the file with the task's output."""
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as tfx

    given = argparse.Namespace(
        executor_class_path=args.executor_class_path,
        json_serialized_invocation_args=json.dumps(task),
        json_serialized_inputs_spec_args=args.json_serialized_inputs_spec_args,
    )
    tfx.main((given, beam_args))
    return task["outputs"]["outputFile"]


if __name__ == "__main__":
    main(sys.argv[1:])
