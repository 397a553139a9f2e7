"""What holds for the stages of this process and is no property of them.

Properties are the key of the cache, and what is made is the same whatever this is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class Current(Generic[ValueT]):
    """A value for as long as something is under way.

    Example:
        >>> run = Current[str]()
        >>> with run.known("the first"):
        ...     run.value
        'the first'
        >>> run.value is None
        True
    """

    def __init__(self) -> None:
        self._values: list[ValueT] = []

    @contextlib.contextmanager
    def known(self, value: ValueT) -> Iterator[None]:
        """Makes it known to what runs within."""
        self._values.append(value)
        try:
            yield
        finally:
            self._values.pop()

    @property
    def value(self) -> ValueT | None:
        """The innermost one; None where none is known."""
        return self._values[-1] if self._values else None
