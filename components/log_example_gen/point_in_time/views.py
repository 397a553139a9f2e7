"""States of the past that the judged rows are scored with besides the configured one."""

from __future__ import annotations

import dataclasses

from ranklite.models.features.past import SESSION

FROZEN = "frozen"  # as of the first row of the judged split


@dataclasses.dataclass(frozen=True)
class View:
    """A state.

    Attributes:
      name: In the report.
      of_user: Whether it changes the user's own columns, or all others.
      as_of: What it takes in the place of their `as_of`; "" is the configured one.
    """

    name: str
    of_user: bool = False
    as_of: str = ""


CONFIGURED = View("")
VIEWS = (
    View("user_at_request", True, "second"),
    View("user_at_session_start", True, SESSION),
    View("items_at_request", False, "second"),
    View("items_of_last_day", False, "day"),
    View("items_frozen", False, FROZEN),
)
