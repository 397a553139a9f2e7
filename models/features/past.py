"""The past: what a column of a row is computed from, where it is made of earlier rows of the log.

A row at time t sees the state at its *state time* s <= t: all events with a time < s, and no other,
so that no row sees itself, rows of the same moment do not see each other, and training computes the
staleness that serving has:

    as_of: second    s = t - delay, cut to a second: the state is kept up to date
    as_of: session   s = start of the user's session - delay: what the app knew when it was opened
    as_of: hour      s = t - delay, cut to an hour: computed once an hour
    as_of: day       s = t - delay, cut to a day (UTC): computed every night

A session is a run of a user's rows without a gap of more than `session_gap` minutes. Neither
TensorFlow nor pydantic is imported: ingestion, scorers and apps read this.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

AsOf = Literal["second", "session", "hour", "day"]

SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND
UNITS = {"second": SECOND, "hour": 3_600 * SECOND, "day": DAY}
SESSION: Literal["session"] = "session"
SESSION_GAP = 30.0  # minutes
NEVER = -1.0  # a recency where there was no event

LAST, OUTCOME = "last", "outcome"  # lists of the newest events: their values, and their labels
SUMS = ("sum", "mean", "rate")  # over a column of numbers

VIEWS_FILE = "views.parquet"  # of an IngestReport: the judged rows in other states
KEY, EVENTS = "key", "events"  # columns of what is stored: the key, how many events it has


def file_of(feature: str) -> str:
    """Name of the Parquet file with the state of an aggregate at the end of the log."""
    return f"state-{feature}.parquet"


@dataclasses.dataclass(frozen=True)
class Past:
    """How a column is computed from earlier rows.

    Attributes:
      feature: The feature that reads it.
      by: Columns whose values an event and the row share. A row whose value is a list shares each
        value of it, and what they give is added up.
      of: Column of the events that is listed or aggregated; the label's name for their labels, ""
        for the events themselves.
      stat: `last` or `outcome` (lists, newest first), or a statistic of `past_statistics`.
      as_of: How fresh the state is.
      delay: Seconds that the state lags behind besides.
      window: Days before the state time that count; None counts all.
      prior: Of a rate: (sum + prior * m) / (count + prior), m the mean of `of` in the train split.
    """

    feature: str
    by: tuple[str, ...]
    of: str
    stat: str
    as_of: str
    delay: float = 0.0
    window: float | None = None
    prior: float = 0.0

    def entry(self) -> dict[str, Any]:
        """JSON-ready data; `of_entry` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any] | None) -> Past | None:
        """Reads what `entry` wrote; None stays None."""
        return None if entry is None else cls(**{**entry, "by": tuple(entry["by"])})

    def is_only_of(self, user: str | None) -> bool:
        """Whether it is the user's own and nothing else's: all candidates of a user share it."""
        return self.by == (user,)

    @property
    def is_list(self) -> bool:
        """Whether it is a list of events, and not a number about them."""
        return self.stat in (LAST, OUTCOME)


def state_time(time: int, as_of: str, delay: float, session_start: int) -> int:
    """The state time s in microseconds of a row at `time`.

    Args:
      time: Of the row, microseconds since 1970.
      as_of: One of `AsOf`.
      delay: Seconds.
      session_start: Time of the first row of the user's session.

    Example:
        >>> state_time(90_000_000_000, "hour", 0, 0) / SECOND
        90000.0
        >>> state_time(95_000_000_000, "session", 60, 94_000_000_000) / SECOND
        93940.0
    """
    lag = round(delay * SECOND)
    if as_of == SESSION:
        return session_start - lag
    return (time - lag) // UNITS[as_of] * UNITS[as_of]
