"""The ASGI application: the routes, and around them what holds for every request."""

from __future__ import annotations

import logging
import time
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ranklite.models.serving.http.endpoints import Endpoints
from ranklite.models.serving.http.metrics import Metrics
from ranklite.models.serving.http.problems import Problem, of_http

LOG = logging.getLogger("ranklite.serve")
ACCESS = logging.getLogger("ranklite.access")
GONE = 499  # as nginx counts a client that went away, or was cut off, before it had an answer


def make_app(endpoints: Endpoints, metrics: Metrics) -> Starlette:
    """The application.

    Args:
      endpoints: Its routes.
      metrics: Where requests are counted.
    """
    handlers: dict[Any, Any] = {Problem: _problem, HTTPException: _http}
    return Starlette(
        routes=endpoints.routes(),
        middleware=[Middleware(Watched, metrics=metrics)],
        exception_handlers=handlers,
    )


async def _problem(request: Request, error: Problem) -> Response:
    return error.response()


async def _http(request: Request, error: HTTPException) -> Response:
    return of_http(error).response()


class Watched:
    """Counts and logs each request, and answers 500 where one fails, without saying why.

    Args:
      app: What answers.
      metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except ClientDisconnect:
            pass
        except Exception as error:
            LOG.error("failed", exc_info=error, extra={"about": {"path": scope["path"]}})
            if not status:
                problem = Problem(500, "the server failed; its log says how")
                await problem.response()(scope, receive, sent)
        finally:
            status = status or GONE
            seconds = time.perf_counter() - start
            self._metrics.request(scope["path"], status, seconds)
            if ACCESS.isEnabledFor(logging.INFO):
                ACCESS.info("request", extra={"about": _about(scope, status, seconds)})


def _about(scope: Scope, status: int, seconds: float) -> dict[str, object]:
    """What the access log says of a request: nothing of what it holds."""
    return {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": round(seconds * 1e3, 3),
        **scope.get("state", {}).get("about", {}),
    }
