"""States of the past that the judged rows are scored with besides the configured one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.past import SESSION, Past
from ranklite.models.features.raw_column import RawColumn

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


def of_column(column: RawColumn) -> Past:
    """How a column of the past is computed."""
    assert column.past is not None
    return column.past


def as_of(features: FeatureSet, column: RawColumn, view: View) -> str:
    """How fresh a column is in a view."""
    if view.as_of and features.is_of_user(column) == view.of_user:
        return view.as_of
    return of_column(column).as_of


def differs(features: FeatureSet, column: RawColumn, view: View) -> bool:
    """Whether a view gives a column another state than the configured one."""
    if view.as_of == SESSION and features.user is None:
        return False
    return as_of(features, column, view) != of_column(column).as_of


def differing(features: FeatureSet, columns: Iterable[RawColumn]) -> list[tuple[View, RawColumn]]:
    """The columns that are computed in other states, view by view."""
    columns = list(columns)
    return [(v, c) for v in VIEWS for c in columns if differs(features, c, v)]
