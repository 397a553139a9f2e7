"""A store that is damaged or gone: seen, named, and as the last command left it once more."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import sqlite3
import subprocess
import sys

import pytest
import yaml
from ml_metadata.proto import metadata_store_pb2 as mlmd

from benchmarks import small_run
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.runs import sealed_store
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.sealed_store import mended, unsealed
from ranklite.pipeline.runs.store import all_runs
from tests.recorder import Recorder


class Past:
    """A pipeline with one run, whose store is sealed."""

    def __init__(self, root: pathlib.Path) -> None:
        self.folders = Folders(str(root), "mine")
        self.store = pathlib.Path(self.folders.metadata)
        self.artifacts = pathlib.Path(self.folders.artifacts)
        self.artifacts.mkdir(parents=True)
        with unsealed(str(self.store)):
            self.recorder = Recorder(self.store)
            self.run(1)

    def run(self, number: int) -> None:
        context = self.recorder.run("mine", f"mine.{number}")
        folder = self.artifacts / "Trainer" / "model" / str(number)
        folder.mkdir(parents=True)
        self.recorder.execution(
            "mine", context, "Trainer", mlmd.Execution.COMPLETE, {"model": str(folder)}
        )

    @property
    def runs(self) -> int:
        return len(all_runs(str(self.store), "mine"))


@pytest.fixture
def past(tmp_path: pathlib.Path) -> Past:
    return Past(tmp_path)


def test_a_store_that_is_whole_is_left_alone(past: Past) -> None:
    before = past.store.read_bytes()
    assert mended(past.folders) == []
    assert past.store.read_bytes() == before
    assert past.runs == 1


def test_where_nothing_was_run_there_is_nothing_to_mend(tmp_path: pathlib.Path) -> None:
    assert mended(Folders(str(tmp_path), "new")) == []


@pytest.mark.fault("60 single bits of ML Metadata's file flip", "seen; the copy takes its place")
def test_every_flipped_byte_is_seen(past: Past) -> None:
    before = past.store.read_bytes()
    for place in range(0, len(before), len(before) // 60):
        content = bytearray(before)
        content[place] ^= 1
        past.store.write_bytes(content)
        if 24 <= place < 28:  # the counter itself: as if something had written to it
            continue
        (line,) = mended(past.folders)
        assert str(past.store) in line
        assert "the copy that the last run left took its place" in line
        assert past.store.read_bytes() == before
        assert past.store.with_name("metadata.sqlite.damaged").read_bytes() == bytes(content)
        with unsealed(str(past.store)):
            pass


@pytest.mark.parametrize(
    "content", [None, b"", b"no database" * 1000], ids=["gone", "empty", "no database"]
)
@pytest.mark.fault(
    "the file of ML Metadata is damaged",
    "the copy takes its place, what it does not know is put aside",
)
def test_the_copy_takes_its_place(past: Past, content: bytes | None) -> None:
    past.store.unlink()
    if content is not None:
        past.store.write_bytes(content)
    newer = past.artifacts / "Trainer" / "model" / "2"  # of a run that the copy does not know
    newer.mkdir()
    (past.artifacts / "Trainer" / ".system" / "executor_execution" / "2").mkdir(parents=True)
    (line,) = mended(past.folders)
    assert "1 artifacts that it does not know were put aside" in line or "2 artifacts" in line
    assert past.runs == 1
    left = sorted(path.name for path in newer.parent.iterdir())
    assert left[0] == "1"
    assert left[1].startswith("2.")
    assert left[1].endswith(".damaged")
    assert not list((past.artifacts / "Trainer" / ".system").glob("*/2"))
    assert mended(past.folders) == []


@pytest.mark.fault(
    "the file of ML Metadata is gone, and there is no copy", "told; all stages run again"
)
def test_without_a_copy_it_starts_anew(past: Past) -> None:
    for name in ("metadata.sqlite", "metadata.sqlite.copy", "metadata.sqlite.seal"):
        past.store.with_name(name).unlink()
    (line,) = mended(past.folders)
    assert "is gone or empty, though runs wrote to it; there is no copy" in line
    assert not list((past.artifacts / "Trainer" / "model").glob("[0-9]"))


def test_what_others_wrote_to_it_stays(past: Past) -> None:
    past.run(2)  # without a word to the seal, as TFX's own tools do
    assert mended(past.folders) == []
    assert past.runs == 2


@pytest.mark.fault("a command is killed while it writes to ML Metadata", "the next one goes on")
def test_a_command_that_was_killed_leaves_no_seal(past: Past) -> None:
    with contextlib.suppress(KeyboardInterrupt), unsealed(str(past.store)):
        assert not past.store.with_name("metadata.sqlite.seal").exists()
        past.run(2)
        killed = past.store.read_bytes()
        raise KeyboardInterrupt
    assert past.store.with_name("metadata.sqlite.copy").read_bytes() == killed
    past.store.with_name("metadata.sqlite.seal").unlink()
    assert mended(past.folders) == []


_WRITES = """
import os, signal, sqlite3, sys
con = sqlite3.connect(sys.argv[1], isolation_level=None)
con.execute("PRAGMA cache_size = 1")  # pages reach the file before the transaction ends
con.execute("BEGIN")
con.execute("UPDATE Execution SET name = hex(randomblob(100000))")
con.execute("CREATE TABLE other AS SELECT hex(randomblob(100000)) AS x FROM Type")
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_within_a_write(store: pathlib.Path) -> pathlib.Path:
    """Returns the journal that is left."""
    killed = subprocess.run([sys.executable, "-c", _WRITES, str(store)], check=False)
    assert killed.returncode == -signal.SIGKILL
    journal = store.with_name(f"{store.name}-journal")
    assert journal.stat().st_size
    return journal


@pytest.mark.fault(
    "a command is killed in the middle of a write to ML Metadata", "taken back to before it"
)
def test_a_write_that_was_killed_is_taken_back(past: Past) -> None:
    before = past.store.read_bytes()
    journal = kill_within_a_write(past.store)
    assert past.store.read_bytes() != before
    past.store.with_name("metadata.sqlite.seal").unlink()
    assert mended(past.folders) == []
    assert past.runs == 1
    assert not journal.exists()
    assert not past.store.with_name("metadata.sqlite.damaged").exists()


def test_a_write_that_cannot_be_taken_back_is_told(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that may only be read, as it is opened where no journal is known of."""
    journal = kill_within_a_write(past.store)
    before = past.store.read_bytes()
    monkeypatch.setattr(sealed_store, "_JOURNAL", "-none")
    with pytest.raises(OSError, match=r"metadata\.sqlite was being written to .* may not be"):
        mended(past.folders)
    assert past.store.read_bytes() == before
    assert journal.exists()


def test_a_journal_is_not_played_back_into_the_copy(past: Past) -> None:
    journal = kill_within_a_write(past.store)
    past.store.unlink()
    (line,) = mended(past.folders)
    assert "the copy that the last run left took its place" in line
    assert past.runs == 1
    assert not journal.exists()
    assert past.store.with_name("metadata.sqlite-journal.damaged").exists()


def test_the_copy_is_a_database_of_its_own(past: Past) -> None:
    copy = past.store.with_name("metadata.sqlite.copy")
    with contextlib.closing(sqlite3.connect(copy)) as con:
        assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.fault("another process holds ML Metadata's file", "told; it is left as it is")
def test_a_store_that_another_process_holds_is_not_damaged(
    past: Past, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sealed_store, "LOCK_SECONDS", 0.1)
    before = past.store.read_bytes()
    with contextlib.closing(sqlite3.connect(past.store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=r"metadata\.sqlite is locked by another process"):
            mended(past.folders)
        config = past.store.parent.parent / "config.yaml"
        config.write_text(yaml.safe_dump({**small_run.SETTINGS, "name": "mine"}))
        arguments = ["--config", str(config), "--data", ".", "--runs", past.folders.runs]
        assert main(["run", *arguments]) == 1
        assert "Another process holds the file of ML Metadata" in capsys.readouterr().err
    assert past.store.read_bytes() == before
    assert not past.store.with_name("metadata.sqlite.damaged").exists()
    assert mended(past.folders) == []
    assert past.runs == 1
