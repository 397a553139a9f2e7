"""`ranklite serve`."""

from __future__ import annotations

import argparse
import dataclasses

_OPTIONS = {
    "max_body": "bytes of a request's body",
    "max_rows": "rows, candidates or events of a history in a request",
    "queue": "requests under way at once; one more gets 503 and Retry-After",
    "timeout": "seconds for a body to arrive, and again for its scores",
    "grace": "seconds that requests have to finish after SIGTERM",
    "threads": "threads that score, each with a copy of the model",
    "batch": "rows that waiting requests are put together to; 1 scores each alone",
    "poll": "seconds between two looks for a new version",
}


def add_parser(sub: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    from ranklite.models.serving.http.settings import Limits

    sub.add_argument("model", help="the folder of all versions, or a pushed version")
    sub.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default: %(default)s)"
    )
    sub.add_argument("--port", type=int, default=8080, help="0 takes a free one (default: 8080)")
    for field in dataclasses.fields(Limits):
        sub.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            default=field.default,
            metavar="N",
            help=f"{_OPTIONS[field.name]} (default: %(default)s)",
        )
    sub.add_argument("--access-log", action="store_true", help="log a line a request")


def serve(args: argparse.Namespace) -> int:
    """Serves a pushed version until it is told to stop."""
    from ranklite.models.serving.http.server import serve
    from ranklite.models.serving.http.settings import Limits

    limits = Limits(**{name: getattr(args, name) for name in _OPTIONS})
    serve(args.model, args.host, args.port, limits, access_log=args.access_log)
    return 0
