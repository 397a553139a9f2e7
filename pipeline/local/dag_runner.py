"""Runs the stages of a pipeline on this machine, those that do not wait for each other at once.

TFX's LocalDagRunner runs one after the other, all in one process. Driver and publisher of a stage,
which write to ML Metadata, are TFX's own and run here, one at a time; its executor runs elsewhere
where there are processes for it.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils, tfx_runner
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import execution_invocation_pb2, execution_result_pb2

from ranklite.components import manifest
from ranklite.pipeline.local.beam_progress import counted
from ranklite.pipeline.local.stage_processes import StageProcesses
from ranklite.pipeline.local.stages import Stages
from ranklite.pipeline.local.whole_artifacts import WholeArtifacts, artifacts_of

_log = logging.getLogger(__name__)


def execute(given: tuple[Any, bytes, bytes]) -> bytes:
    """Runs an executor and writes the manifests of what it made.

    It is what `StageProcesses` does with what it is given.

    Args:
      given: Type and content of its specification, and its ExecutionInvocation.

    Returns:
      An ExecutorOutput.
    """
    kind, content, invocation = given
    spec = kind.FromString(content)
    proto = execution_invocation_pb2.ExecutionInvocation.FromString(invocation)
    operator = launcher.DEFAULT_EXECUTOR_OPERATORS[kind](spec)
    info = ExecutionInfo.from_proto(proto)
    with counted():
        output = operator.run_executor(info)
    for artifact in artifacts_of(info.output_dict):
        manifest.write(artifact.uri)
    return output.SerializeToString()


class DagRunner(tfx_runner.IrBasedRunner):
    """TFX's runner for one machine, with a process a stage.

    Args:
      stages: Told what begins and ends.
      enter: Told the name of a stage's log when it begins in this process, "" when it ends; not
        where there are processes, which have logs of their own.
      processes: What runs executors; None runs all of them in this process, one after the other.
      at_once: How many stages run at the same time where there are processes.
      alone: Nodes beside which no other one runs: what they time would not be true.
    """

    def __init__(
        self,
        stages: Stages,
        enter: Callable[[str], None],
        processes: StageProcesses | None = None,
        at_once: int = 1,
        alone: Collection[str] = (),
    ) -> None:
        self._stages, self._enter = stages, (lambda log: None) if processes else enter
        self._processes, self._at_once, self._alone = processes, at_once, alone
        self._baton = threading.Lock()  # who has it uses ML Metadata
        self._artifacts = WholeArtifacts(stages.say)

    def run_with_ir(self, pipeline: Any, run_options: Any = None, **_: Any) -> None:
        """Runs a compiled pipeline.

        Raises:
          Exception: Whatever the first stage that failed raised; nothing else is started then.
        """
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline,
            {constants.PIPELINE_RUN_ID_PARAMETER_NAME: datetime.datetime.now().isoformat()},
        )
        nodes = [node.pipeline_node for node in pipeline.nodes]
        with self._artifacts.guarding_cache():
            self._run_nodes(nodes, pipeline)

    def _run_nodes(self, nodes: list[Any], pipeline: Any) -> None:
        if self._processes is None:
            with counted():
                for node in nodes:
                    self._launch(node, pipeline)
            return
        done: set[str] = set()
        running: dict[Future[None], str] = {}
        pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="stage")
        try:
            while nodes or running:
                for node in [each for each in nodes if done.issuperset(each.upstream_nodes)]:
                    if self._may_start(node.node_info.id, running.values()):
                        nodes.remove(node)
                        future = pool.submit(self._launch, node, pipeline)
                        running[future] = node.node_info.id
                ended, _others = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    done.add(running.pop(future))
                    future.result()
        except BaseException:
            self._processes.stop()
            raise
        finally:
            pool.shutdown()

    def _may_start(self, node: str, running: Collection[str]) -> bool:
        """Whether there is room for a node beside those that run."""
        if node in self._alone or any(each in self._alone for each in running):
            return not running
        return len(running) < self._at_once

    def _launch(self, node: Any, pipeline: Any) -> None:
        """Driver, executor and publisher of a stage."""
        stage = node.node_info.id
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = getattr(
            deployment.metadata_connection_config,
            deployment.metadata_connection_config.WhichOneof("connection_config"),
        )
        with self._baton:
            log = self._stages.begin(stage)
            self._enter(log)
            _log.info("Component %s is running.", stage)
            try:
                launcher.Launcher(
                    pipeline_node=node,
                    mlmd_connection=metadata.Metadata(connection),
                    pipeline_info=pipeline.pipeline_info,
                    pipeline_runtime_spec=pipeline.runtime_spec,
                    executor_spec=runner_utils.extract_executor_spec(deployment, stage),
                    custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, stage),
                    custom_executor_operators=self._operators(stage, log),
                ).launch()
            except Exception:
                self._stages.fail(stage, log)
                raise
            self._stages.end(stage)
            self._enter("")

    def _operators(self, stage: str, log: str) -> dict[Any, Any]:
        """What runs executors in place of TFX's own."""
        elsewhere = functools.partial(_Elsewhere, self, stage, log)
        return dict.fromkeys(launcher.DEFAULT_EXECUTOR_OPERATORS, elsewhere)

    def _run(self, stage: str, log: str, spec: Any, info: ExecutionInfo) -> bytes:
        """Runs an executor, in a process if there are any, while others may use ML Metadata."""
        given = type(spec), spec.SerializeToString(), info.to_proto().SerializeToString()
        with _given_away(self._baton):
            self._artifacts.check_inputs(info.input_dict)
            if self._processes is None:
                content = execute(given)
            else:
                show = functools.partial(self._stages.show, stage)
                result = self._processes.run(log, given, show, self._stages.say)
                self._stages.peaks[stage] = result.peak
                content = result.content
        self._artifacts.written(artifacts_of(info.output_dict))
        return content


class _Elsewhere:
    """An executor operator of TFX's launcher that has the runner run the executor."""

    def __init__(
        self, runner: DagRunner, stage: str, log: str, *, executor_spec: Any, platform_config: Any
    ) -> None:
        self._runner, self._stage, self._log, self._spec = runner, stage, log, executor_spec

    def with_execution_watcher(self, address: str) -> _Elsewhere:
        """Nothing watches: no executor of ours changes its properties while it runs."""
        return self

    def run_executor(self, info: ExecutionInfo) -> Any:
        """What TFX's launcher calls."""
        output = self._runner._run(self._stage, self._log, self._spec, info)
        return execution_result_pb2.ExecutorOutput.FromString(output)


@contextlib.contextmanager
def _given_away(lock: threading.Lock) -> Iterator[None]:
    """Lets others have a lock for a while."""
    lock.release()
    try:
        yield
    finally:
        lock.acquire()
