"""Whoever reads Examples sees all of their rows, or says which file is short of how many."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv

from ranklite.components.statistics_gen.in_process import Statistics
from ranklite.models import progress
from ranklite.models.features import row_counts
from ranklite.models.features.examples import counted_batches, read_records
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.row_counts import ROWS_FILE, RowsMissing, counted, expected
from ranklite.models.features.tfrecords import in_order, write_examples
from ranklite.models.training import data, in_memory
from ranklite.pipeline.local import beam_progress

LAYOUT = FeatureLayout.build([("user", 1, 40)], [])
BATCH, ROWS = 50, 400
CUTS = 64


def batches(count: int) -> list[pa.RecordBatch]:
    random = np.random.default_rng(count)
    return [
        pa.RecordBatch.from_pydict(
            {
                "ids": [[int(k)] for k in random.integers(2, 40, BATCH)],
                "label": [[float(k)] for k in random.integers(0, 2, BATCH)],
            },
            schema=pa.schema({"ids": pa.list_(pa.int64()), "label": pa.list_(pa.float32())}),
        )
        for _ in range(count)
    ]


@pytest.fixture
def split(tmp_path: pathlib.Path) -> list[str]:
    """Two files of a split, and its number of rows beside it."""
    files = [str(tmp_path / "Split-train" / f"rows-{k}-of-2.gz") for k in range(2)]
    for file in files:
        write_examples(file, batches(ROWS // BATCH))
    (tmp_path / ROWS_FILE).write_text(json.dumps({"train": 2 * ROWS}))
    in_memory.clear()
    return files


def clean_ends(file: str) -> list[int]:
    """Sizes to which a file may be cut so that what is left reads as a whole one."""
    content = pathlib.Path(file).read_bytes()
    marks = [k + 4 for k in range(len(content)) if content[k : k + 4] == b"\x00\x00\xff\xff"]
    found = []
    for size in marks[:-1]:
        cut = pathlib.Path(f"{file}.cut")
        cut.write_bytes(content[:size])
        rows = sum(1 for _ in tf.data.TFRecordDataset(str(cut), "GZIP"))
        cut.unlink()
        found += [size] if rows < ROWS else []
    return found


def streamed(read: Callable[[Sequence[str]], object]) -> Callable[[Sequence[str]], object]:
    def reading(files: Sequence[str]) -> object:
        kept, in_memory.MOST_BYTES = in_memory.MOST_BYTES, 1
        try:
            return read(files)
        finally:
            in_memory.MOST_BYTES = kept

    return reading


def on_beam(files: Sequence[str]) -> None:
    with beam_progress.counted(), beam.Pipeline() as pipeline:
        for file in files:
            _ = pipeline | file >> beam.io.ReadFromTFRecord(file)


READERS: dict[str, Callable[[Sequence[str]], object]] = {
    "records": read_records,
    "the last records": lambda files: read_records(files, last=5),
    "batches of records": lambda files: list(counted_batches(files, 64)),
    "statistics": lambda files: Statistics(tfdv.StatsOptions()).of(files, progress.Rows("read", 1)),
    "Beam": on_beam,
    "rows in memory": lambda files: data.dataset(files, LAYOUT, 64),
    "a stream": streamed(lambda files: data.dataset(files, LAYOUT, 64, shuffle_rows=9, mixed=True)),
    "rows in their order": lambda files: list(data.in_order(files, LAYOUT, 64)),
    "a stream in its order": streamed(lambda files: list(data.in_order(files, LAYOUT, 64))),
    "the count": lambda files: data.count_rows(files, LAYOUT),
    "the count of a stream": streamed(lambda files: data.count_rows(files, LAYOUT)),
}
BY_FILE = ("Beam", "statistics")  # they read one file after the other


@pytest.mark.parametrize("name", READERS)
def test_whole_files_are_read(split: list[str], name: str) -> None:
    READERS[name](split)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.fault(
    "a file of Examples is cut where that reads as its end",
    "whoever reads it stops, with file and both numbers",
)
def test_a_cut_that_reads_as_an_end_is_seen(split: list[str], name: str) -> None:
    ends = clean_ends(split[1])
    assert len(ends) == ROWS // BATCH - 1, "after each batch"
    os.truncate(split[1], ends[2])
    with pytest.raises(Exception, match=r"rows-1-of-2\.gz: it has .* were written, with 400 rows"):
        READERS[name](split)


@pytest.mark.parametrize("name", [each for each in READERS if each not in BY_FILE])
@pytest.mark.fault(
    "a file of Examples by another writer is cut where that reads as its end",
    "the split's rows tell it",
)
def test_files_of_other_writers_are_held_to_the_rows_of_the_split(
    split: list[str], name: str
) -> None:
    for file in split:
        records = read_records([file])
        with tf.io.TFRecordWriter(file, "GZIP") as writer:
            for record in records[: -1 if file == split[1] else None]:
                writer.write(record)
    in_memory.clear()
    with pytest.raises(RowsMissing, match=r"Split-train \(2 files\): 799 rows were read, .* 800:"):
        READERS[name](split)


@pytest.mark.fault("a file of a split is gone, and no manifest is there", "the readers say so")
def test_a_file_that_is_gone_is_missed(split: list[str]) -> None:
    os.remove(split[0])
    with pytest.raises(RowsMissing, match=r"its 1 files have 400 rows, .* says 800"):
        read_records(split[1:])


@pytest.mark.fault("a file of Examples is cut at 64 places, and no manifest is there", "all seen")
def test_every_cut_is_seen(split: list[str], tmp_path: pathlib.Path) -> None:
    content = pathlib.Path(split[0]).read_bytes()
    alone = tmp_path / "alone.gz"  # nothing beside it says how many rows it has
    for number in range(CUTS):
        alone.write_bytes(content[: number * len(content) // CUTS])
        with pytest.raises(RowsMissing, match=r"alone\.gz: it has"):
            expected([str(alone)])
    alone.write_bytes(content)
    assert expected([str(alone)]) == ROWS


def test_a_reader_that_sees_too_few_names_the_file(split: list[str]) -> None:
    """What keeps rows from a reader may be no cut: here a bit that ends the stream early."""
    header = row_counts.header_bytes(ROWS + 1, os.path.getsize(split[1]))
    with open(split[1], "r+b") as file:
        file.write(header)
    pathlib.Path(split[1]).parent.parent.joinpath(ROWS_FILE).unlink()
    words = r"rows-1-of-2\.gz: 400 rows were read, and it should have 401: the rest cannot"
    with pytest.raises(RowsMissing, match=words):
        read_records(split)


def test_too_many_rows_are_no_better(split: list[str]) -> None:
    with pytest.raises(RowsMissing, match=r"801 rows were read, .* more were put in"):  # noqa: SIM117
        with counted(split) as counter:
            counter.add(801)


def test_a_reader_that_leaves_is_held_to_nothing(split: list[str]) -> None:
    assert len(next(counted_batches(split, 8))) == 8


def test_what_is_not_known(split: list[str], tmp_path: pathlib.Path) -> None:
    plain = tmp_path / "Split-train" / "plain.gz"
    with tf.io.TFRecordWriter(str(plain), "GZIP") as writer:
        writer.write(b"")
    assert expected([str(plain)]) is None, "one file of several"
    assert expected([*split, str(plain)]) == 2 * ROWS
    assert expected(["gs://bucket/Split-train/rows.gz"]) is None
    assert expected([]) is None
    shutil.copy(split[0], tmp_path / "elsewhere.gz")
    assert expected([str(tmp_path / "elsewhere.gz"), split[0]]) == 2 * ROWS


@pytest.mark.parametrize("content", ["[1]", "{", '{"train": null}'])
def test_a_damaged_count_is_told_or_left(split: list[str], content: str) -> None:
    path = pathlib.Path(split[0]).parents[1] / ROWS_FILE
    path.write_text(content)
    if "null" in content:
        assert expected(split) == 2 * ROWS
        return
    with pytest.raises(RowsMissing, match=r"rows\.json is damaged"):
        expected(split)


def test_the_header_is_one_that_others_read(split: list[str]) -> None:
    """TensorFlow, Beam and Python skip the field."""
    import gzip

    records = read_records(split[:1])
    assert len(records) == ROWS
    content = gzip.decompress(pathlib.Path(split[0]).read_bytes())
    assert len(content) == sum(len(record) + 16 for record in records)
    found: list[Any] = list(itertools.chain(in_order(split)))
    assert [row_counts.header_of(file) for file in found] == [
        (ROWS, os.path.getsize(file)) for file in found
    ]
