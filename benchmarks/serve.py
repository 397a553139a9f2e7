"""`ranklite serve` under load, against FastAPI with an encoder in Python and ONNX Runtime.

    python -m benchmarks.serve --peers <folder> [--rounds 3] [--seconds 3] [--json <file>]

Needs wrk (apt-get install wrk). Where the folder does not exist, pip puts fastapi, onnxruntime and
tf2onnx there: they are no part of the project's environment. A float DeepFM with random weights is
exported to TFLite and to ONNX (tf2onnx), rows are generated; neither matters to speed. Both servers
are asked for the same rows first, and have to give the same scores.

Each load is bounded in time and goes to 127.0.0.1 only: the servers take turns, in each round each
of them once, one process each. Figures are medians over the rounds. TensorFlow Serving is not among
them: it comes as a container or from a repository of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip

from benchmarks.scorer_models import OF_USER, VOCABULARIES, push, row, shop, write_encoder
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.reporting.tables import table

PEERS = ("fastapi", "onnxruntime", "tf2onnx", "onnx<1.17", "uvicorn", "httptools", "uvloop")
ITEMS, CANDIDATES, BODIES = 5000, 1000, 64
# What is asked for, of which path, with how many rows, by how many connections at once.
LOADS = (
    ("1 row, 1 client", "/score", 1, 1),
    ("1 row, 32 clients", "/score", 1, 32),
    ("32 rows, 8 clients", "/score", 32, 8),
    ("1,000 candidates, 4 clients", "/rank", CANDIDATES, 4),
)
SCRIPT = """
local requests, count, last = {}, 0, 0
function init(args)
  for line in io.lines(args[1]) do
    count = count + 1
    local head = {["Content-Type"] = "application/json"}
    requests[count] = wrk.format("POST", nil, head, line)
  end
end
function request()
  last = last % count + 1
  return requests[last]
end
"""


def export(folder: pathlib.Path, peers: str) -> None:
    """Writes `pushed/1`, `model.onnx` and `encoder.json`."""
    features, layout, raw = shop(VOCABULARIES)
    config = DeepFMConfig(embedding_dim=16, hidden_units=(64, 32), embedding_stddev=0.05)
    checkpoint = Checkpoint(build_deepfm(layout, config), layout, config)
    push(folder / "pushed", checkpoint, features, raw)
    sys.path.append(peers)
    import tf2onnx

    tf2onnx.convert.from_keras(checkpoint.model, output_path=str(folder / "model.onnx"))
    write_encoder(folder, layout)


def bodies(path: str, rows: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    """What is sent, again and again."""
    for _ in range(BODIES):
        some = [row(random, ITEMS) for _ in range(rows)]
        if path == "/score":
            yield {"rows": some}
        else:
            user = {name: some[0][name] for name in OF_USER}
            own = [{k: v for k, v in each.items() if k not in OF_USER} for each in some]
            yield {"user": user, "candidates": own, "k": 10}


class Server:
    """A server in a process of its own, stopped at the end of the context.

    Args:
      command: Starts it; the port is appended.
      environment: Of the process.
    """

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        port = self.url.rpartition(":")[2]
        self._command, self._environment = [*command, port], {**os.environ, **environment}

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/openapi.json", timeout=5).close()
                return self
            except urllib.error.URLError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        """The document that a body is answered by."""
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), head)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def load(
        self, folder: pathlib.Path, name: str, path: str, clients: int, seconds: int
    ) -> dict[str, float]:
        """Milliseconds of half and of all but 1 % of the requests, and requests a second."""
        done = subprocess.run(
            ["wrk", "--threads=1", f"--connections={clients}", f"--duration={seconds}s"]
            + ["--latency", f"--script={folder / 'script.lua'}", self.url + path]
            + ["--", str(folder / name)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        if "Non-2xx" in done or "Socket errors" in done:
            raise RuntimeError(f"requests failed:\n{done}")
        found = dict(re.findall(r"^ +(50|99)% +([0-9.]+[a-z]+)", done, re.MULTILINE))
        rate = float(re.findall(r"Requests/sec: +([0-9.]+)", done)[0])
        return {"p50": _ms(found["50"]), "p99": _ms(found["99"]), "rate": rate}


def _ms(text: str) -> float:
    number, unit = re.findall(r"([0-9.]+)([a-z]+)", text)[0]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def check(servers: dict[str, Server], path: str, body: dict[str, Any]) -> None:
    """Asks all of them the same."""
    answers = [server.answer(path, body) for server in servers.values()]
    for other in answers[1:]:
        if path == "/score":
            np.testing.assert_allclose(answers[0]["scores"], other["scores"], atol=1e-5)
        else:
            pairs = zip(answers[0]["ranking"], other["ranking"], strict=True)
            assert all(abs(a["score"] - b["score"]) < 1e-5 for a, b in pairs), answers


def measure(arguments: argparse.Namespace, folder: pathlib.Path) -> list[dict[str, Any]]:
    """The figures of each load and server."""
    export(folder, arguments.peers)
    (folder / "script.lua").write_text(SCRIPT)
    random = np.random.default_rng(0)
    ours = [sys.executable, "-m", "ranklite", "serve", str(folder / "pushed")]
    plain = str(pathlib.Path(__file__).with_name("plain_server.py"))
    path = os.pathsep.join([arguments.peers, os.environ.get("PYTHONPATH", "")])
    servers = {
        "ranklite serve": Server([*ours, "--port"], {}),
        "the same, each request alone": Server([*ours, "--batch", "1", "--port"], {}),
        "FastAPI + ONNX Runtime": Server(
            [sys.executable, plain, str(folder)], {"PYTHONPATH": path}
        ),
    }
    result = []
    for title, route, rows, clients in LOADS:
        sent = list(bodies(route, rows, random))
        (folder / "bodies").write_text("".join(json.dumps(body) + "\n" for body in sent))
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
        with servers["ranklite serve"] as a, servers["FastAPI + ONNX Runtime"] as b:
            check({"a": a, "b": b}, route, sent[0])
        for _ in range(arguments.rounds):
            for name, server in servers.items():
                with server:
                    server.load(folder, "bodies", route, clients, 1)  # warm
                    figures[name].append(
                        server.load(folder, "bodies", route, clients, arguments.seconds)
                    )
        for name, rounds in figures.items():
            medians = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
            pairs = zip(rounds, figures["FastAPI + ONNX Runtime"], strict=True)
            ratio = statistics.median(one["rate"] / other["rate"] for one, other in pairs)
            result.append({"load": title, "server": name, **medians, "ratio": ratio})
            print(f"{title}: {name} {medians['rate']:.0f}/s", file=sys.stderr)
    return result


def main() -> int:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", required=True, help="folder for what the other server needs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each load (default: 3)")
    parser.add_argument("--json", help="file for the figures")
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        parser.error("the load needs wrk: apt-get install wrk")
    if not os.path.isdir(arguments.peers):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", arguments.peers]
        subprocess.run([*pip, *PEERS], check=True)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(arguments, pathlib.Path(folder))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(result, indent=1))
    head = ["load", "server", "p50 ms", "p99 ms", "requests/s", "ratio"]
    rows = [
        [r["load"], r["server"], f"{r['p50']:.2f}", f"{r['p99']:.2f}"]
        + [f"{r['rate']:.0f}", f"{r['ratio']:.2f}"]
        for r in result
    ]
    print(table(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
