"""The routes of the server: what each takes, waits for and answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ranklite.models.serving.http import bodies
from ranklite.models.serving.http.engine import Engine
from ranklite.models.serving.http.jobs import Answer, Job, RankJob, ScoreJob
from ranklite.models.serving.http.metrics import MEDIA_TYPE, Metrics
from ranklite.models.serving.http.problems import busy
from ranklite.models.serving.http.releases import Releases
from ranklite.models.serving.http.settings import Limits

Make = Callable[[Any, "asyncio.Future[Answer]"], Job]  # of a body, and what takes its answer
PATHS = ("/score", "/rank", "/healthz", "/readyz", "/metrics", "/openapi.json")


class Endpoints:
    """The routes.

    Args:
      releases: The version that is served.
      engine: The threads that score.
      metrics: Where requests are counted.
      limits: Of the server.

    Attributes:
      is_stopping: Whether the server takes nothing new; `/readyz` says so.
    """

    def __init__(
        self, releases: Releases, engine: Engine, metrics: Metrics, limits: Limits
    ) -> None:
        self._releases, self._engine = releases, engine
        self._metrics, self._limits = metrics, limits
        self._in_flight = 0
        self.is_stopping = False
        metrics.watch(lambda: engine.waiting, lambda: self._in_flight)

    def routes(self) -> list[Route]:
        """Them, for Starlette."""
        return [
            Route("/score", self.score, methods=["POST"]),
            Route("/rank", self.rank, methods=["POST"]),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
        ]

    async def score(self, request: Request) -> Response:
        """Scores rows."""

        def job(body: Any, future: asyncio.Future[Answer]) -> Job:
            rows = bodies.score_rows(body, self._limits)
            return ScoreJob(self._releases.current, future, rows)

        return await self._answered(request, job)

    async def rank(self, request: Request) -> Response:
        """Ranks candidates for a user."""

        def job(body: Any, future: asyncio.Future[Answer]) -> Job:
            asked = bodies.rank_body(body, self._limits)
            return RankJob(self._releases.current, future, asked)

        return await self._answered(request, job)

    async def _answered(self, request: Request, make: Make) -> Response:
        # The bound holds before a body is read: that many bodies are in memory, and no more.
        if self._in_flight >= self._limits.queue:
            raise busy(f"{self._limits.queue} requests are under way; come again")
        self._in_flight += 1
        try:
            body = await bodies.read(request, self._limits)
            job = make(body, asyncio.get_running_loop().create_future())
            self._engine.submit(job)
            request.state.about = {"rows": job.size, "version": job.version.name}
            try:
                answer = await asyncio.wait_for(job.future, self._limits.timeout)
            except asyncio.TimeoutError:
                raise busy(f"there were no scores within {self._limits.timeout:g} s") from None
        finally:
            self._in_flight -= 1
        return _json(answer)

    async def healthz(self, request: Request) -> Response:
        """Says that the process runs."""
        return _json({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Says whether requests are taken, and which version answers them."""
        if self.is_stopping:
            raise busy("the server stops")
        return _json({"status": "ready", "version": self._releases.current.name})

    async def metrics(self, request: Request) -> Response:
        """The metrics."""
        # Not as `media_type`, to which Starlette adds the character set once more.
        kind = {"Content-Type": MEDIA_TYPE}
        return Response(self._metrics.text(), headers=kind)

    async def openapi(self, request: Request) -> Response:
        """The description of the server and of the model's features."""
        return Response(self._releases.current.openapi, media_type=bodies.JSON)


def _json(document: Answer) -> Response:
    return Response(json.dumps(document).encode(), media_type=bodies.JSON)
