"""All of it, in order: as `ingest`, on an engine."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from ranklite.components.engines.engine import Engine
from ranklite.components.log_example_gen import reader, rejects, splits, writer
from ranklite.components.log_example_gen.config import HashSplit, IngestConfig, TimeSplit
from ranklite.components.log_example_gen.item_labels import item_labels
from ranklite.components.log_example_gen.log_table import ROW, SPLIT
from ranklite.components.log_example_gen.parts import (
    counts,
    cut,
    divide,
    keyed,
    load,
    look,
    negatives,
    part_rejects,
    past,
    places,
    rows_of_log,
    shards,
    tables,
    times,
    work,
)
from ranklite.components.log_example_gen.parts.log import Log, LogPart
from ranklite.components.log_example_gen.point_in_time.columns import about as about_past
from ranklite.models.environment import cores
from ranklite.models.features.past import VIEWS_FILE

SHARE_ROWS = 2_000_000  # rows of the log a share by a key: 0.35 GB for a million with their past


class Outputs(NamedTuple):
    """Where results go, as of `ingest`."""

    rejects_dir: str
    folder_of: Callable[[str], str]
    item_labels: str | None
    log_rows_file: str | None
    state_dir: str | None


class Results(NamedTuple):
    """What is told of a log, as the report of `ingest` has it; and the rows of its file."""

    splits: dict[str, dict[str, Any]]
    rejected: dict[str, int]
    sampled: dict[str, int]
    past: dict[str, Any] | None
    rows_of_log: list[dict[str, Any]] = []


def ingest(
    config: IngestConfig,
    data_root: str,
    outputs: Outputs,
    engine: Engine,
) -> Results:
    """Turns a log into examples, part by part.

    Args:
      config: What to read and how.
      data_root: The data folder.
      outputs: Where results go.
      engine: Works on the parts.

    Raises:
      IngestError: As of `ingest`.
    """
    matched = config.matching_files(data_root)
    paths = sorted({path for files in matched.values() for path in files})
    groups = divide.groups(config, matched, engine.at_once())
    states = [f"{path} {os.stat(path).st_size} {os.stat(path).st_mtime_ns}" for path in paths]
    given = [
        writer.SHARD_ROWS,
        divide.PART_BYTES,
        divide.CUT_BYTES,
        keyed.SHARE_BYTES,
        engine.at_once(),
        bool(outputs.log_rows_file),
        bool(outputs.state_dir),
    ]
    key = [config.model_dump_json(), os.path.abspath(data_root), str(given), *states]
    with work.folder(outputs.rejects_dir, key) as folder:
        job = work.Job(
            config,
            os.path.abspath(data_root),
            folder,
            max(1, cores() // engine.at_once()),
            engine.at_once(),
            writer.SHARD_ROWS,
        )
        return _ingest(work.Stages(engine, job), job, groups, matched, outputs)


def _ingest(
    stages: work.Stages,
    job: work.Job,
    groups: Sequence[divide.Group],
    matched: reader.Matched,
    outputs: Outputs,
) -> Results:
    config = job.config
    with reader.unchanged(path for paths in matched.values() for path in paths):
        parts = _parts(stages, config, groups)
        tasks, rejects_of = _to_load(stages, job, parts, matched)
        loaded = stages.run("loaded", load.load, tasks, "reading")
        _check(config, job.data_root, loaded)
    good = sum(each.good for each in loaded)
    buckets = max(job.buckets, len(parts), -(-good // SHARE_ROWS))
    job = dataclasses.replace(job, buckets=buckets)
    before = _before(tasks, loaded)
    folders = [(load.folder_of(job, number), rows) for number, rows in enumerate(before)]
    folders += [(folder, 0) for folder in rejects_of]
    rejected = rejects.write(_rejects(config, folders), good, config, outputs.rejects_dir)
    log = _divided(stages, job, loaded, before)
    counted = counts.count(stages, log, final=not config.sampled_negatives)
    splits.check(counted.described(config), config)
    if config.item_label and outputs.item_labels:
        with log.whole() as con:
            pq.write_table(item_labels(con, config), outputs.item_labels)
    sampled: dict[str, int] = {}
    if config.sampled_negatives:
        log, sampled = negatives.add(stages, log)
        counted = counts.count(stages, log, final=True)
    return _write(stages, log, loaded, counted, outputs)._replace(
        rejected=rejected, sampled=sampled
    )


def _parts(
    stages: work.Stages, config: IngestConfig, groups: Sequence[divide.Group]
) -> list[divide.PartFiles]:
    """The files of each part; those that are large are cut, where they can be."""
    large = divide.large_files(config, groups)
    tasks = [task for each in large for task in each.tasks]
    looked = iter(stages.run("looked", look.look, tasks, "looking"))
    for each in large:
        cut.end(each, list(itertools.islice(looked, len(each.tasks))))
    divide.tell_uncut(large)
    return divide.parts(groups, cut.pieces(large))


def _to_load(
    stages: work.Stages, job: work.Job, parts: Sequence[divide.PartFiles], matched: reader.Matched
) -> tuple[list[load.LoadTask], list[str]]:
    """What reads the log, and folders with rejects of files that are read beforehand."""
    if not job.config.source.query:
        whole = [load.LoadTask(job, n, e.matched, None, e.pieces) for n, e in enumerate(parts)]
        return whole, []
    typed = tables.typed(stages, job, matched)
    if job.config.source.partition_by is None:
        return [
            load.LoadTask(job, n, e.matched, {e.split: typed[e.split]}, e.pieces)
            for n, e in enumerate(parts)
        ], []
    shares, folders = keyed.shares(stages, job, parts, matched, typed)
    return [
        load.LoadTask(job, n, e.others, {e.split: typed[e.split]}, tables=e.tables)
        for n, e in enumerate(shares)
    ], folders


def _write(
    stages: work.Stages,
    log: Log,
    loaded: Sequence[load.Loaded],
    counted: counts.Counts,
    outputs: Outputs,
) -> Results:
    """Writes what a log becomes, once its rows are known; see `ingest`."""
    config = log.job.config
    sample = rows_of_log.Sample(log, loaded, counted) if outputs.log_rows_file else None
    plan = shards.planned(log, counted, outputs.folder_of)
    asked = [
        places.PlaceTask(
            log, part, shards.starts(plan, part), sample.of_parts[part] if sample else []
        )
        for part, _ in enumerate(log.parts)
    ]
    asked = [task for task in asked if task.starts or task.rows]
    # Of tasks that wait for none together the longest come first, so that the short ones fill up
    # what is left of all workers' time.
    found, distinct = stages.together(
        "counting",
        ("places", places.find, asked),
        ("distinct", counts.distinct, counted.distinct_tasks),
    )
    of_past = past.compute(stages, log, counted) if config.features.past_columns else None
    of_starts = {
        (task.part, *start): place
        for task, result in zip(asked, found, strict=True)
        for start, place in zip(task.starts, result.starts, strict=True)
    }
    of_parts = {task.part: result for task, result in zip(asked, found, strict=True)}
    reads = sample.tasks(of_parts) if sample else []
    views = []
    if of_past is not None and outputs.state_dir:
        path = os.path.abspath(os.path.join(outputs.state_dir, VIEWS_FILE))
        views.append(past.ViewsTask(log, of_past.groups, of_past.views(), path))
        writer.write_states(of_past.stored, outputs.state_dir)
    _, _, contents = stages.together(
        "writing",
        ("", past.write_views, views),
        ("", shards.write, shards.placed(plan, of_starts, of_past)),
        ("rows", rows_of_log.read, reads),
    )
    shards.remove_others(plan)
    return Results(
        counted.described(config, distinct),
        {},
        {},
        about_past(config, of_past.totals) if of_past is not None else None,
        sample.rows(reads, contents) if sample else [],
    )


def _check(config: IngestConfig, data_root: str, loaded: Sequence[load.Loaded]) -> None:
    """Raises what reading the log in one piece would have raised."""
    for stage in (load.SCANNING, load.READING):
        for each in loaded:
            if each.failure is not None and each.failure[0] == stage:
                raise each.failure[1]
        if stage == load.SCANNING:
            ones = [absent for each in loaded for absent in each.absent]
            assert loaded[0].head is not None
            reader.check_columns(config, data_root, ones, loaded[0].head)


def _before(tasks: Sequence[load.LoadTask], loaded: Sequence[load.Loaded]) -> list[int]:
    """Of a query: how many rows its result, that of the same split, has before each part."""
    rows, result = Counter[str](), []
    for task, each in zip(tasks, loaded, strict=True):
        [split] = task.typed or [""]
        result.append(rows[split] if task.typed is not None else 0)
        rows[split] += each.rows
    return result


def _rejects(config: IngestConfig, folders: Sequence[tuple[str, int]]) -> Iterator[rejects.Reject]:
    """The rejects of all parts, in their order; a line of a table that all read is one."""
    last = None
    for each in heapq.merge(*(part_rejects.read(*folder) for folder in folders)):
        if each != last or not (each.file and config.source.query):
            yield each
        last = each


def _divided(
    stages: work.Stages, job: work.Job, loaded: Sequence[load.Loaded], before: Sequence[int]
) -> Log:
    """The log, each row in its split."""
    after, of_parts = 0, []
    for each, rows in zip(loaded, before, strict=True):
        of_parts.append(LogPart(tuple(each.files), after, rows))
        after += each.rows
    log = Log(job, tuple(of_parts))
    split = job.config.split
    if isinstance(split, TimeSplit):
        sql = splits.by_time(times.starts(stages, log, [e.times for e in loaded if e.times]), ROW)
    elif isinstance(split, HashSplit):
        sql = splits.by_hash(job.config, split, ROW)
    else:
        sql = SPLIT
    return Log(job, log.parts, sql)
