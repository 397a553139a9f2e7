"""`ranklite serve`: the server from its first version to the end of its last request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import socket
from collections.abc import Iterator

import uvicorn

from ranklite.models.serving.http import json_log
from ranklite.models.serving.http.app import make_app
from ranklite.models.serving.http.endpoints import PATHS, Endpoints
from ranklite.models.serving.http.engine import Engine
from ranklite.models.serving.http.metrics import Metrics
from ranklite.models.serving.http.releases import Releases
from ranklite.models.serving.http.settings import Limits

LOG = logging.getLogger("ranklite.serve")
BACKLOG = 2048
KEEP_ALIVE = 75  # seconds that an idle connection is kept: longer than a load balancer's 60


def serve(
    path: str, host: str, port: int, limits: Limits | None = None, *, access_log: bool = False
) -> None:
    """Serves a pushed version until SIGTERM or SIGINT.

    Then it closes its socket, answers what is in flight for up to `limits.grace` seconds, and
    returns. A second signal ends it at once.

    Args:
      path: Folder of all versions, or of one.
      host: Address to listen at.
      port: 0 takes a free one, which the log names.
      limits: Its bounds.
      access_log: Whether the log has a line a request.

    Raises:
      FileNotFoundError: There is no version.
      Refused: None of the versions loads.
      OSError: The address is taken.
    """
    limits = limits or Limits()
    json_log.configure(access_log)
    listener = _listener(host, port)
    with listener:
        metrics = Metrics(PATHS)
        releases = Releases(path, limits, metrics)
        engine = Engine(limits, metrics.batch)
        endpoints = Endpoints(releases, engine, metrics, limits)
        config = uvicorn.Config(
            make_app(endpoints, metrics),
            backlog=BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=math.ceil(limits.grace),
        )
        server = _Server(config)
        releases.start()
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}"
        LOG.info("serving", extra={"about": {"url": url, "version": releases.current.name}})
        asyncio.run(_run(server, listener, endpoints))
        releases.stop()
        engine.close(seconds=0.1)  # no request waits any more
    LOG.info("stopped")


async def _run(server: _Server, listener: socket.socket, endpoints: Endpoints) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if server.should_exit:
            server.force_exit = True
        endpoints.is_stopping = server.should_exit = True
        LOG.info("stopping")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn without its handling of signals, which would end the process by the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # Connections inherit it. asyncio does so for sockets that it makes itself only; without it each
    # response waits 40 ms for the client to acknowledge its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
