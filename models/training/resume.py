"""What a training that was killed resumes from: its whole state after a step.

A stage says where its trainings keep theirs, and `fit` does the rest:

    with resume.kept(folder):
        ...  # every `fit` in here resumes from what the same block left when it was killed

What `fit` writes there: `checkpoints`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

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
