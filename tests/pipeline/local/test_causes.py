"""What outside of a run stopped it is named, whatever the error says that came of it."""

from __future__ import annotations

import collections
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
import yaml

from benchmarks import small_run
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.models.serving.versions import write_version
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.local.causes import causes
from ranklite.pipeline.local.synthetic import generate
from tests.pushed_model import push

Usage = collections.namedtuple("Usage", "total used free")


def test_room_is_no_news(tmp_path: pathlib.Path) -> None:
    assert causes("the loss became nan", str(tmp_path)) == []


@pytest.mark.fault("a disk is full, and the error says something else", "the disk is named")
def test_a_disk_without_room_is_named_though_the_error_is_not_about_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = str(tmp_path / "runs")

    def usage(path: str) -> Usage:
        return Usage(8 << 20, 8 << 20, 1000) if path == full else Usage(9 << 30, 0, 9 << 30)

    os.mkdir(full)
    monkeypatch.setattr(shutil, "disk_usage", usage)
    first, advice = causes("cannot commit - no transaction is active", f"{full}/shop")
    assert first == f"The disk that holds {full} is full: 0.0 of 8.4 MB are free."
    assert f"`ranklite clean --keep 1 --runs {full}`" in advice


@pytest.mark.parametrize(
    "message",
    ["[Errno 28] No space left on device", "database or disk is full", "Disk quota exceeded: 'x'"],
)
@pytest.mark.fault("a disk or a quota is full", "told, with what helps")
def test_an_error_that_says_so_is_believed(tmp_path: pathlib.Path, message: str) -> None:
    first, _ = causes(message, str(tmp_path / "shop"))
    assert first.startswith("A disk, or a quota on it, is full")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("[Errno 30] Read-only file system: '{0}/x/y'", "{0} cannot be written to"),
        ("attempt to write a readonly database", "A folder cannot be written to"),
        ("database is locked", "Another process holds the file of ML Metadata"),
        (
            "Concurrent writes aborted after 5 tries",
            "Another process holds the file of ML Metadata",
        ),
        ("MemoryError", "Memory ran out"),
        ("Unable to allocate 80.0 GiB for an array", "Memory ran out"),
        ("its process was ended by SIGKILL: the system does so", "Memory ran out"),
        ("{{function_node x}} OOM when allocating tensor with shape[9]", "Memory ran out"),
    ],
)
@pytest.mark.fault("what is outside of a run stops it", "told, with what helps")
def test_a_cause_is_told(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, message: str, words: str
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    found = causes(message.replace("{0}", str(tmp_path)), str(tmp_path / "shop"))
    assert words.replace("{0}", str(tmp_path)) in found[0]
    assert any(key in " ".join(found) for key in ("--runs", "fuser", "training.batch_size"))


def mounted(*options: str) -> Iterator[pathlib.Path]:
    """A file system of its own, where this process may mount one."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ranklite-disk-"))
    mount = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("only root may mount a file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


@pytest.fixture
def small_disk() -> Iterator[pathlib.Path]:
    """A file system of 450 kB."""
    yield from mounted("-o", "size=450k")


@pytest.fixture
def closed() -> Iterator[pathlib.Path]:
    """A read-only file system with a log and a configuration, and a folder of a run."""
    for folder in mounted():
        generate(str(folder / "data"), rows=600)
        (folder / "small" / "artifacts").mkdir(parents=True)
        settings = {**small_run.SETTINGS, "name": "small"}
        (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder


@pytest.mark.fault("the folder of the runs is read-only", "told, with the folder and what helps")
def test_runs_on_a_read_only_disk(closed: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--config", str(closed / "config.yaml"), "--data", str(closed / "data")]
    assert main(["run", *given, "--runs", str(closed / "runs")]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"ranklite run: [Errno 30] Read-only file system: '{closed}/runs'"
    assert second.startswith(f"{closed} cannot be written to: it lies on a read-only file system")
    assert main(["run", *given, "--runs", str(closed)]) == 1  # a pipeline that was there
    assert "small cannot be written to" in capsys.readouterr().err


@pytest.mark.fault("the folder of the log is read-only", "read all the same")
def test_a_log_on_a_read_only_disk_is_read(
    closed: pathlib.Path, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    given = ["--config", str(closed / "config.yaml"), "--data", str(closed / "data")]
    assert main(["validate", *given]) == 0
    config = load_config(str(closed / "config.yaml")).ingest
    report = ingest(
        config, str(closed / "data"), str(tmp_path / "rejects"), lambda s: str(tmp_path / s)
    )
    assert sum(split["rows"] for split in report["splits"].values()) == 600


@pytest.mark.fault("the folder of versions is read-only", "told, with the folder and what helps")
def test_a_push_to_a_read_only_disk(closed: pathlib.Path) -> None:
    with pytest.raises(OSError, match="Read-only") as raised:
        write_version(str(closed / "pushed"), {"model.tflite": b"x"}, {})
    (line,) = causes(str(raised.value), "/runs/small")
    assert line.startswith(f"{closed} cannot be written to")
    assert "push.directory" in line


@pytest.mark.fault("the folder of scores is read-only", "told, with the folder and what helps")
def test_scores_to_a_read_only_disk(
    closed: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push(tmp_path / "pushed")
    rows = tmp_path / "in.csv"
    rows.write_text("user,item,tags,price\nu1,1,a,1\n", encoding="utf-8")
    assert main(["score", str(tmp_path / "pushed"), str(rows), "-o", str(closed / "out.csv")]) == 1
    assert f"{closed} cannot be written to" in capsys.readouterr().err


LIMITED = """
import resource, sys
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.models.serving.versions import write_version
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.local.causes import causes
sys.argv[2] == "tensorflow" and __import__("tensorflow").zeros([1])
import numpy as np
with open("/proc/self/statm") as file:
    has = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (has + (1 << 28),) * 2)
try:
    if sys.argv[2] == "tensorflow":
        __import__("tensorflow").zeros([1 << 31]) + 1
    elif sys.argv[2] == "numpy":
        np.ones(1 << 31)
    else:
        bytearray(1 << 31)
except Exception as error:
    print(type(error).__name__.removeprefix("_Array"))
    print(*causes(str(error) or type(error).__name__, sys.argv[1]), sep="\\n")
"""


@pytest.mark.parametrize(
    ("library", "error"),
    [
        ("python", "MemoryError"),
        ("numpy", "MemoryError"),
        pytest.param("tensorflow", "ResourceExhaustedError", marks=pytest.mark.slow),
    ],
)
@pytest.mark.fault("a real limit of memory (RLIMIT_AS)", "told, with the limit and what helps")
def test_a_limit_of_memory_is_told(tmp_path: pathlib.Path, library: str, error: str) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "shop"), library]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0] == error
    assert "Memory ran out, as it seems: a limit of" in told[1]
    assert "training.batch_size" in told[2]


@pytest.mark.fault("a command starts with too little memory", "told, or it works; no traceback")
@pytest.mark.parametrize("megabytes", [64, 400])
def test_a_command_under_a_limit(megabytes: int) -> None:
    limit = (megabytes << 20,) * 2
    done = subprocess.run(
        [sys.executable, "-m", "ranklite", "validate", "--config", "configs/synthetic.yaml"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 1)
    if done.returncode:
        assert "Memory ran out, as it seems: a limit of" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.fault(
    "the disk is full (a real one of 450 kB)", "stage, cause, disk, log and what helps are told"
)
def test_a_run_on_a_full_disk_says_all_and_resumes(
    small_disk: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    generate(str(tmp_path / "data"), rows=600)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**small_run.SETTINGS, "name": "full"}), encoding="utf-8")
    runs = small_disk / "runs"
    command = [sys.executable, "-m", "ranklite", "run", "--config", str(config), "-j", "0"]
    command += ["--data", str(tmp_path / "data"), "--runs", str(runs)]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert " failed: " in failed.stderr
    assert f"The disk that holds {runs}/full is full" in failed.stderr
    assert "The log is " in failed.stderr
    assert "ranklite clean" in failed.stderr
    assert "Traceback" not in failed.stderr
