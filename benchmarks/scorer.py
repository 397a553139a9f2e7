"""The scorer against an encoder in Python and ONNX Runtime, in one process and in turns.

    python -m benchmarks.scorer [--models <folder>] [--rounds 25] [--json <file>]

A DeepFM with random weights and seven features, one of them a list, as float and as int8; rows are
generated. The peer looks values up in dictionaries and has one thread: of its float and its int8
file (ONNX Runtime's own dynamic quantization) the faster one counts, for each figure. Each figure
is the fastest of several rounds in which all ways take turns, in seconds of the thread that all of
them run on. Models are exported to the folder, once.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from benchmarks.plain_encoder import PlainEncoder
from benchmarks.report import Figure, show, write
from benchmarks.scorer_models import FORMATS, OF_USER, export, row
from ranklite import Scorer
from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW

CANDIDATES, TABLE, K = 10_000, 8192, 10
PEERS = ("model.onnx", "model.int8.onnx")
SECONDS = 0.002  # a round of a way, at least

Row = dict[str, Any]
Array = npt.NDArray[Any]
Call = Callable[[], object]


class Peer(PlainEncoder):
    """What one writes by hand: an encoder and a session.

    Args:
      folder: With encoder.json.
      file: The name of the model.
    """

    def __init__(self, folder: pathlib.Path, file: str) -> None:
        super().__init__(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        self.session = onnxruntime.InferenceSession(str(folder / file), options)

    def of_columns(self, columns: dict[str, Any]) -> dict[str, Array]:
        """The same of columns."""
        ids = [[self.ids(f, value) for value in columns[f["name"]]] for f in self.fields]
        numbers = [[self.price(value)] for value in columns["price"]]
        blocks = [np.array(block, np.int32) for block in ids]
        return {"ids": np.concatenate(blocks, axis=1), "numeric": np.array(numbers, np.float32)}

    def run(self, feeds: dict[str, Array], batch: int = 512) -> Array:
        """Scores of encoded rows, some at a time."""
        parts = [
            self.session.run(None, {n: x[k : k + batch] for n, x in feeds.items()})[0][:, 0]
            for k in range(0, len(feeds["ids"]), batch)
        ]
        return np.concatenate(parts)

    def score(self, rows: Sequence[Row]) -> Array:
        """Scores of rows."""
        return self.run(self.encoded(rows))

    def score_columns(self, columns: dict[str, Any]) -> Array:
        """Scores of columns."""
        return self.run(self.of_columns(columns))

    def top_k(self, user: Row, items: Sequence[Row], k: int) -> Array:
        """Places of the best candidates; the user is encoded once."""
        once = {f["name"]: self.ids(f, user[f["name"]]) for f in self.fields if f["name"] in user}
        ids = [
            [
                one
                for f in self.fields
                for one in once.get(f["name"]) or self.ids(f, item[f["name"]])
            ]
            for item in items
        ]
        numbers = [[self.price(item["price"])] for item in items]
        return self.ranked(np.array(ids, np.int32), np.array(numbers, np.float32), k)

    def ranked(self, ids: Array, numbers: Array, k: int) -> Array:
        """Places of the best of encoded candidates."""
        scores = self.run({"ids": ids, "numeric": numbers})
        best: Array = np.argsort(-scores, kind="stable")[:k]
        return best


def generated(count: int, seed: int) -> list[Row]:
    """Rows; some values are missing or unseen."""
    random = np.random.default_rng(seed)
    return [row(random, 5500) for _ in range(count)]


def fastest(ways: dict[str, Call], rounds: int) -> dict[str, float]:
    """Processor seconds of a call of each way: the fastest of rounds in which all take turns."""
    best = dict.fromkeys(ways, float("inf"))
    times = dict.fromkeys(ways, 1)
    for number in range(-1, rounds):
        for name, call in ways.items():
            start = time.thread_time()
            for _ in range(times[name]):
                call()
            spent = (time.thread_time() - start) / times[name]
            if number < 0:
                times[name] = max(1, round(SECONDS / spent))
            else:
                best[name] = min(best[name], spent)
    return best


def tables(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows as columns of each kind; of a kind that is not installed there is none."""
    lists = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {
        "user": np.array(lists["user"]),
        "item": np.array(lists["item"]),
        "category": np.array(lists["category"]),
        "device": np.array(lists["device"], np.object_),
        "hour": np.array(lists["hour"]),
        "tags": lists["tags"],
        "price": np.array(lists["price"], np.float64),
    }
    found = {"lists": lists, "numpy": arrays}
    try:
        import pyarrow as pa

        found["Arrow"] = pa.table(lists)
        import pandas as pd

        found["pandas"] = pd.DataFrame(lists)
        import polars as pl

        found["polars"] = pl.DataFrame(lists)
    except ImportError:
        pass
    return found


class Measured:
    """Figures of a scorer and its peers, one after the other.

    Args:
      folder: With the models.
      rounds: How often each way is timed.
    """

    def __init__(self, folder: pathlib.Path, rounds: int) -> None:
        self.scorers = {name: Scorer(str(folder / name / "pushed")) for name in FORMATS}
        self.peers = {name: Peer(folder, name) for name in PEERS}
        self.rounds, self.figures = rounds, list[Figure]()
        rows = generated(64, 3)
        scores = self.scorers["float"].score(rows)
        peer = self.peers[PEERS[0]]
        np.testing.assert_allclose(scores, peer.run(peer.encoded(rows)), atol=1e-4)

    def compare(
        self, what: str, ours: dict[str, Call], peers: dict[str, Call], scale: float, to_reach: str
    ) -> None:
        """Adds the figure of each of our ways against the fastest of its peers."""
        unit = "us a row" if scale != 1e3 else "ms"
        best = fastest({**ours, **peers}, self.rounds)
        least = min(best[name] for name in peers)
        for name in ours:
            self.figures.append(
                Figure(
                    f"{what}: {name}",
                    best[name] * scale,
                    least * scale,
                    least / best[name],
                    unit,
                    to_reach,
                )
            )

    def rows(self) -> None:
        """Mappings, one at a time and 512."""
        for count in (1, 512):
            rows = generated(count, count)
            self.compare(
                f"score, {count} rows",
                {n: functools.partial(s.score, rows) for n, s in self.scorers.items()},
                {n: functools.partial(p.score, rows) for n, p in self.peers.items()},
                1e6 / count,
                "2x",
            )

    def columns(self) -> None:
        """Tables of each kind."""
        rows = generated(TABLE, 1)
        lists = {name: [row[name] for row in rows] for name in rows[0]}
        scorer = self.scorers["int8"]
        self.compare(
            f"score_columns, {TABLE:,} rows",
            {n: functools.partial(scorer.score_columns, t) for n, t in tables(rows).items()},
            {n: functools.partial(p.score_columns, lists) for n, p in self.peers.items()},
            1e6 / TABLE,
            "5x",
        )

    def ranking(self) -> None:
        """Candidates of one user."""
        rows = generated(CANDIDATES, 2)
        items = [{n: v for n, v in row.items() if n not in OF_USER} for row in rows]
        user = {name: rows[0][name] for name in OF_USER}
        scorer = self.scorers["int8"]
        prepared = scorer.prepare(items)
        assert scorer.top_k(user, prepared, K) == scorer.top_k(user, items, K)
        encoded = {
            n: p.encoded([{**item, **user} for item in items]) for n, p in self.peers.items()
        }
        what = f"top_k, {CANDIDATES:,} candidates"
        self.compare(
            what,
            {
                "mappings": lambda: scorer.top_k(user, items, K),
                "prepared": lambda: scorer.top_k(user, prepared, K),
            },
            {n: functools.partial(p.top_k, user, items, K) for n, p in self.peers.items()},
            1e3,
            "3x; prepared 3 ms",
        )
        self.compare(
            f"{what} against encoded ones",
            {"prepared": lambda: scorer.top_k(user, prepared, K)},
            {
                n: functools.partial(p.ranked, encoded[n]["ids"], encoded[n]["numeric"], K)
                for n, p in self.peers.items()
            },
            1e3,
            "",
        )

    def formats(self) -> None:
        """int8 against float: operators, and calls of both signatures on what is encoded."""
        models = {name: scorer._model for name, scorer in self.scorers.items()}
        counts = {name: sum(model.operators().values()) for name, model in models.items()}
        ratio = counts["float"] / counts["int8"]
        self.figures.append(
            Figure("operators: int8", counts["int8"], counts["float"], ratio, "operators", "1x")
        )
        peer = self.peers[PEERS[0]]
        for count in (1, 512):
            rows = generated(count, count)
            fused = peer.encoded(rows)
            raw = self.scorers["int8"]._inputs.of_rows(rows)
            default = {n: m.prepared(fused) for n, m in models.items()}
            of_raw = {n: functools.partial(m.score, raw, SERVING_RAW) for n, m in models.items()}
            for signature, ways in ((SERVING_DEFAULT, default), (SERVING_RAW, of_raw)):
                self.compare(
                    f"{signature}, {count} rows, against float",
                    {"int8": ways["int8"]},
                    {"float": ways["float"]},
                    1e6 / count,
                    "1x",
                )


def main() -> int:
    """Measures, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", help="folder for the exported models (default: a new one)")
    parser.add_argument("--rounds", type=int, default=25, help="times each is measured")
    parser.add_argument("--json", help="file for the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as new:
        folder = pathlib.Path(arguments.models or new)
        export(folder)
        measured = Measured(folder, arguments.rounds)
        measured.rows()
        measured.columns()
        measured.ranking()
        measured.formats()
    print(show(measured.figures))
    if arguments.json:
        write(arguments.json, "scorer", measured.figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
