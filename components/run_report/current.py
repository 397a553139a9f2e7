"""Which run it is that this process executes, for its page."""

from __future__ import annotations

import contextlib

from ranklite.components.current import Current
from ranklite.models.reporting.facts import CurrentRun

_run: Current[CurrentRun] = Current()


def current(run: CurrentRun) -> contextlib.AbstractContextManager[None]:
    """Makes it known while it is under way."""
    return _run.known(run)


def current_run() -> CurrentRun | None:
    """The run that is under way; None where none was given."""
    return _run.value
