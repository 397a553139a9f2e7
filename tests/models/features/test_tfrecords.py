"""Files of Examples: what TensorFlow reads, the same on any number of cores, whole or not there."""

from __future__ import annotations

import gzip
import pathlib
from collections.abc import Iterator

import pyarrow as pa
import pytest
import tensorflow as tf

from ranklite.models.features import tfrecords
from ranklite.models.features.arrow import encode
from ranklite.models.features.tfrecords import write_examples


def batches() -> list[pa.RecordBatch]:
    return [
        pa.RecordBatch.from_pydict({"n": [k, k + 1, None], "text": ["a" * k, "b", None]})
        for k in range(40)
    ]


def test_tensorflow_reads_them(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "folder" / "data.gz"
    assert write_examples(str(path), batches()) == 120
    records = tf.data.TFRecordDataset(str(path), compression_type="GZIP").as_numpy_iterator()
    assert list(records) == [record for batch in batches() for record in encode(batch)]
    assert len(gzip.decompress(path.read_bytes())) == sum(
        len(tfrecords.records(batch)) for batch in batches()
    )


def test_one_core_and_two_write_the_same(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cores in (1, 2, 5):
        monkeypatch.setattr(tfrecords, "cores", lambda cores=cores: cores)
        write_examples(str(tmp_path / f"{cores}.gz"), batches())
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1


def test_no_rows(tmp_path: pathlib.Path) -> None:
    assert write_examples(str(tmp_path / "none.gz"), []) == 0
    assert gzip.decompress((tmp_path / "none.gz").read_bytes()) == b""


@pytest.mark.fault("writing Examples fails", "no file is left")
def test_what_fails_leaves_no_file(tmp_path: pathlib.Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield batches()[0]
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_examples(str(tmp_path / "data.gz"), failing())
    assert not list(tmp_path.iterdir())


def test_few_batches_wait(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfrecords, "cores", lambda: 2)
    packed, most, asked = 0, 0, 0
    pack = tfrecords.packed

    def counting(batch: pa.RecordBatch) -> tfrecords.Packed:
        nonlocal packed
        packed += 1
        return pack(batch)

    def watched() -> Iterator[pa.RecordBatch]:
        nonlocal most, asked
        for batch in batches():
            most = max(most, asked - packed)
            asked += 1
            yield batch

    monkeypatch.setattr(tfrecords, "packed", counting)
    write_examples(str(tmp_path / "data.gz"), watched())
    assert most <= 3
