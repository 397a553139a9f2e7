"""Real clusters on loopback: Spark's standalone master with two workers, and two nodes of Ray."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ranklite.components.trainer.workers import free_ports
from tests.object_store import die_with_parent

START_SECONDS = 90.0
STOP_SECONDS = 15.0
ROOT = pathlib.Path(__file__).parents[1]
SPARK_OPTIONS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.ui.enabled": False,
    "spark.executor.heartbeatInterval": "1s",
}


def lacks_spark() -> str | None:
    """Why Spark cannot run here; None where it can."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed"
    return None if shutil.which("java") else "Spark needs Java: there is no `java`"


def lacks_ray() -> str | None:
    """Why Ray cannot run here; None where it can."""
    return None if importlib.util.find_spec("ray") else "ray is not installed"


def _environment(**more: str) -> dict[str, str]:
    """What workers need: this checkout and the tests."""
    # TFX imports IPython, which adds a folder with another package `tests`.
    ours = [path for path in sys.path if path and not path.endswith("IPython/extensions")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *ours]), **more}


@contextlib.contextmanager
def _running(
    command: list[str],
    log: pathlib.Path,
    environment: Mapping[str, str],
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the context, or with this one."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=environment, stdout=file, stderr=file, preexec_fn=die_with_parent
        )
    try:
        yield process
    finally:
        process.send_signal(end)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def spark_cluster(folder: pathlib.Path) -> Iterator[str]:
    """A master and two workers of one core each; yields the master's address.

    Args:
      folder: For their logs and what executors write.
    """
    import pyspark

    home = pathlib.Path(pyspark.__file__).parent
    program = [str(home / "bin/spark-class")]
    [port] = free_ports(1)
    master = f"spark://127.0.0.1:{port}"
    environment = _environment(
        SPARK_HOME=str(home),
        SPARK_DAEMON_MEMORY="256m",
        SPARK_LOCAL_IP="127.0.0.1",
        SPARK_LOCAL_DIRS=str(folder / "local"),
        SPARK_WORKER_DIR=str(folder / "work"),
    )
    common = ["--host", "127.0.0.1", "--webui-port", "0"]
    log = folder / "master.log"
    with contextlib.ExitStack() as stack:
        command = [*program, "org.apache.spark.deploy.master.Master", *common, "--port", str(port)]
        running = [stack.enter_context(_running(command, log, environment))]
        for number in range(2):
            command = [*program, "org.apache.spark.deploy.worker.Worker", *common, master]
            command += ["--cores", "1", "--memory", "1g"]
            own = folder / f"worker{number}.log"
            running.append(stack.enter_context(_running(command, own, environment)))
        end = time.monotonic() + START_SECONDS
        while log.read_text(errors="replace").count("Registering worker") < 2:
            if time.monotonic() > end or any(each.poll() is not None for each in running):
                raise RuntimeError(log.read_text(errors="replace")[-2000:])
            time.sleep(0.1)
        yield master


@contextlib.contextmanager
def ray_cluster(client_port: int | None = None) -> Iterator[str]:
    """Two nodes of one CPU each; yields the head's address.

    Args:
      client_port: Of the head's server for Ray's client; None starts none.
    """
    with _changed(RAY_USAGE_STATS_ENABLED="0", PYTHONPATH=_environment()["PYTHONPATH"]):
        import ray
        from ray.cluster_utils import Cluster

        node: dict[str, Any] = {
            "num_cpus": 1,
            "object_store_memory": 80 << 20,
            "include_dashboard": False,
        }
        client = {"ray_client_server_port": client_port} if client_port else {}
        cluster = Cluster(initialize_head=True, head_node_args={**node, **client})
        try:
            cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
            cluster.wait_for_nodes(START_SECONDS)
            yield str(cluster.address)
        finally:
            ray.shutdown()  # who is connected to a node may not remove it
            cluster.shutdown()


def lacks_namespaces() -> str | None:
    """Why no process here can be kept from seeing a folder; None where one can."""
    try:
        subprocess.run([*_unshare(), "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no namespaces of mounts and processes: {error}"
    return None


def _unshare() -> list[str]:
    """A command's beginning: mounts and processes of its own, which end with it."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


@contextlib.contextmanager
def elsewhere(cluster: str, hidden: pathlib.Path, log: pathlib.Path) -> Iterator[str]:
    """A cluster that does not see a folder of this machine; yields its address.

    Args:
      cluster: One of the contexts above, as it is called.
      hidden: What the cluster sees empty: what is a pod's own.
      log: Receives what it prints.
    """
    code = (
        "import pathlib, signal\n"
        "from tests.engine_clusters import *\n"
        f"with {cluster} as address:\n"
        "    print('it runs at', address, flush=True)\n"
        "    signal.pause()\n"
    )
    hide = ["sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden)]
    command = [*_unshare(), *hide, sys.executable, "-c", code]
    with _running(command, log, _environment(), signal.SIGKILL) as process:
        runs = re.compile(r"^it runs at (.+)$", re.MULTILINE)
        until(lambda: runs.search(log.read_text()) or process.poll() is not None)
        found = runs.search(log.read_text())
        if not found:
            raise RuntimeError(log.read_text(errors="replace")[-2000:])
        yield found[1]


@contextlib.contextmanager
def spark_driver() -> Iterator[None]:
    """Stops what this process has started of Spark, its Java process too."""
    from pyspark import SparkContext

    try:
        yield
    finally:
        if SparkContext._active_spark_context:
            SparkContext._active_spark_context.stop()
        gateway, SparkContext._gateway, SparkContext._jvm = SparkContext._gateway, None, None
        if gateway is not None:
            gateway.shutdown()
            gateway.proc.stdin.close()  # its sign to end
            gateway.proc.wait(STOP_SECONDS)


@contextlib.contextmanager
def ray_driver() -> Iterator[None]:
    """Disconnects this process from Ray."""
    import ray

    try:
        yield
    finally:
        ray.shutdown()


def script(code: str | pathlib.Path, log: pathlib.Path) -> Any:
    """A context with a Python process that runs code, or a file; what it prints is in `log`."""
    given = [str(code)] if isinstance(code, pathlib.Path) else ["-c", code]
    return _running([sys.executable, *given], log, _environment())


def until(true: Callable[[], object], seconds: float = START_SECONDS) -> None:
    """Waits.

    Raises:
      TimeoutError: It is not true by then.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs, and is not a mere entry of one that ended."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):  # it ended before, or meanwhile
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@contextlib.contextmanager
def _changed(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
