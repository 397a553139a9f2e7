"""What the server counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

MEDIA_TYPE = CONTENT_TYPE_LATEST
OTHER = "other"  # every path that is no route: who asks for what does not make new series
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Metrics:
    """The metrics of one server.

    Args:
      routes: Paths that have a series of their own.
    """

    def __init__(self, routes: tuple[str, ...]) -> None:
        self._routes = frozenset(routes)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "ranklite_requests", "Requests.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "ranklite_request_seconds",
            "Seconds from the head of a request to the end of its response.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "ranklite_batch_rows",
            "Rows that the model was given at once.",
            buckets=_ROWS,
            registry=self._registry,
        )
        self._waiting = Gauge(
            "ranklite_queue_length", "Requests that wait for a thread.", registry=self._registry
        )
        self._in_flight = Gauge(
            "ranklite_requests_in_flight",
            "Requests that are read, wait or are scored.",
            registry=self._registry,
        )
        self._version = Gauge(
            "ranklite_model_info", "1 for the version served.", ["version"], registry=self._registry
        )
        self._loaded = Gauge(
            "ranklite_model_loaded_timestamp_seconds",
            "When the version served was taken.",
            registry=self._registry,
        )
        self._swaps = Counter(
            "ranklite_swaps",
            "New versions in the folder, by what came of them.",
            ["result"],
            registry=self._registry,
        )
        for result in ("swapped", "refused"):
            self._swaps.labels(result)  # 0 is there before the first

    def watch(self, waiting: Callable[[], int], in_flight: Callable[[], int]) -> None:
        """Says where the lengths are read when they are asked for."""
        self._waiting.set_function(waiting)
        self._in_flight.set_function(in_flight)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request that was answered."""
        route = path if path in self._routes else OTHER
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, rows: int) -> None:
        """Counts a call of the model."""
        self._batches.observe(rows)

    def serves(self, version: str) -> None:
        """Notes which version is served from now on."""
        self._version.clear()
        self._version.labels(version).set(1)
        self._loaded.set_to_current_time()

    def swap(self, result: str) -> None:
        """Counts a new version, `swapped` or `refused`."""
        self._swaps.labels(result).inc()

    def text(self) -> bytes:
        """All of them, in the text format."""
        return generate_latest(self._registry)
