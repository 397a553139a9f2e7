"""The engine that the stages of this process use."""

from __future__ import annotations

import contextlib

from ranklite.components.current import Current
from ranklite.components.engines.engine import Engine

_engine: Current[Engine | None] = Current()


def used(engine: Engine | None) -> contextlib.AbstractContextManager[None]:
    """Makes an engine that of the stages that run within."""
    return _engine.known(engine)


def current_engine() -> Engine | None:
    """The engine to use; None works in this process."""
    return _engine.value
