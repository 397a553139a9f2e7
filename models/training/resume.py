"""What a training that was killed resumes from: its whole state at the end of an epoch.

A stage says where its trainings keep theirs, and `fit` does the rest:

    with resume.kept(folder):
        ...  # every `fit` in here resumes from what the same block left when it was killed

The resumed training gives the weights of an undisturbed one, bit by bit. That needs all that a step
depends on: weights, moments, ranges and masks, the learning rate, the generators that dropout draws
from, where the order of the rows has come to, and what the callbacks remember.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

LEAST_SECONDS = 20.0  # of training, that are worth a checkpoint
MOST_SHARE = 0.01  # of the training's time that checkpoints may take
_BYTES_PER_SECOND = 100e6  # that a disk is taken to write, until one checkpoint is written

_FACTS = "facts"
_log = logging.getLogger(__name__)

Arrays = dict[str, npt.NDArray[Any]]
_stage: _Stage | None = None


@runtime_checkable
class Resumable(Protocol):
    """What remembers something between epochs that is no variable of the model or the optimizer."""

    def state(self) -> Arrays:
        """What it remembers, by name."""

    def resume(self, state: Arrays) -> None:
        """Takes up what `state` gave."""


class _Stage:
    """The trainings of a stage, in their order."""

    def __init__(self, folder: str) -> None:
        self.folder, self.trainings = folder, 0

    def next(self) -> str:
        self.trainings += 1
        return os.path.join(self.folder, f"{self.trainings}.npz")


@contextlib.contextmanager
def kept(folder: str) -> Iterator[None]:
    """Has the trainings inside keep checkpoints; they go when all is done.

    Args:
      folder: Belongs to this work alone: what it is named by changes with settings, data and code.
        The same trainings have to come in the same order.

    Example:
        >>> import tempfile
        >>> folder = os.path.join(tempfile.mkdtemp(), "work")
        >>> with kept(folder):
        ...     os.path.basename(next_path())
        '1.npz'
        >>> os.path.exists(folder)
        False
    """
    global _stage
    before, _stage = _stage, _Stage(folder)
    try:
        yield
    finally:
        _stage = before
    shutil.rmtree(folder, ignore_errors=True)


def next_path() -> str | None:
    """Where the training that begins now keeps its checkpoint; None where none is asked for."""
    return _stage.next() if _stage is not None else None


def seed_generators(model: keras.Model, seed: int) -> list[tf.Variable]:
    """Starts the generators that a model's layers draw from anew; returns their states.

    They were made with the model, which may have been loaded or copied: a training has to depend on
    its own seed alone.

    Args:
      model: Its dropout layers have generators (see `runtime.configure`).
      seed: Of the training.
    """
    states: list[tf.Variable] = []
    for layer in model._flatten_layers(include_self=False):
        held = getattr(layer, "_random_generator", None)
        generator = getattr(held, "_generator", None)
        if generator is not None:
            generator.reset_from_seed(seed + len(states))
            states.append(generator.state)
    return states


class Checkpoints(keras.callbacks.Callback):
    """Writes the state of a training at the end of epochs, whole or not at all; comes last.

    It writes where so much time has passed since the last checkpoint that another one takes less
    than `MOST_SHARE` of it, and no less than `LEAST_SECONDS`: a short training writes none.

    Args:
      path: The file; None keeps nothing.
      variables: All that steps change.
      parts: What remembers more, one of a class.

    Attributes:
      epochs: How many are done, of all runs together.
      history: The figures of each of them, by name.
      ended: Whether none is to follow.
    """

    def __init__(
        self, path: str | None, variables: Sequence[tf.Variable], parts: Sequence[Resumable]
    ) -> None:
        super().__init__()
        self._path, self._variables = path, variables
        self._parts = {type(part).__name__: part for part in parts}
        size = sum(v.shape.num_elements() * v.dtype.size for v in variables)
        self._cost = size / _BYTES_PER_SECOND
        self._last = time.monotonic()
        self.epochs = 0
        self.history: dict[str, list[float]] = {}
        self.ended = False

    def resume(self) -> None:
        """Takes up what an earlier run left, where there is something whole."""
        if self._path is None or not os.path.exists(self._path):
            return
        try:
            with np.load(self._path, allow_pickle=False) as file:
                facts = json.loads(str(file[_FACTS]))
                self._take(file)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{self._path}: this checkpoint of a training cannot be read ({error}): remove the "
                "file, and the training starts anew"
            ) from error
        self.epochs, self.history = facts["epochs"], facts["history"]
        self.ended = facts["ended"]
        _log.info("training resumes from epoch %d, which an earlier run finished", self.epochs)

    def _take(self, file: Mapping[str, npt.NDArray[Any]]) -> None:
        held = [file[f"variable/{k}"] for k in range(len(self._variables))]
        for variable, value in zip(self._variables, held, strict=True):
            variable.assign(value)
        for name, part in self._parts.items():
            own = f"{name}/"
            part.resume({key.removeprefix(own): file[key] for key in file if key.startswith(own)})

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.epochs, self.ended = epoch + 1, bool(self.model.stop_training)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        if self._path is None:
            return
        began = time.monotonic()
        if began - self._last >= max(LEAST_SECONDS, self._cost / MOST_SHARE):
            self._write(self._path)
            self._last = time.monotonic()
            self._cost = self._last - began

    def _write(self, path: str) -> None:
        facts = {"epochs": self.epochs, "history": self.history, "ended": self.ended}
        arrays: Arrays = {_FACTS: np.array(json.dumps(facts))}
        arrays |= {f"variable/{k}": v.numpy() for k, v in enumerate(self._variables)}
        for name, part in self._parts.items():
            arrays |= {f"{name}/{key}": value for key, value in part.state().items()}
        os.makedirs(os.path.dirname(path), exist_ok=True)
        unfinished = f"{path}.unfinished"
        with open(unfinished, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())  # or the name would outlive a power loss, and the bytes not
        os.replace(unfinished, path)
