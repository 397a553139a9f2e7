"""Every registered engine keeps what `Engine.map` promises; those of clusters on real clusters."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import socket
import sys
from unittest import mock

import pytest

from ranklite.components.engines import ENGINES, spark
from ranklite.components.engines.attempts import (
    MOST_BYTES,
    OtherVersion,
    TaskFailed,
    TooLarge,
    WorkerTraceback,
    attempt,
    outcome,
)
from ranklite.components.engines.engine import ATTEMPTS, Engine, WorkerLost
from ranklite.components.engines.local import Local
from ranklite.components.engines.ray import Ray
from ranklite.components.engines.reachable import own_host
from ranklite.components.engines.spark import Spark
from ranklite.components.log_example_gen import IngestError
from ranklite.components.trainer.workers import free_ports
from ranklite.extras import MissingExtra
from tests import engine_clusters
from tests.components.engines import conftest, work


def test_every_engine_is_tested() -> None:
    assert set(conftest.ON) == set(ENGINES.names)


def test_results_come_in_the_order_of_the_tasks(engine: Engine) -> None:
    done: list[int] = []
    assert engine.map(work.slow_first, range(5), done.append) == [0, 1, 2, 3, 4]
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_two_tasks_run_at_once(engine: Engine) -> None:
    assert engine.at_once() == 2


def test_no_task_has_no_result(engine: Engine) -> None:
    assert engine.map(work.square, []) == []


def test_one_task_has_one(engine: Engine) -> None:
    assert engine.map(work.square, [3]) == [9]


def test_two_work_at_once_and_none_of_them_is_this_process(
    engine: Engine, tmp_path: pathlib.Path
) -> None:
    first, second = engine.map(work.where, [str(tmp_path)] * 2)
    assert len({os.getpid(), first[0], second[0]}) == 3


def test_what_a_task_raises_is_raised_here_and_not_tried_again(
    engine: Engine, tmp_path: pathlib.Path
) -> None:
    tasks = [(str(tmp_path), number) for number in range(4)]
    with pytest.raises(IngestError) as error:
        engine.map(work.fails, tasks)
    assert str(error.value) == "log.csv: line 7: no label"
    assert isinstance(error.value.__cause__, WorkerTraceback)
    assert "in fails" in str(error.value.__cause__)
    assert (tmp_path / "2").read_text() == "."


def test_what_cannot_be_pickled_is_told(engine: Engine) -> None:
    with pytest.raises(TaskFailed, match="Odd: this and that"):
        engine.map(work.raises_odd, [1, 2])


@pytest.mark.fault("a worker of an engine is killed by SIGKILL", "its task is tried again")
def test_a_task_whose_worker_is_killed_is_tried_again(
    engine: Engine, tmp_path: pathlib.Path
) -> None:
    done: list[int] = []
    tasks = [(str(tmp_path), number) for number in range(6)]
    assert engine.map(work.dies_once, tasks, done.append) == list(range(6))
    assert (tmp_path / "1").read_text() == ".."
    assert sorted(done) == list(range(6))


@pytest.mark.fault("a task kills its worker each time", "given up after four, and named")
def test_what_kills_its_worker_each_time_is_given_up(
    engine: Engine, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(WorkerLost, match=f"{ATTEMPTS} times"):
        engine.map(work.dies_if_second, [(str(tmp_path), number) for number in range(2)])
    assert (tmp_path / "1").read_text() == "." * ATTEMPTS


def test_large_results_are_refused(engine: Engine) -> None:
    with pytest.raises(TooLarge, match=r"work.large returned 16,777,.* write them into a file"):
        engine.map(work.large, [MOST_BYTES, 1])


def test_what_cannot_be_imported_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="cannot be imported by a worker"):
        engine.map(lambda number: number, [1, 2])


def test_an_engine_serves_after_a_failure(engine: Engine) -> None:
    assert engine.map(work.square, [1, 2]) == [1, 4]


def test_a_worker_that_dies_takes_no_other_task_with_it(tmp_path: pathlib.Path) -> None:
    tasks = [(str(tmp_path), number) for number in range(6)]
    Local(workers=3).map(work.dies_once, tasks)
    tried = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert tried == {"0": 1, "1": 2, "2": 1, "3": 1, "4": 1, "5": 1}


def test_workers_share_the_cores(tmp_path: pathlib.Path) -> None:
    shares = Local(workers=2).map(work.where, [str(tmp_path)] * 2)
    assert sum(cores for _, cores in shares) == max(2, len(os.sched_getaffinity(0)))


def test_one_worker_works_in_this_process(tmp_path: pathlib.Path) -> None:
    (tmp_path / "other").touch()
    [(pid, _)] = Local(workers=1).map(work.where, [str(tmp_path)])
    assert pid == os.getpid()


def test_workers_end_with_who_asked(tmp_path: pathlib.Path) -> None:
    """Whether by Ctrl-C, as here first, or by SIGKILL."""
    for number in (signal.SIGINT, signal.SIGKILL):
        folder = tmp_path / number.name
        folder.mkdir()
        code = (
            # What runs in the background of a script ignores Ctrl-C.
            "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from ranklite.components.engines.local import Local\n"
            "from tests.components.engines import work\n"
            f"Local(workers=2).map(work.sleeps, [({str(folder)!r}, n) for n in range(4)])\n"
        )
        with engine_clusters.script(code, tmp_path / "log") as process:
            engine_clusters.until(lambda: len(list(folder.glob("*.pid"))) == 2)  # noqa: B023
            process.send_signal(number)
            assert process.wait(60) != 0
            pids = [int(path.stem) for path in folder.glob("*.pid")]
            engine_clusters.until(lambda: not any(map(engine_clusters.is_alive, pids)))  # noqa: B023


def test_a_process_that_had_workers_ends(tmp_path: pathlib.Path) -> None:
    """One of multiprocessing waits for its children, and runs no handler of atexit."""
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=work.has_workers)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    code = "from tests.components.engines import work\nwork.has_workers()\n"
    with engine_clusters.script(code, tmp_path / "log") as script:
        assert script.wait(60) == 0


def test_a_script_without_a_guard_is_not_run_again_by_workers(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from ranklite.components.engines.local import Local\n"
        "from tests.components.engines import work\n"
        "print(Local(workers=2).map(work.square, [1, 2]))\n"
    )
    log = tmp_path / "log"
    with engine_clusters.script(script, log) as process:
        assert process.wait(120) == 0, log.read_text()
    assert log.read_text().splitlines() == ["[1, 4]"]


@pytest.mark.parametrize(
    ("settings", "package", "extra"),
    [
        ({"kind": "spark", "master": "local[2]"}, "pyspark", "spark"),
        ({"kind": "ray"}, "ray", "ray"),
    ],
)
def test_a_package_that_is_missing_is_named(
    settings: dict[str, str], package: str, extra: str
) -> None:
    engine = ENGINES.get(settings["kind"]).model_validate(settings)
    expected = rf"engine.kind: {extra} needs {package}, .*: pip install 'ranklite\[{extra}\]'"
    with (
        mock.patch.dict(sys.modules, {package: None}),
        pytest.raises(MissingExtra, match=expected),
    ):
        engine.map(work.square, [1])


@pytest.mark.skipif(bool(engine_clusters.lacks_spark()), reason=str(engine_clusters.lacks_spark()))
def test_a_spark_master_that_is_not_there_is_told_at_once() -> None:
    [port] = free_ports(1)
    with pytest.raises(
        ConnectionError, match=rf"no Spark master answers at spark://127.0.0.1:{port}"
    ):
        Spark(master=f"spark://127.0.0.1:{port}").map(work.square, [1])


@pytest.mark.parametrize(
    ("host", "environment", "settings"),
    [
        ("10.0.0.7", {}, {"spark.driver.host": "10.0.0.7"}),
        ("[fd00::7]", {}, {"spark.driver.host": "[fd00::7]"}),
        ("127.0.0.1", {}, {}),  # workers of other machines do not find it there
        ("10.0.0.7", {"SPARK_LOCAL_HOSTNAME": "driver.example"}, {}),
    ],
)
def test_spark_s_workers_are_told_an_address_and_no_name(
    host: str, environment: dict[str, str], settings: dict[str, str]
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        mock.patch.dict(os.environ, environment),
        mock.patch.object(spark, "own_host", return_value=host),
    ):
        master = f"spark://127.0.0.1:{listening.getsockname()[1]}"
        assert Spark(master=master)._reached() == settings


def test_the_own_address_is_what_the_other_side_sees() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert own_host(f"127.0.0.1:{port}") == "127.0.0.1"
        connection, (host, _) = listening.accept()
        connection.close()
    assert host == "127.0.0.1"


@pytest.mark.skipif(bool(engine_clusters.lacks_ray()), reason=str(engine_clusters.lacks_ray()))
def test_a_ray_cluster_that_is_not_there_is_told() -> None:
    [port] = free_ports(1)
    with pytest.raises(ConnectionError, match=rf"no Ray cluster answers at 127.0.0.1:{port}"):
        Ray(address=f"127.0.0.1:{port}").map(work.square, [1])


def test_another_version_on_a_worker_is_told() -> None:
    with pytest.raises(OtherVersion, match=r"and this process 0\.0: install the same version"):
        outcome(attempt(work.square, "0.0", 3))
