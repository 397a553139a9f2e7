"""A server with too much to do says so, and one that is told to stop ends what it began."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from ranklite.models.serving.http.server import _listener
from ranklite.models.serving.http.settings import Limits
from ranklite.pipeline.cli.main import main
from tests.pushed_model import ROW
from tests.running_server import SECONDS, RunningServer, running, until

BODY = json.dumps({"rows": [ROW]}).encode()


@contextlib.contextmanager
def half_sent(server: RunningServer) -> Iterator[socket.socket]:
    """A connection that has sent a request to its last byte but one, and not that."""
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port), timeout=SECONDS) as connection:
        head = f"POST /score HTTP/1.1\r\nHost: test\r\nContent-Length: {len(BODY)}\r\n"
        head += "Content-Type: application/json\r\n\r\n"
        connection.sendall(head.encode() + BODY[:-1])
        until(lambda: "ranklite_requests_in_flight 1.0" in server.client.get("/metrics").text)
        yield connection


def received(connection: socket.socket) -> str:
    """All that comes until the server hangs up."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts).decode()


def test_one_more_than_the_queue_holds_is_told_to_come_again(pushed: pathlib.Path) -> None:
    with running(str(pushed), "--queue", "1") as server:
        with half_sent(server) as connection:
            refused = server.client.post("/score", json={"rows": [ROW]})
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["detail"] == "1 requests are under way; come again"
            assert server.client.get("/healthz").status_code == 200  # which does not count
            connection.sendall(BODY[-1:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert server.post("/score", {"rows": [ROW]})["scores"]


def test_a_body_that_does_not_come_is_not_waited_for(pushed: pathlib.Path) -> None:
    with running(str(pushed), "--timeout", "0.2") as server:
        with half_sent(server) as connection:
            assert connection.recv(65536).startswith(b"HTTP/1.1 408")
        with half_sent(server):
            pass  # the client goes away; nobody is to be answered
        assert server.post("/score", {"rows": [ROW]})["scores"]
        assert server.stop() == 0
    assert [line["event"] for line in server.log] == ["serving"]


def test_what_is_in_flight_is_answered_after_sigterm(pushed: pathlib.Path) -> None:
    with running(str(pushed)) as server:
        where = urlsplit(server.url)
        with half_sent(server) as connection:
            server.process.terminate()
            server.event("stopping")
            until(lambda: not listens(where.hostname, where.port))
            connection.sendall(BODY[-1:])
            answer = received(connection)
        assert answer.startswith("HTTP/1.1 200")
        assert '"scores"' in answer
        assert server.process.wait(SECONDS) == 0
        assert server.event("stopped")


def listens(host: str | None, port: int | None) -> bool:
    """Whether somebody takes connections."""
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("again", [False, True])
def test_what_never_ends_does_not_keep_it(pushed: pathlib.Path, again: bool) -> None:
    grace = "60" if again else "1"
    with running(str(pushed), "--grace", grace) as server, half_sent(server):
        begin = time.monotonic()
        server.process.terminate()
        server.event("stopping")
        if again:
            server.process.terminate()  # whoever says it twice does not wait
        assert server.process.wait(SECONDS) == 0
        assert time.monotonic() - begin < 30


def test_the_command_says_what_is_wrong(
    pushed: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(tmp_path), "--port", "0"]) == 1
    assert "ranklite serve: no pushed model in" in capsys.readouterr().err
    assert main(["serve", str(pushed), "--queue", "0"]) == 1
    assert "ranklite serve: queue = 0; it is a number above 0" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(pushed), "--port", port]) == 1
    assert "Address already in use" in capsys.readouterr().err


def test_the_batch_is_what_the_model_runs_at_once() -> None:
    from ranklite.models.export.target import BATCH

    assert Limits().batch == BATCH


def test_connections_do_not_wait_for_acknowledgements() -> None:
    """A response is two packets: with Nagle's algorithm the second waits for the first's."""
    with _listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_server_loads_no_training_stack() -> None:
    code = """
import sys
import ranklite.models.serving.http.server
from ranklite.pipeline.cli.main import main
heavy = {"tensorflow", "tf_keras", "tfx", "kfp", "duckdb", "pandas", "pyarrow", "pydantic", "yaml"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
