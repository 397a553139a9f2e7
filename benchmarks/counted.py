"""Work that is counted, not timed: what a change must not add to.

    python -m benchmarks.counted [--release]

A small default run, each stage under cProfile, and its model scored: calls of functions by stage,
operators of its file, calls for a row that is scored and for a row that is ingested. The counts of
the last release are in `benchmarks/released.json`, by stack; `--release` writes them anew. The
clock of a busy machine says little; these hardly differ from run to run.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pathlib
import sys
import tempfile
import unittest.mock
from collections.abc import Callable
from importlib import metadata
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip
import yaml  # isort: skip

from ranklite.models.reporting.tables import table

RELEASED = pathlib.Path(__file__).parent / "released.json"
ROWS, BATCH = 6_000, 512
NOISE = 1.1  # how many times the released count a count may be
Counts = dict[str, float]


def stack() -> str:
    """Of this environment, as Makefile calls it."""
    return "tfx" + ".".join(metadata.version("tfx").split(".")[:2])


def calls(work: Callable[[], Any]) -> int:
    """How many functions a piece of work calls in this thread, but for `latency`."""
    from ranklite.models.export.target import LoadedModel

    latency = LoadedModel.latency
    profile = cProfile.Profile()

    def uncounted(*args: Any, **settings: Any) -> float:
        profile.disable()
        try:
            return latency(*args, **settings)
        finally:
            profile.enable()

    with unittest.mock.patch.object(LoadedModel, "latency", uncounted):
        profile.enable()
        try:
            work()
        finally:
            profile.disable()
    return sum(entry.callcount for entry in profile.getstats())


def run(folder: pathlib.Path) -> tuple[Counts, str]:
    """Calls by stage of a small run with the default configuration, and the version it pushed."""
    from ranklite.pipeline.config.run_config import RunConfig
    from ranklite.pipeline.local import dag_runner, runner
    from ranklite.pipeline.local.synthetic import generate

    from tfx.proto.orchestration import execution_invocation_pb2  # isort: skip

    execute = dag_runner.execute

    def profiled(given: Any) -> bytes:
        invocation = execution_invocation_pb2.ExecutionInvocation.FromString(given[2])
        made: list[bytes] = []
        count = calls(lambda: made.append(execute(given)))
        (folder / f"{invocation.pipeline_node.node_info.id}.count").write_text(str(count))
        return made[0]

    settings = yaml.safe_load(
        pathlib.Path(__file__).parents[1].joinpath("configs/synthetic.yaml").read_text("utf-8")
    )
    del settings["synthetic"]
    settings |= {"training": {"epochs": 2, "batch_size": 256}, "gates": {"min_auc": 0.5}}
    generate(str(folder / "data"), rows=ROWS)
    config = RunConfig.model_validate(settings)
    dag_runner.execute = profiled
    try:
        made = runner.run(
            config, str(folder / "data"), str(folder / "runs"), jobs=1, out=sys.stderr
        )
    finally:
        dag_runner.execute = execute
    if made.pushed is None:
        raise RuntimeError("the small run pushed nothing")
    counts = {
        f"run: calls in {path.stem}": float(path.read_text())
        for path in sorted(folder.glob("*.count"))
    }
    return counts, made.pushed


def score(version: str, log: pathlib.Path) -> Counts:
    """Operators of a pushed file, and calls for a row that is scored."""
    import duckdb

    from ranklite.models.export import tflite_graph
    from ranklite.models.serving.scorer import Scorer
    from ranklite.models.serving.versions import main_model

    graphs = tflite_graph.read(pathlib.Path(main_model(version)).read_bytes()).graphs
    scorer = Scorer(version)
    rows = duckdb.read_csv(str(log)).limit(BATCH).df().replace({np.nan: None}).to_dict("records")
    rows = [{name: row.get(name) for name in _features(scorer)} for row in rows]
    scorer.score(rows)
    scorer.score(rows[:1])
    name = scorer.metadata["config"]["user"]
    user = {name: rows[0][name]}
    prepared = scorer.prepare([{n: row[n] for n in row if n != name} for row in rows])
    scorer.top_k(user, prepared, 10)
    (halves,) = scorer._model._halves.values()  # type: ignore[attr-defined]
    return {
        **{f"file: operators of {name}": len(graph.operators) for name, graph in graphs.items()},
        "file: operators for a prepared candidate": len(halves.cut.second),
        f"scorer: calls a row, batch {BATCH}": calls(lambda: scorer.score(rows)) / BATCH,
        "scorer: calls a row, batch 1": calls(lambda: scorer.score(rows[:1])),
        "scorer: calls a candidate": calls(lambda: scorer.top_k(rows[0], rows, 10)) / BATCH,
        "scorer: calls for prepared ones": calls(lambda: scorer.top_k(user, prepared, 10)),
    }


def _features(scorer: Any) -> list[str]:
    return [entry["name"] for entry in scorer.metadata["features"] if not entry.get("past")]


def ingestion(folder: pathlib.Path) -> Counts:
    """Calls for rows that are ingested."""
    from benchmarks.ingest import config, write_log
    from ranklite.components.log_example_gen.ingest import ingest

    def count(rows: int) -> int:
        data = folder / str(rows)
        data.mkdir()
        write_log(data / "log.csv", rows)
        rejects, target = str(data / "rejects"), data / "examples"
        return calls(lambda: ingest(config(), str(data), rejects, lambda s: str(target / s)))

    count(1_000)  # imports, and what is compiled once
    return {"ingestion: calls for 40,000 rows": count(40_000)}


def counted() -> Counts:
    """All counts."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        counts, version = run(folder)
        return {**counts, **score(version, folder / "data" / "log.csv"), **ingestion(folder)}


def released() -> Counts:
    """The counts of the last release on this stack; none where it was not counted there."""
    if not RELEASED.exists():
        return {}
    found: Counts = json.loads(RELEASED.read_text(encoding="utf-8")).get(stack(), {})
    return found


def larger(counts: Counts, before: Counts) -> list[str]:
    """Names of the counts that are larger than before, by more than noise."""
    return [name for name, count in counts.items() if count > NOISE * before.get(name, count)]


def main() -> int:
    """Prints the counts beside those of the last release; 1 where one is larger."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--release", action="store_true", help="keep them as the last release's")
    parser.add_argument("--json", metavar="FILE", help="also write the counts there")
    arguments = parser.parse_args()
    counts, before = counted(), released()
    print(
        table(
            ["counted", "now", "last release", "times"],
            [
                [
                    name,
                    f"{count:,.1f}",
                    f"{before[name]:,.1f}" if name in before else "",
                    f"{count / before[name]:.2f}" if before.get(name) else "",
                ]
                for name, count in counts.items()
            ],
        )
    )
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(counts, indent=2), encoding="utf-8")
    if arguments.release:
        stacks = json.loads(RELEASED.read_text(encoding="utf-8")) if RELEASED.exists() else {}
        stacks[stack()] = {name: round(count, 2) for name, count in counts.items()}
        RELEASED.write_text(json.dumps(stacks, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return 0
    grown = larger(counts, before)
    for name in grown:
        print(f"more work than the last release: {name}", file=sys.stderr)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
