"""What the kinds of storage have in common: what they can do, their errors, work in parallel."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Protocol, TypeVar

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
TRIES = 10  # of a request to S3 that is answered by 429 or 5xx, or by nothing: some 15 seconds
_PARALLEL = 8  # requests at a time

_Item = TypeVar("_Item")


class StorageError(OSError):
    """The storage refused or could not be reached; the message says what and what to do."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file: its name relative to what was listed, its bytes, and when it was written."""

    name: str
    size: int
    written: datetime.datetime


class ObjectStore(Protocol):
    """A bucket, or this machine's disk.

    Keys are taken and given as they are, whatever characters they have. Every method raises
    StorageError where the storage refuses or cannot be reached.
    """

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All objects whose key begins so, by their whole key."""
        ...

    def read_into(self, key: str, file: BinaryIO) -> bool:
        """Writes an object's content into a file; returns whether there is such an object."""
        ...

    def write(self, key: str, file: BinaryIO) -> None:
        """Writes an object; a reader sees the old content or the new one."""
        ...

    def remove(self, keys: Iterable[str]) -> None:
        """Removes objects, however many; those that are gone already are no error."""
        ...


def each(work: Callable[[_Item], object], items: Iterable[_Item]) -> None:
    """Calls a function with every item, several at a time; raises the first error."""
    with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
        for _ in pool.map(work, items):
            pass
