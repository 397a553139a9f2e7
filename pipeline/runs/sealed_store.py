"""Keeps ML Metadata's file whole: a copy of it as the last command left it, and its digest.

SQLite counts in its header how often its file was written to (the "file change counter"). A file
whose bytes are others than at the end of the last command, though nobody has written to it since,
is damaged, and so is one that SQLite's own check refuses; the copy takes its place.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import pathlib
import shutil
import sqlite3
import urllib.parse
from collections.abc import Iterator

from ranklite.components import manifest
from ranklite.models.files import write
from ranklite.pipeline.runs.folders import Folders

_COUNTER = slice(24, 28)  # of SQLite's header
_COPY = ".copy"
_SEAL = ".seal"
_JOURNAL = "-journal"  # SQLite's, while something is written
LOCK_SECONDS = 5.0  # that another process may hold it


@contextlib.contextmanager
def unsealed(store: str) -> Iterator[None]:
    """While a command writes to a store; once it has, the store is sealed again.

    A command that is killed leaves no seal: the next one goes by SQLite's own check.
    """
    with contextlib.suppress(FileNotFoundError):
        os.remove(store + _SEAL)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a full disk is not the error that counts
            _seal(store)


def mended(folders: Folders) -> list[str]:
    """Puts the copy in the place of a store that is damaged or gone.

    What runs made after the copy is put aside: nothing knows it any more, and its folders would be
    in the way. Without a copy everything is.

    Args:
      folders: Of the pipeline, which nothing else uses now.

    Raises:
      OSError: Another process holds it: it is not known whether it is whole, and is left as it is.

    Returns:
      What was found and done, for a person; nothing where the store is whole or nothing was run.
    """
    store = folders.metadata
    why = _damage(folders)
    if why is None:
        return []
    lines = [why]
    with contextlib.suppress(FileNotFoundError):  # it would be played back into the copy
        os.replace(store + _JOURNAL, f"{store}{_JOURNAL}{manifest.DAMAGED}")
    if os.path.exists(store):
        aside = f"{store}{manifest.DAMAGED}"
        os.replace(store, aside)
        lines.append(f"it was put aside as {aside}")
    last = -1
    if _is_database(store + _COPY):
        shutil.copyfile(store + _COPY, store)
        last = _last_execution(store)
        lines.append("the copy that the last run left took its place")
    elif os.path.isdir(folders.artifacts):
        lines.append("there is no copy: all stages run again, and nothing is compared with before")
    moved = _put_aside_newer(folders.artifacts, last)
    if moved:
        lines.append(f"{moved} artifacts that it does not know were put aside")
    with contextlib.suppress(FileNotFoundError):
        os.remove(folders.standing)
    return ["; ".join(lines)]


def _damage(folders: Folders) -> str | None:
    """What is wrong with the store, if anything."""
    store = folders.metadata
    if not os.path.exists(store) or not os.path.getsize(store):  # SQLite takes it for a new one
        known = os.path.exists(store + _COPY) or os.path.isdir(folders.artifacts)
        return f"{store} is gone or empty, though runs wrote to it" if known else None
    if not _is_database(store):
        return f"{store} is damaged: SQLite cannot read it"
    try:
        sealed = json.loads(pathlib.Path(store + _SEAL).read_text(encoding="utf-8"))
        counter, sha256 = sealed["counter"], sealed["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    content = pathlib.Path(store).read_bytes()
    if content[_COUNTER].hex() != counter:
        return None  # something else of the user's wrote to it
    if hashlib.sha256(content).hexdigest() != sha256:
        return f"{store} is damaged: it changed, though nothing wrote to it"
    return None


def _is_database(path: str) -> bool:
    """Whether SQLite reads all of a file.

    Who was killed within a write leaves a journal, by which SQLite takes the file back to what it
    was before: to do so, it has to write.

    Raises:
      OSError: Another process holds it, or it may not be read: so nobody can tell.
    """
    if not os.path.exists(path):
        return False
    with open(path, "rb"):
        pass
    mode = "rw" if os.path.exists(path + _JOURNAL) else "ro"
    address = f"file:{urllib.parse.quote(path)}?mode={mode}"
    try:
        with contextlib.closing(sqlite3.connect(address, timeout=LOCK_SECONDS, uri=True)) as con:
            return con.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    except sqlite3.OperationalError as error:
        if "is locked" in str(error):
            raise OSError(f"{path} is locked by another process, which writes to it") from error
        if "readonly" in str(error):
            raise OSError(
                f"{path} was being written to when a command was killed, and may not be "
                "written to now: SQLite cannot take it back to what it was"
            ) from error
        return False
    except sqlite3.Error:
        return False


def _seal(store: str) -> None:
    if not os.path.exists(store):
        return
    content = pathlib.Path(store).read_bytes()
    write(store + _COPY, content)
    seal = {"sha256": hashlib.sha256(content).hexdigest(), "counter": content[_COUNTER].hex()}
    write(store + _SEAL, json.dumps(seal).encode())


def _last_execution(store: str) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as con:
        [(last,)] = con.execute("SELECT coalesce(max(id), 0) FROM Execution").fetchall()
    return int(last)


def _put_aside_newer(artifacts: str, last: int) -> int:
    """Puts the folders `<node>/<output>/<execution>` of executions behind one aside."""
    moved = 0
    for path in glob.glob(os.path.join(glob.escape(artifacts), "*", "*", "*")):
        number = os.path.basename(path)
        if number.isdigit() and int(number) > last:
            manifest.put_aside(path)
            moved += 1
    for path in glob.glob(os.path.join(glob.escape(artifacts), "*", ".system", "*", "*")):
        number = os.path.basename(path)
        if number.isdigit() and int(number) > last:
            shutil.rmtree(path)
    return moved
