"""Vocabularies that are made in one pass are those of TFT, value for value."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform import annotators
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata

from ranklite.models.features import vocabulary, vocabulary_files
from ranklite.models.features.vocabulary_files import (
    NOTHING,
    Wanted,
    WriteVocabularies,
    in_order,
    write,
)

WANTED = (
    Wanted("all"),
    Wanted("frequent", min_count=3),
    Wanted("few", size=4),
    Wanted("both", min_count=2, size=5),
    Wanted("none", min_count=10_000),
)


def test_one_table_of_several_vocabularies_by_hand(tmp_path: pathlib.Path) -> None:
    """A word of one of them is unseen by the others, and so is one that looks like a key."""
    known = [[b"a", b"1.b"], [b"b", b"a", b"0.a"], [NOTHING]]
    paths = [tf.constant(str(tmp_path / f"{k}.tfrecord.gz")) for k in range(len(known))]
    for path, words in zip(paths, known, strict=True):
        write(path.numpy().decode(), words)
    asked = tf.constant([b"a", b"b", b"", b"1.b", b"0.a", b".b", b"c"])[:, None]

    @tf.function(autograph=False)
    def looked_up() -> Any:
        with annotators.object_tracker_scope(annotators.ObjectTracker()):
            given = [asked, tf.concat([asked, asked[::-1]], axis=1), asked]
            return vocabulary.look_up_together(given, paths)

    ranks, sizes = looked_up()
    assert [int(size) for size in sizes] == [2, 3, 1]
    assert ranks[0][:, 0].numpy().tolist() == [0, -1, -1, 1, -1, -1, -1]
    assert ranks[1].numpy().T.tolist() == [[1, 0, -1, -1, 2, -1, -1], [-1, -1, 2, -1, -1, 0, 1]]
    assert ranks[2][:, 0].numpy().tolist() == [-1] * 7
    assert [vocabulary_files.read(path) for path in paths] == known
    assert [vocabulary_files.size(path) for path in paths] == [2, 3, 1]


def test_order_and_limits_by_hand() -> None:
    counts = {b"": 9, b"a": 2, b"b": 3, b"c": 2, b"\xff": 1, b"Z": 2}
    assert in_order(counts, Wanted("v")) == [b"b", b"c", b"a", b"Z", b"\xff"]
    assert in_order(counts, Wanted("v", min_count=2)) == [b"b", b"c", b"a", b"Z"]
    assert in_order(counts, Wanted("v", size=2)) == [b"b", b"c"]
    assert in_order(counts, Wanted("v", min_count=4)) == []


def test_counts_are_merged_from_wherever_they_were_made(tmp_path: pathlib.Path) -> None:
    """In two bundles, of which each has seen a part of each column."""
    parts = [
        [([b"x", b"y"], [[b"p", b""]]), ([b"y", b"y"], [[b"q", b"q"]])],
        [([b"z"], [[b"q", b"p"]]), ([b"x"], [[b"", b""]])],
    ]
    analyzer = WriteVocabularies([Wanted("first"), Wanted("second", min_count=3)])
    analyzer.base_temp_dir = str(tmp_path)
    with beam.Pipeline() as pipeline:
        batches = [
            pipeline
            | f"Part{k}"
            >> beam.Create([tuple(np.array(c, object) for c in batch) for batch in part])
            for k, part in enumerate(parts)
        ]
        first, second = batches | beam.Flatten() | analyzer
        for paths, name in ((first, "first"), (second, "second")):
            (
                paths
                | f"Keep{name}" >> beam.Map(str)
                | f"Write{name}"
                >> beam.io.WriteToText(str(tmp_path / f"{name}.path"), shard_name_template="")
            )
    expected = {"first": [b"y", b"x", b"z"], "second": [b"q"]}
    for name, words in expected.items():
        (path,) = (tmp_path / f"{name}.path").read_text().split()
        assert path == str(tmp_path / f"{name}.tfrecord.gz")
        assert read(path) == words
    assert not [p for p in tmp_path.iterdir() if ".gz." in p.name]  # no half-written file is left


def read(path: str) -> list[bytes]:
    return list(tf.data.TFRecordDataset(path, compression_type="GZIP").as_numpy_iterator())


def ours(words: tf.Tensor) -> dict[str, tf.Tensor]:
    """The ranks, and the sizes, by the analyzer that is tested."""
    paths = vocabulary.learn(dict.fromkeys(WANTED, words))
    result = {}
    for name, path in paths.items():
        result[name], size = vocabulary.look_up(words, path)
        result[f"{name}_size"] = tf.fill(tf.shape(words), size)
    return result


def tfts(words: tf.Tensor) -> dict[str, tf.Tensor]:
    """The same by TFT's own."""
    result = {}
    for wanted in WANTED:
        path = tft.vocabulary(
            tf.boolean_mask(words, words != ""),
            vocab_filename=wanted.name,
            frequency_threshold=wanted.min_count if wanted.min_count > 1 else None,
            top_k=wanted.size,
            file_format="tfrecord_gzip",
        )
        result[wanted.name] = tft.apply_vocabulary(
            words, path, default_value=-1, file_format="tfrecord_gzip"
        )
        size = tft.experimental.get_vocabulary_size_by_name(wanted.name)
        result[f"{wanted.name}_size"] = tf.fill(tf.shape(words), tf.cast(size, tf.int64))
    return result


def ours_together(words: tf.Tensor) -> dict[str, tf.Tensor]:
    """The same from one table of all."""
    paths = vocabulary.learn(dict.fromkeys(WANTED, words))
    columns = [words[:, None]] * len(paths)
    ranks, sizes = vocabulary.look_up_together(columns, list(paths.values()))
    result = {}
    for name, rank, size in zip(paths, ranks, sizes, strict=True):
        result[name] = rank[:, 0]
        result[f"{name}_size"] = tf.fill(tf.shape(words), tf.cast(size, tf.int64))
    return result


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both, with the rows that they were learned from."""
    rng = np.random.default_rng(5)
    odd = [b"", b"line\nbreak", b"\xff\xfe", "ü".encode(), b" two words ", b"\x00"]
    values = [*odd, *(b"v%d" % k for k in range(25))]
    rows = [{"x": [values[k]]} for k in (rng.random(600) ** 3 * len(values)).astype(int)]
    spec = {"x": tf.io.VarLenFeature(tf.string)}
    result: dict[str, Any] = {"rows": rows}
    for name, function in (("ours", ours), ("together", ours_together), ("tfts", tfts)):
        folder = str(tmp_path_factory.mktemp(name))
        with tft_beam.Context(temp_dir=tempfile.mkdtemp(), desired_batch_size=64):
            learned = (rows, DatasetMetadata.from_feature_spec(spec)) | tft_beam.AnalyzeDataset(
                lambda inputs, function=function: function(inputs["x"].values)
            )
            learned | tft_beam.WriteTransformFn(folder)
        result[name] = tft.TFTransformOutput(folder)
    return result


@pytest.mark.parametrize("way", ["ours", "together"])
@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_files_are_those_of_tft(graphs: dict[str, Any], wanted: Wanted, way: str) -> None:
    mine, theirs = graphs[way], graphs["tfts"]
    words = list(mine.vocabulary_by_name(wanted.name))
    assert words == list(theirs.vocabulary_by_name(wanted.name))
    assert (words == [NOTHING]) == (wanted.name == "none")
    assert mine.vocabulary_size_by_name(wanted.name) == theirs.vocabulary_size_by_name(wanted.name)
    names = [
        pathlib.Path(graph.vocabulary_file_by_name(wanted.name)).name for graph in (mine, theirs)
    ]
    assert names == [wanted.file_name] * 2


@pytest.mark.parametrize("way", ["ours", "together"])
def test_ranks_and_sizes_are_those_of_tft(graphs: dict[str, Any], way: str) -> None:
    asked = {"x": tf.sparse.from_dense([row["x"] for row in [*graphs["rows"], {"x": [b"unseen"]}]])}
    mine, theirs = (graphs[name].transform_features_layer()(dict(asked)) for name in (way, "tfts"))
    assert set(mine) == set(theirs)
    assert len(mine) == 2 * len(WANTED)
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
