"""Why something outside of a run stopped it: a disk, memory, a folder, another process.

What fails then says so in many words, and often not at all.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import tempfile
from collections.abc import Sequence

FEW = 1 << 20  # bytes of a disk that are not enough for anything
_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "disk is full")
_CLOSED = (
    os.strerror(errno.EROFS),
    os.strerror(errno.EACCES),
    os.strerror(errno.EPERM),
    "readonly database",
)
_LOCKED = ("database is locked", "Concurrent writes aborted", "is locked by another process")
_MEMORY = (
    os.strerror(errno.ENOMEM),
    "MemoryError",
    "bad_alloc",
    "Unable to allocate",  # numpy
    "OOM when allocating",  # TensorFlow
    "Resource exhausted",
    "ResourceExhausted",
    "failed to map segment",
    "malloc of size",  # Arrow
    "ended by SIGKILL",
)
# Under a limit of memory that is what becomes of those who do not ask for it politely.
_PERHAPS_MEMORY = ("ended by SIGABRT", "ended by SIGSEGV", "ended by SIGBUS", "start new thread")
_LOCK = (
    "Another process holds the file of ML Metadata, metadata.sqlite: wait until it ends, or end it "
    "(`fuser <file>` names it). Nothing was changed."
)
_LESS = (
    "Stop what else runs, run fewer stages at a time (-j 1; -j 0 uses one process), lower "
    "training.batch_size and training.shuffle_rows, or read fewer rows (source.window); raise the "
    "limit where there is one."
)
_CGROUP = "/sys/fs/cgroup/memory.max"
_QUOTED = re.compile(r"'(/[^']+)'|(/[^\s:;,'\"]+)")


def causes(message: str, folder: str) -> list[str]:
    """Lines on what outside of a run may have stopped it, and on what helps.

    SQLite tells of a full disk when it happens and then only that a transaction is gone; a program
    that was killed tells nothing. So the disks and the limits are looked at too.

    Args:
      message: Of the error.
      folder: Where the run writes, `<runs>/<name>`.

    Returns:
      A line a cause and one on what to do; none where there is nothing to tell.
    """
    full = _full(message, folder)
    if full:
        return full
    if _says(message, _LOCKED):
        return [_LOCK]
    if _says(message, _CLOSED):
        return [_closed(message)]
    limit = _limit()
    if _says(message, _MEMORY) or (limit and _says(message, _PERHAPS_MEMORY)):
        return [f"Memory ran out, as it seems: {limit or _machine()}.", _LESS]
    return []


def _says(message: str, words: Sequence[str]) -> bool:
    return any(each.lower() in message.lower() for each in words)


def _full(message: str, folder: str) -> list[str]:
    lines = []
    for place in dict.fromkeys([_there(folder), tempfile.gettempdir()]):
        usage = shutil.disk_usage(place)
        if usage.free < FEW:
            free = f"{usage.free / 1e6:.1f} of {usage.total / 1e6:,.1f} MB are free"
            lines.append(f"The disk that holds {place} is full: {free}.")
    if _says(message, _FULL) and not lines:  # a quota, or whoever filled it is gone
        lines.append(f"A disk, or a quota on it, is full: {_there(folder)} or a temporary folder.")
    if lines:
        runs = os.path.dirname(folder)
        lines.append(
            f"Make room (`ranklite clean --keep 1 --runs {runs}` removes what old runs left; "
            "TMPDIR names another folder for temporary files)."
        )
    return lines


def _closed(message: str) -> str:
    """On the first path of a message that this process may not write to."""
    named = [one or other for one, other in _QUOTED.findall(message)]
    there = [_there(os.path.dirname(path)) for path in named]
    closed = next((place for place in there if not os.access(place, os.W_OK)), None)
    what = f"{closed} cannot be written to" if closed else "A folder cannot be written to"
    return (
        f"{what}: it lies on a read-only file system, or belongs to somebody else. Runs are "
        "written below --runs, versions to push.directory, temporary files to TMPDIR: name others, "
        "or make these writable."
    )


def _limit() -> str:
    """The limit of memory that this process runs under, in words; "" where there is none."""
    address, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address != resource.RLIM_INFINITY:
        return f"a limit of {address / 1e9:.1f} GB of addresses a process (ulimit -v)"
    try:
        with open(_CGROUP, encoding="ascii") as file:
            return f"a limit of {int(file.read()) / 1e9:.1f} GB of memory (this container's)"
    except (OSError, ValueError):  # no cgroup, or "max"
        return ""


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"this machine has {memory / 1e9:.1f} GB, for all that runs on it"


def _there(folder: str) -> str:
    """The folder, or the one above it that exists."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder) or "."
    return folder
