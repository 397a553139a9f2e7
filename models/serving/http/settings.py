"""What a server takes on: every queue, body and wait has a bound."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of a server; each is an option of `ranklite serve`.

    Attributes:
      max_body: Bytes of a request's body.
      max_rows: Rows, candidates or events of a history in a request.
      queue: Requests that are read, wait or are scored at once; one more is told to come again.
      timeout: Seconds for a body to arrive, and again for its scores.
      grace: Seconds that requests in flight have to finish once the server is told to stop.
      threads: Threads that score, each with a copy of the model of its own.
      batch: Rows that waiting requests for scores are put together to; 1 scores each alone.
      poll: Seconds between two looks at the folder of versions.

    Raises:
      ValueError: One is not above 0.

    Example:
        >>> Limits(queue=0)
        Traceback (most recent call last):
        ValueError: queue = 0; it is a number above 0
    """

    max_body: int = 2**20
    max_rows: int = 4096
    queue: int = 128
    timeout: float = 10.0
    grace: float = 10.0
    threads: int = 1
    batch: int = 512  # `target.BATCH`, which is not imported: the command line reads this file
    poll: float = 2.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise ValueError(f"{name} = {value}; it is a number above 0")
