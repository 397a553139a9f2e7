"""Stands in front of a server and fails on request, as servers do."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import time
import urllib.parse
from collections.abc import Iterator

from tests.loopback import serving

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Faults:
    """What goes wrong.

    Attributes:
      failures: Answers to give in place of the next ones: (method, part of the path, status); 0
        hangs up.
      failed: When each of them was given.
      requests: (method, path) of all requests.
      endpoint: Address of this, to be used in place of the server's.
    """

    def __init__(self) -> None:
        self.failures: list[tuple[str, str, int]] = []
        self.failed: list[float] = []
        self.requests: list[tuple[str, str]] = []
        self.endpoint = ""


def _handler(faults: Faults, server: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def _body(self) -> bytes:
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _handle(self) -> None:
            content = self._body()
            faults.requests.append((self.command, self.path))
            for failure in faults.failures:
                method, part, status = failure
                if method == self.command and part in self.path:
                    faults.failures.remove(failure)
                    faults.failed.append(time.monotonic())
                    self.close_connection = True
                    if status:
                        self._answer(status, b"", [])
                    return
            upstream = http.client.HTTPConnection(urllib.parse.urlsplit(server).netloc)
            try:
                upstream.putrequest(self.command, self.path, True, True)
                for name, value in self.headers.items():
                    if name.lower() != "expect":
                        upstream.putheader(name, value)
                upstream.endheaders(content)
                answer = upstream.getresponse()
                self._answer(answer.status, answer.read(), answer.getheaders())
            finally:
                upstream.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

        def _answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
            self.send_response_only(status)
            if self.close_connection:
                self.send_header("Connection", "close")
            length = str(len(body))
            for name, value in headers:
                if self.command == "HEAD" and name.lower() == "content-length":
                    length = value
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(body)

    return Handler


@contextlib.contextmanager
def faults_before(server: str) -> Iterator[Faults]:
    """Serves while the context lasts, in front of the server at an address."""
    faults = Faults()
    with serving(_handler(faults, server)) as faults.endpoint:
        yield faults
