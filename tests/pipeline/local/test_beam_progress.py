"""Beam tells how many records it has read, and is as it was afterwards."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.io import tfrecordio
from tfx_bsl.public.tfxio import TFExampleRecord

from ranklite.models import progress
from ranklite.models.features.row_counts import ROWS_FILE
from ranklite.pipeline.local.beam_progress import counted

SPLITS = {"train": 230, "eval": 120}


@pytest.fixture
def examples(
    tmp_path: pathlib.Path, write_examples: Callable[[pathlib.Path, dict[str, Any]], str]
) -> pathlib.Path:
    """Two splits, whose rows are not known to anybody yet."""
    for split, rows in SPLITS.items():
        (tmp_path / f"Split-{split}").mkdir()
        path = tmp_path / f"Split-{split}" / "data.gz"
        write_examples(path, {"x": np.arange(rows, dtype="f4")[:, None]})
    return tmp_path


def read(examples: pathlib.Path, *splits: str) -> list[progress.Report]:
    """Reads splits in one pipeline, as TFX's stages do."""
    reported: list[progress.Report] = []
    with progress.listening(reported.append), counted(), beam.Pipeline() as pipeline:
        for split in splits:
            source = TFExampleRecord(f"{examples}/Split-{split}/*")
            _ = pipeline | split >> source.BeamSource()
    return reported


def test_all_sources_of_a_pipeline_are_its_total(examples: pathlib.Path) -> None:
    (examples / ROWS_FILE).write_text(json.dumps(SPLITS))
    reported = read(examples, "train", "eval")
    total = sum(SPLITS.values())
    assert reported[-1][:2] == ("read 350/350 rows", 1.0)
    assert len(reported) == 5  # by hundreds, and the rest of each file
    assert [report.share for report in reported] == sorted(report.share or 0 for report in reported)
    assert reported[0].share == pytest.approx(100 / total)
    assert reported[1].rows_per_second


def test_the_next_pipeline_starts_anew(examples: pathlib.Path) -> None:
    (examples / ROWS_FILE).write_text(json.dumps(SPLITS))
    reported: list[progress.Report] = []
    with progress.listening(reported.append), counted():
        for _ in range(2):
            with beam.Pipeline() as pipeline:
                source = TFExampleRecord(f"{examples}/Split-eval/*")
                _ = pipeline | source.BeamSource()
    assert [report.where for report in reported] == ["read 100/120 rows", "read 120/120 rows"] * 2


def test_rows_that_nobody_counted_have_no_share(examples: pathlib.Path) -> None:
    assert read(examples, "eval")[-1][:2] == ("read 120 rows", None)


def test_beam_is_left_as_it_was() -> None:
    source: Any = tfrecordio._TFRecordSource
    before = source.read_records, tfrecordio.ReadFromTFRecord.__init__
    with counted():
        assert source.read_records is not before[0]
    with pytest.raises(KeyboardInterrupt), counted():
        raise KeyboardInterrupt
    assert (source.read_records, tfrecordio.ReadFromTFRecord.__init__) == before
