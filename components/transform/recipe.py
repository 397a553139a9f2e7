"""What is done to files of Examples, as a worker is told it, and their batches."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import importlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

import pyarrow as pa
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import impl_helper
from tensorflow_transform.tf_metadata import schema_utils

from ranklite.models.features import row_counts
from ranklite.models.features.analysis import Preprocess
from ranklite.models.features.examples import batches_of_records
from ranklite.models.features.tfrecords import write_examples

Reader: TypeAlias = Callable[[tf.Tensor], dict[str, Any]]
T = TypeVar("T")
R = TypeVar("R")

_THREADS = 2  # more than a machine's cores would wait for the writer
_AHEAD = 2  # batches that are ready before they are asked for


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How Examples are read and transformed; small, and to be pickled.

    Attributes:
      function: Dotted name of the preprocessing function, which takes `custom_config`.
      custom_config: JSON of it.
      serialized_schema: Of the Examples.
      batch_rows: Rows of a batch. What is added up, and with it the last digit of a number, depends
        on it.
    """

    function: str
    custom_config: str
    serialized_schema: bytes
    batch_rows: int

    @functools.cached_property
    def preprocess(self) -> Preprocess:
        """The preprocessing function."""
        module, _, name = self.function.rpartition(".")
        function = getattr(importlib.import_module(module), name)
        return functools.partial(function, custom_config=json.loads(self.custom_config))

    @functools.cached_property
    def schema(self) -> schema_pb2.Schema:
        """The schema of the Examples."""
        return schema_pb2.Schema.FromString(self.serialized_schema)

    @functools.cached_property
    def columns(self) -> dict[str, Any]:
        """Their columns, as `tf.io.parse_example` takes them."""
        spec: dict[str, Any] = schema_utils.schema_as_feature_spec(self.schema).feature_spec
        return spec

    @functools.cached_property
    def specs(self) -> dict[str, tf.TypeSpec]:
        """Types of the parsed columns."""
        specs: dict[str, tf.TypeSpec] = impl_helper.get_type_specs_from_feature_specs(self.columns)
        return specs

    def reader(self, function: Callable[[Any], dict[str, Any]]) -> Reader:
        """Parses serialized Examples, string [rows], and hands the columns to a function.

        It is traced and optimized once for all files, which takes seconds where columns are many.

        Args:
          function: Takes tensors of a batch.
        """

        def made(examples: tf.Tensor) -> dict[str, Any]:
            return function(tf.io.parse_example(examples, self.columns))

        signature = [tf.TensorSpec([None], tf.string)]
        traced = tf.function(made, input_signature=signature, autograph=False)
        result: Reader = traced.get_concrete_function()
        return result

    def batches(
        self, file: str, reader: Reader, told: Callable[[int], object]
    ) -> Iterator[dict[str, Any]]:
        """What a reader makes of the batches of a file, as arrays, in their order.

        Args:
          file: Gzipped TFRecords, or plain ones where its name does not end in `.gz`.
          reader: From `reader`.
          told: Called with the rows of every batch.

        Raises:
          RowsMissing: The file holds fewer rows or more than it should.
        """

        def made(examples: tf.Tensor) -> tuple[int, dict[str, Any]]:
            arrays = {
                name: value.numpy() if isinstance(value, tf.Tensor) else value
                for name, value in reader(examples).items()
            }
            return len(examples), arrays

        records = batches_of_records([file], self.batch_rows).prefetch(_AHEAD)
        with (
            row_counts.counted([file]) as counter,
            concurrent.futures.ThreadPoolExecutor(_THREADS) as pool,
        ):
            for rows, batch in _ahead(pool, made, records):
                yield batch
                told(rows)
                counter.add(rows)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made of it."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def _ahead(
    pool: concurrent.futures.Executor, function: Callable[[T], R], values: Iterable[T]
) -> Iterator[R]:
    """A function's results in the order of the values, some of them made before they are needed."""
    waiting = collections.deque[concurrent.futures.Future[R]]()
    for value in values:
        waiting.append(pool.submit(function, value))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    for future in waiting:
        yield future.result()


def write_transformed(
    path: str, schema: schema_pb2.Schema, batches: Iterable[dict[str, Any]]
) -> None:
    """Writes transformed batches as Examples, also where a path is none of this machine.

    Args:
      path: The file.
      schema: Of the transformed rows.
      batches: Arrays by column.
    """
    to_arrow = impl_helper.make_tensor_to_arrow_converter(schema)
    arrow: Iterator[pa.RecordBatch] = map(to_arrow.convert, batches)
    if "://" not in path:
        write_examples(path, arrow)
        return
    with tempfile.TemporaryDirectory(prefix="ranklite-") as work:
        near = os.path.join(work, os.path.basename(path))
        write_examples(near, arrow)
        tf.io.gfile.makedirs(os.path.dirname(path))
        tf.io.gfile.copy(near, path)
