"""What TensorBoard shows of a training."""

from __future__ import annotations

import pathlib
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary import histogram_pb
from tensorboard.plugins.scalar.summary import scalar_pb

from ranklite.models.compression.sparsity import sparsity
from ranklite.models.training.resume import Arrays

HISTOGRAM_VALUES = 8_192


class Telemetry(keras.callbacks.TensorBoard):
    """Writes what TensorBoard shows of a training: step 0 is before it, 1 after its first epoch.

    Keras's callback, and its event file, with more in it than the graph and `epoch_<figure>`:

    - `sparsity/<layer>`: share of zeros in each weight that can be pruned;
    - `range_min/<layer>/<tensor>`, `range_max/<layer>/<tensor>`: of each fake-quantizer, where the
      tensor is `kernel` or `output`;
    - `step_ms`: mean of an epoch's steps. Its first one does not count, unless it is the only one:
      it waits for the shuffle buffer and, in the first epoch, for tracing;
    - a histogram of every weight, under its name. Of a large one it takes rows at equal distances:
      more values would not change the picture, and take most of the time of logging.

    Args:
      logits: The model whose weights are shown.
      log_dir: TensorBoard's folder of this run.
    """

    def __init__(self, logits: keras.Model, log_dir: str) -> None:
        super().__init__(log_dir, update_freq="epoch", profile_batch=0)
        self._logits, self._log_dir = logits, log_dir
        self._marks: list[float] = []
        self._resumed = False

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        if not self._resumed:
            self._write(0, self._state())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._marks = [time.monotonic()]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._marks.append(time.monotonic())
        super().on_train_batch_end(batch)  # of logs it would make summaries, to write none of them

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch + 1, logs)
        marks = self._marks[1:] if len(self._marks) > 2 else self._marks
        step_ms = scalar_pb("step_ms", 1e3 * np.diff(marks).mean())
        self._write(epoch + 1, [step_ms, *self._state()])

    def _write(self, step: int, summaries: Iterable[Any]) -> None:
        """Writes them at once, counted by numpy: ops take 3 ms for a small weight, numpy 0.2."""
        everything = Summary(value=[value for summary in summaries for value in summary.value])
        with self._train_writer.as_default(step=step):
            tf.summary.experimental.write_raw_pb(everything.SerializeToString())
        self._train_writer.flush()

    def state(self) -> Arrays:
        """The event files, which lie in the folder of an execution that a killed one leaves."""
        for writer in self._writers.values():
            writer.flush()
        folder = pathlib.Path(self._log_dir)
        files = (path for path in folder.rglob("events.*") if path.is_file())
        return {
            str(path.relative_to(folder)): np.frombuffer(path.read_bytes(), np.uint8)
            for path in files
        }

    def resume(self, state: Arrays) -> None:
        for name, content in state.items():
            path = pathlib.Path(self._log_dir, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.tobytes())
        self._resumed, self.write_graph = True, False  # both are in these files

    def _state(self) -> Iterator[Any]:
        """Summaries of the model as it is now."""
        for name, zeros in sparsity(self._logits).items():
            yield scalar_pb(f"sparsity/{name}", zeros)
        for layer in self._logits.layers:
            for weight in layer.weights:
                if result := _RANGE.search(weight.name):
                    name = getattr(layer, "layer", layer).name
                    tag = f"range_{result['end']}/{name}/{result['tensor']}"
                    yield scalar_pb(tag, weight.numpy())
        for weight in self._logits.weights:
            if weight.shape.rank:
                yield histogram_pb(weight.name.replace(":", "_"), _sample(weight))


_RANGE = re.compile(r"(?P<tensor>kernel|output)_(?P<end>min|max):0$")


def _sample(weight: tf.Variable) -> npt.NDArray[Any]:
    """The finite values of all rows, or of so many that there are about `HISTOGRAM_VALUES`."""
    rows = int(weight.shape[0])
    kept = max(1, HISTOGRAM_VALUES * rows // max(1, weight.shape.num_elements()))
    if rows > kept:
        weight = tf.gather(weight, np.linspace(0, rows - 1, kept, dtype=int))
    values = weight.numpy()
    return values[np.isfinite(values)]
