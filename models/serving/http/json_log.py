"""The server's log: a line of JSON an event, on stderr."""

from __future__ import annotations

import datetime
import json
import logging
import sys

_SERVER, _UVICORN, _ACCESS = "ranklite.serve", "uvicorn.error", "ranklite.access"


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON: time, level, event, and what is said about it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(access: bool) -> None:
    """Sends the logs of the server to stderr.

    Args:
      access: Whether each request has a line, too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    levels = {
        _SERVER: logging.INFO,
        _UVICORN: logging.WARNING,  # what it says of its start and end, the server says itself
        _ACCESS: logging.INFO if access else logging.WARNING,
    }
    for name, level in levels.items():
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler], False
        log.setLevel(level)
