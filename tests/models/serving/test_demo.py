"""The server of `ranklite demo`: what it serves, to whom, and what it says where it cannot."""

from __future__ import annotations

import http.client
import json
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from ranklite.models.serving import demo
from ranklite.models.serving.metadata_file import DamagedFile
from ranklite.models.serving.versions import digest
from ranklite.pipeline.cli.main import main

WEB = "/clients/web/"


@pytest.fixture
def pushed(tmp_path: pathlib.Path) -> pathlib.Path:
    """Folder of versions; what is in the files matters to no server."""
    contents = {
        "model.tflite": b"a model",
        "report.html": b"a report",
        "preprocessing.json": b"{}",
        "clients/vectors.json": b"{}",
        "clients/web/index.html": b"<p>a page",
        "clients/web/page.js": b"1",
        "clients/web/page.css": b"p {}",
        "clients/web/model.tflite": b"the browser's",
    }
    entries = {name: digest(content) for name, content in contents.items()}
    contents["model.json"] = json.dumps({"files": entries}).encode()
    folder = tmp_path / "pushed"
    for name, content in contents.items():
        (folder / "1" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "1" / name).write_bytes(content)
    return folder


@pytest.fixture
def litert(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "node_modules/@litertjs"
    for name in ("core/dist/index.js", "core/wasm/litert.wasm", "wasm-utils/dist/index.js"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"code")
    (folder / "core/package.json").write_bytes(b"{}")
    return folder


@pytest.fixture
def port(pushed: pathlib.Path, litert: pathlib.Path) -> Iterator[int]:
    with demo.server(demo.files(str(pushed), str(litert)), 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port
        running.shutdown()


def ask(
    port: int, path: str, method: str = "GET", host: str | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [
        (WEB, "text/html; charset=utf-8", b"<p>a page"),
        (f"{WEB}index.html", "text/html; charset=utf-8", b"<p>a page"),
        (f"{WEB}page.js?v=1", "text/javascript; charset=utf-8", b"1"),
        (f"{WEB}page.css", "text/css; charset=utf-8", b"p {}"),
        (f"{WEB}model.tflite", "application/octet-stream", b"the browser's"),
        (f"{WEB}litert/core/wasm/litert.wasm", "application/wasm", b"code"),
        (f"{WEB}litert/wasm-utils/dist/index.js", "text/javascript; charset=utf-8", b"code"),
        ("/clients/vectors.json", "application/json", b"{}"),
        ("/preprocessing.json", "application/json", b"{}"),
    ],
)
def test_a_file_has_its_type(port: int, path: str, kind: str, content: bytes) -> None:
    answer, body = ask(port, path)
    assert (answer.status, answer.headers["Content-Type"], body) == (200, kind, content)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    head, body = ask(port, path, "HEAD")
    assert (head.status, head.headers["Content-Length"], body) == (200, str(len(content)), b"")


@pytest.mark.parametrize(
    "path",
    [
        "/report.html",
        "/model.tflite",
        f"{WEB}../../model.tflite",
        f"{WEB}%2e%2e/%2e%2e/report.html",
        f"{WEB}litert/core/package.json",
        "/etc/passwd",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_served(port: int, path: str) -> None:
    assert ask(port, path)[0].status == 404


def test_the_root_leads_to_the_page(port: int) -> None:
    answer, _ = ask(port, "/")
    assert (answer.status, answer.headers["Location"]) == (302, WEB)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_taken_in(port: int, method: str) -> None:
    assert ask(port, WEB, method)[0].status == 501


def test_another_name_of_this_machine_gets_nothing(port: int) -> None:
    assert ask(port, WEB, host=f"localhost:{port}")[0].status == 200
    assert ask(port, WEB, host=f"evil.example:{port}")[0].status == 421
    assert ask(port, WEB, host="evil.example")[0].status == 421


def test_any_folder_above_litert_will_do(pushed: pathlib.Path, litert: pathlib.Path) -> None:
    served = [demo.files(str(pushed / "1"), str(f)) for f in (litert, *litert.parents[:2])]
    assert served[0] == served[1] == served[2]


@pytest.mark.fault("the browser's model is damaged", "not served")
def test_a_damaged_model_is_not_served(pushed: pathlib.Path, litert: pathlib.Path) -> None:
    (pushed / "1/clients/web/model.tflite").write_bytes(b"another")
    with pytest.raises(DamagedFile, match="is not the file that was pushed"):
        demo.files(str(pushed), str(litert))


def test_what_is_not_there_is_said_in_a_line(
    pushed: pathlib.Path,
    litert: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", str(pushed)]) == 1
    assert capsys.readouterr().err == (
        "ranklite demo: no LiteRT.js in 'examples/web/node_modules/@litertjs': run `make demo` in "
        "a checkout, or `npm install @litertjs/core@2.5.3` anywhere and add --litert "
        "<there>/node_modules\n"
    )
    assert main(["demo", str(tmp_path), "--litert", str(litert)]) == 1
    assert "it has no version folder" in capsys.readouterr().err
    (pushed / "1/clients/web/index.html").unlink()
    assert main(["demo", str(pushed), "--litert", str(litert)]) == 1
    assert "has no page in clients/web: only a version" in capsys.readouterr().err


def test_the_version_that_is_named_is_the_one_that_is_pinned() -> None:
    pinned = pathlib.Path(__file__).parents[3] / "examples/web/package.json"
    dependencies = json.loads(pinned.read_text())["dependencies"]
    assert dependencies == {"@litertjs/core": demo.LITERT_VERSION}


def test_the_command_serves_without_a_training_stack(
    pushed: pathlib.Path, litert: pathlib.Path
) -> None:
    code = """
import sys
for name in ("tensorflow", "pydantic", "tfx"):
    sys.modules[name] = None  # an import of it fails
from ranklite.pipeline.cli.main import main
main(["demo", sys.argv[1], "--litert", sys.argv[2], "--port", "0"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(pushed), str(litert)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        try:
            address, _, words = line.partition(" ")
            assert words == "ranks in the browser; Ctrl-C ends it\n"
            port = int(address.removesuffix(WEB).rpartition(":")[2])
            assert ask(port, WEB)[1] == b"<p>a page"
        finally:
            running.kill()
