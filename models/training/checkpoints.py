"""The state of a training, written now and then.

A resumed training gives the weights of an undisturbed one, bit by bit. That needs all that a step
depends on: weights, moments, ranges and masks, the learning rate, the generators that dropout draws
from, where the order of the rows has come to, the metrics of the epoch, and what the callbacks
remember.
"""

from __future__ import annotations

import glob
import itertools
import json
import logging
import os
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ranklite.models.training import peers
from ranklite.models.training.resume import Arrays, Resumable
from ranklite.models.training.streams import as_written

LEAST_SECONDS = 20.0  # of training, that are worth a checkpoint
MOST_SHARE = 0.01  # of the training's time that checkpoints may take
LOOK_STEPS = 50  # between two looks at the clock
_BYTES_PER_SECOND = 100e6  # that a disk is taken to write, until one checkpoint is written

_FACTS = "facts"
_KEPT = 2  # a process may be killed before it wrote the one that others have
_NONE = -1  # in place of the steps of a checkpoint
_log = logging.getLogger(__name__)


class Checkpoints(keras.callbacks.Callback):
    """Writes the state of a training now and then, whole or not at all; comes last.

    It looks at the clock at the end of an epoch and every `LOOK_STEPS` steps, and writes where so
    much time has passed since the last checkpoint that another one takes less than `MOST_SHARE` of
    it, and no less than `LEAST_SECONDS`: a short training writes none.

    Processes that train together write at the same steps, each what it holds, and keep the last two
    of theirs. They resume from the newest one that all have, on a shared disk or on their own.

    Args:
      path: The file; None keeps nothing. Of several processes each adds its rank and the steps.
      strategy: That the model trains under.
      variables: All that steps change.
      drawn: States of the generators, of which each device has its own.
      parts: What remembers more, one of a class.

    Attributes:
      epochs: How many are done, of all runs together.
      steps: How many of the next one are done.
      history: The figures of each epoch, by name.
      ended: Whether none is to follow.
    """

    def __init__(
        self,
        path: str | None,
        strategy: tf.distribute.Strategy,
        variables: Sequence[tf.Variable],
        drawn: Sequence[tf.Variable],
        parts: Sequence[Resumable],
    ) -> None:
        super().__init__()
        self._path, self._strategy, self._place = path, strategy, peers.place(strategy)
        self._variables = [*_of_devices(variables), *_of_devices(drawn, all_differ=True)]
        self._parts = {type(part).__name__: part for part in parts}
        size = sum(v.shape.num_elements() * v.dtype.size for v in variables)
        self._cost = size / _BYTES_PER_SECOND
        self._last = time.monotonic()
        self._metrics: list[npt.NDArray[Any]] = []  # of the epoch that goes on
        self.epochs = self.steps = 0
        self.history: dict[str, list[float]] = {}
        self.ended = False

    def resume(self) -> None:
        """Takes up what an earlier run left, where there is something whole."""
        path = self._newest()
        if path is None:
            return
        try:
            with np.load(path, allow_pickle=False) as file:
                facts = json.loads(str(file[_FACTS]))
                self._take(file)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path}: this checkpoint of a training cannot be read ({error}): remove the "
                "file, and the training starts anew"
            ) from error
        self.epochs, self.steps, self.history = facts["epochs"], facts["steps"], facts["history"]
        self.ended = facts["ended"]
        if self.steps:
            _log.info("training resumes from step %d of epoch %d", self.steps, self.epochs + 1)
        else:
            _log.info("training resumes from epoch %d, which an earlier run finished", self.epochs)

    def _take(self, file: Mapping[str, npt.NDArray[Any]]) -> None:
        for variable, value in zip(self._variables, _numbered(file, "variable"), strict=True):
            variable.assign(value)
        self._metrics = list(_numbered(file, "metric"))
        for name, part in self._parts.items():
            own = f"{name}/"
            part.resume({key.removeprefix(own): file[key] for key in file if key.startswith(own)})

    def remaining(self, batches: tf.data.Dataset, epochs: int) -> tf.data.Dataset:
        """Batches of the epochs to come, without those that an earlier run took.

        Args:
          batches: Of an epoch, each pass in an order of its own.
          epochs: Of the whole training.
        """
        for _ in range(self.epochs):
            iter(batches)  # the order of a pass is drawn when it begins
        if not self.steps:
            return batches
        iter(batches)  # `fit` begins a pass for nothing where it begins one for each epoch
        steps = tf.constant([self.steps] + [0] * (epochs - self.epochs - 1), tf.int64)
        passes = tf.data.Dataset.from_tensor_slices(steps)
        return passes.flat_map(as_written(batches.skip)).with_options(batches.options())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._metrics:  # Keras has just set them to zero
            for variable, value in zip(self._of_metrics(), self._metrics, strict=True):
                variable.assign(value)
        self._metrics = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        done = batch + 1
        if self._path is None or done % LOOK_STEPS or done == self.params["steps"]:
            return
        if self._due():
            self.steps = done
            self._write([v.numpy() for v in self._of_metrics()])

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.epochs, self.steps, self.ended = epoch + 1, 0, bool(self.model.stop_training)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        if self._path is not None and self._due():
            self._write([])

    def on_train_end(self, logs: Any = None) -> None:
        if self._path is not None:
            peers.gathered(self._strategy, [0])  # the folder goes only when all have written

    def _of_metrics(self) -> list[tf.Variable]:
        return _of_devices([v for metric in self.model.metrics for v in metric.variables])

    def _due(self) -> bool:
        """Whether it is time, of which all processes think alike."""
        passed = time.monotonic() - self._last
        told = peers.gathered(self._strategy, [int(1e3 * passed), int(1e3 * self._cost)])
        most, cost = (max(numbers) / 1e3 for numbers in zip(*told, strict=True))
        return most >= max(LEAST_SECONDS, cost / MOST_SHARE)

    def _write(self, metrics: Sequence[npt.NDArray[Any]]) -> None:
        began = time.monotonic()
        facts = {
            "epochs": self.epochs,
            "steps": self.steps,
            "history": self.history,
            "ended": self.ended,
        }
        arrays: Arrays = {_FACTS: np.array(json.dumps(facts))}
        arrays |= {f"variable/{k}": v.numpy() for k, v in enumerate(self._variables)}
        arrays |= {f"metric/{k}": value for k, value in enumerate(metrics)}
        for name, part in self._parts.items():
            arrays |= {f"{name}/{key}": value for key, value in part.state().items()}
        path = self._file(self.epochs * self.params["steps"] + self.steps)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        unfinished = f"{path}.unfinished"
        with open(unfinished, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())  # or the name would outlive a power loss, and the bytes not
        os.replace(unfinished, path)
        for steps in self._own()[_KEPT:]:
            os.remove(self._file(steps))
        self._last = time.monotonic()
        self._cost = self._last - began

    def _newest(self) -> str | None:
        """The checkpoint to resume from."""
        if self._path is None:
            return None
        own = self._own()[:_KEPT]
        of_all = peers.gathered(self._strategy, [*own, *[_NONE] * (_KEPT - len(own))])
        common = set(own).intersection(*of_all)
        return self._file(max(common)) if common else None

    def _file(self, steps: int) -> str:
        assert self._path is not None
        if self._place.of == 1:
            return self._path
        stem, suffix = os.path.splitext(self._path)
        return f"{stem}-worker-{self._place.rank}-of-{self._place.of}-step-{steps}{suffix}"

    def _own(self) -> list[int]:
        """Steps of this process's checkpoints, the newest first."""
        if self._place.of == 1:
            return [0] if os.path.exists(self._file(0)) else []
        before, _, behind = self._file(0).rpartition("0")
        found = glob.glob(f"{glob.escape(before)}*{glob.escape(behind)}")
        return sorted((int(path[len(before) : -len(behind)]) for path in found), reverse=True)


def _numbered(file: Mapping[str, npt.NDArray[Any]], name: str) -> Iterator[npt.NDArray[Any]]:
    for k in itertools.count():
        if f"{name}/{k}" not in file:
            return
        yield file[f"{name}/{k}"]


def _of_devices(variables: Sequence[tf.Variable], all_differ: bool = False) -> list[tf.Variable]:
    """Variables as this process holds them: of those that its devices have of their own, each.

    Args:
      variables: Of a model that may be under a strategy.
      all_differ: Take each also where the variable does not say so.
    """
    on_read = tf.VariableSynchronization.ON_READ
    return [
        own
        for each in variables
        for own in (
            getattr(each, "values", (each,))
            if all_differ or each.synchronization == on_read
            else (each,)
        )
    ]
