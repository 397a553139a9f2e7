"""A Kubeflow Pipelines API on loopback: keeps what it is sent, and fails when told to."""

from __future__ import annotations

import contextlib
import email
import http.server
import json
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

from tests.loopback import serving

_API = "/apis/v2beta1"
_LISTS = {
    "experiments": ("experiments", "experiment_id"),
    "pipelines": ("pipelines", "pipeline_id"),
    "recurringruns": ("recurringRuns", "recurring_run_id"),
    "runs": ("runs", "run_id"),
}


class Server:
    """What the server holds.

    Attributes:
      requests: (method, path, query, body) of each request but the health checks.
      kept: Objects by kind.
      uploads: Name of each upload and its content.
      failures: Answers to give in place of the next ones: (method, part of the path, status).
      slow_seconds: How long each answer takes.
      page_size: Most objects in an answer.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.kept: dict[str, list[dict[str, Any]]] = {kind: [] for kind in (*_LISTS, "versions")}
        self.uploads: list[tuple[str, bytes]] = []
        self.failures: list[tuple[str, str, int]] = []
        self.slow_seconds = 0.0
        self.page_size = 2
        self.host = ""

    def changes(self) -> list[str]:
        """Requests that change something, as `METHOD path`."""
        return [f"{m} {p.removeprefix(_API)}" for m, p, _, _ in self.requests if m != "GET"]

    def add(self, kind: str, **values: Any) -> dict[str, Any]:
        """Keeps an object under an id of its own."""
        key = "pipeline_version_id" if kind == "versions" else _LISTS[kind][1]
        number = sum(map(len, self.kept.values())) + 1
        made = {key: f"{kind}-{number}", "created_at": "2026-11-22T02:00:00Z", **values}
        self.kept[kind].append(made)
        return made


def _handler(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def _answer(self, body: Any, status: int = 200) -> None:
            content = json.dumps(body).encode()
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def _handle(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            time.sleep(server.slow_seconds)
            path = url.path.removeprefix(_API)
            if path == "/healthz":
                self._answer({"multi_user": False})
                return
            upload = "multipart" in self.headers.get("Content-Type", "")
            body = None if upload or not content else json.loads(content)
            server.requests.append((self.command, url.path, query, body))
            for failure in server.failures:
                method, part, status = failure
                if method == self.command and part in path:
                    server.failures.remove(failure)
                    self._answer({"message": f"told to answer {status}"}, status)
                    return
            kind, *rest = path.strip("/").split("/")
            if upload:
                self._upload(rest[0], query, content)
            elif rest[1:] == ["versions"]:
                self._list("versions", "pipeline_versions", query, {"pipeline_id": rest[0]})
            elif self.command == "POST":
                self._answer(server.add(kind, **body))
            elif self.command == "DELETE":
                key = _LISTS[kind][1]
                server.kept[kind] = [o for o in server.kept[kind] if o[key] != rest[0]]
                self._answer({})
            elif kind == "runs" and rest:
                (one,) = [run for run in server.kept["runs"] if run["run_id"] == rest[0]]
                self._answer(one)
            else:
                belongs = {k: query[k] for k in ("experiment_id",) if k in query}
                self._list(kind, _LISTS[kind][0], query, belongs)

        do_GET = do_POST = do_DELETE = _handle

        def _list(
            self, kind: str, key: str, query: dict[str, str], belongs: dict[str, str]
        ) -> None:
            result = [o for o in server.kept[kind] if belongs.items() <= o.items()]
            for predicate in json.loads(query.get("filter", "{}")).get("predicates", []):
                value = predicate.get("stringValue", predicate.get("string_value"))
                result = [o for o in result if o["display_name"] == value]
            start = int(query.get("page_token", 0) or 0)
            size = min(server.page_size, int(query.get("page_size", server.page_size)))
            left_out = {"run_details"}  # as KFP does in a list
            shown = [{k: v for k, v in one.items() if k not in left_out} for one in result]
            answer: dict[str, Any] = {key: shown[start : start + size]}
            if start + size < len(result):
                answer["next_page_token"] = str(start + size)
            self._answer(answer)

        def _upload(self, what: str, query: dict[str, str], content: bytes) -> None:
            header = f"Content-Type: {self.headers['Content-Type']}\n\n".encode()
            (part,) = email.message_from_bytes(header + content).get_payload()  # type: ignore
            server.uploads.append((query["name"], part.get_payload(decode=True)))  # type: ignore
            if what == "upload":
                made = server.add("pipelines", display_name=query["name"])
                server.add("versions", display_name=query["name"], pipeline_id=made["pipeline_id"])
            else:
                made = server.add(
                    "versions", display_name=query["name"], pipeline_id=query["pipelineid"]
                )
            self._answer(made)

    return Handler


@contextlib.contextmanager
def kubeflow_server() -> Iterator[Server]:
    """Serves while the context lasts."""
    server = Server()
    with serving(_handler(server)) as server.host:
        yield server
