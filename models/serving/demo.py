"""Serves the page of a pushed version on this machine: the model runs in the browser.

Nothing but the files named here is served, to this machine alone, and nothing is taken in: the page
ranks by itself, and its Content Security Policy lets it speak to no other place.
"""

from __future__ import annotations

import http.server
import pathlib
import urllib.parse
from collections.abc import Mapping

from ranklite.models.serving.clients import BROWSER_FILE, FOLDER, VECTORS_FILE
from ranklite.models.serving.clients.web import LITERT, PAGE
from ranklite.models.serving.metadata_file import METADATA_FILE, read_metadata
from ranklite.models.serving.versions import PREPROCESSING_FILE, read_model, version_in

HOST = "127.0.0.1"
LITERT_FOLDER = "examples/web/node_modules/@litertjs"  # of a checkout, after `make demo`
LITERT_VERSION = "2.5.3"
_WEB = f"/{FOLDER}/web/"
_BESIDE = (METADATA_FILE, PREPROCESSING_FILE, f"{FOLDER}/{VECTORS_FILE}")
_SCRIPT = "core/dist/index.js"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page itself says the rest
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def files(path: str, litert: str | None = None) -> dict[str, pathlib.Path]:
    """What is served, by its path in an address.

    Args:
      path: Folder of a version, or of all versions (the newest is taken).
      litert: Folder of LiteRT.js: `node_modules`, or `@litertjs` in it. None takes that of
        `make demo`, where this is a checkout.

    Raises:
      FileNotFoundError: There is no version, it has no page, or LiteRT.js is not there.
      DamagedFile: The browser's model is not the one that was pushed.
    """
    version = version_in(path)
    root = pathlib.Path(version)
    web = root / FOLDER / "web"
    if not (web / PAGE).is_file() or not (root / BROWSER_FILE).is_file():
        raise FileNotFoundError(
            f"{version!r} has no page in {FOLDER}/web: only a version that is pushed with "
            "`push: {clients: true}` has one"
        )
    metadata = read_metadata(version)
    read_model(version, BROWSER_FILE, metadata)  # a damaged one is an error
    found = {_WEB + name.name: name for name in web.iterdir() if name.is_file()}
    found |= {f"/{name}": root / name for name in _BESIDE if (root / name).is_file()}
    found[_WEB] = web / PAGE
    library = _litert(litert)
    for each in (library / "core", library / "wasm-utils"):
        for file in each.rglob("*"):
            if file.suffix in (".js", ".wasm"):
                found[f"{_WEB}{LITERT}/{file.relative_to(library).as_posix()}"] = file
    return found


def _litert(given: str | None) -> pathlib.Path:
    folder = pathlib.Path(LITERT_FOLDER if given is None else given)
    for found in (folder, folder / "@litertjs", folder / "node_modules/@litertjs"):
        if (found / _SCRIPT).is_file():
            return found
    raise FileNotFoundError(
        f"no LiteRT.js in {str(folder)!r}: run `make demo` in a checkout, or `npm install "
        f"@litertjs/core@{LITERT_VERSION}` anywhere and add --litert <there>/node_modules"
    )


def server(served: Mapping[str, pathlib.Path], port: int) -> http.server.ThreadingHTTPServer:
    """A server on this machine alone; `serve_forever` runs it.

    Args:
      served: What `files` gives.
      port: 0 takes a free one.

    Raises:
      OSError: The port is taken.
    """

    class Handler(_Handler):
        files = served

    return http.server.ThreadingHTTPServer((HOST, port), Handler)


def address(running: http.server.ThreadingHTTPServer) -> str:
    """Where the page is."""
    return f"http://{HOST}:{running.server_port}{_WEB}"


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD with one of the files."""

    files: Mapping[str, pathlib.Path]
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "ranklite", ""

    def do_GET(self) -> None:
        """Sends a file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Says what GET would send."""
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        # A name that leads to this machine by another's doing (DNS rebinding) gets nothing.
        if (self.headers.get("Host") or "").rpartition(":")[0] not in (HOST, "localhost"):
            self.send_error(421)
        elif path == "/":
            self.send_response(302)
            self.send_header("Location", _WEB)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path not in self.files:
            self.send_error(404)
        else:
            self._send(self.files[path], with_body)

    def _send(self, file: pathlib.Path, with_body: bool) -> None:
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", _TYPES.get(file.suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(content)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing of what goes well."""
