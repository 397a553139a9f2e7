"""What happens around the steps of a training: validation, learning rate, progress."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ranklite.models import progress
from ranklite.models.training import sharded
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.ema import WeightAverage
from ranklite.models.training.resume import Arrays

_log = logging.getLogger(__name__)

PLATEAU_FACTOR = 0.1


class TrainingFailed(ValueError):
    """Training cannot go on; the message says why and what to change."""


class Validation(keras.callbacks.Callback):
    """Measures every epoch, keeps the best weights, lowers the rate and stops when it is time.

    Args:
      logits: The model whose weights are kept.
      measure: Gives `auc` and other figures of the model as it is now.
      training: Schedule, patience and length.
      rows: Rows of an epoch.
      best_from: First epoch (from 0) that may be the best.
      average: Measure and keep the averaged weights; training goes on from the others.
      suspects: Says what of the inputs may be the cause; asked only where the loss is not finite.

    Attributes:
      best: Figures of the best epoch so far.
      best_epoch: Its number from 0; -1 before the first.
      weights: Its weights.
      train_seconds: Time spent in epochs, without measuring.
    """

    def __init__(
        self,
        logits: keras.Model,
        measure: Callable[[], dict[str, float]],
        training: TrainingConfig,
        *,
        rows: int,
        best_from: int = 0,
        average: WeightAverage | None = None,
        suspects: Callable[[], str] | None = None,
    ) -> None:
        super().__init__()
        self._logits, self._measure, self._training = logits, measure, training
        self._average, self._suspects = average, suspects
        self._epoch = 0
        self._rows, self._best_from = rows, best_from
        self._waited = 0
        self._started: float | None = None
        self._before = 0.0  # seconds that an earlier run spent in the epoch that goes on
        self.best: dict[str, float] = {}
        self.best_epoch = -1
        self.weights: list[npt.NDArray[np.float32]] = []
        self.train_seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._started = epoch, time.monotonic() - self._before
        self._before = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise self._diverged(
                f"the loss became {logs['loss']} at step {batch + 1} of epoch {self._epoch + 1}"
            )

    def _diverged(self, what: str) -> TrainingFailed:
        cause = f"; {self._suspects()}" if self._suspects is not None else ""
        rate = self._training.learning_rate
        return TrainingFailed(f"{what}: lower learning_rate (it is {rate}){cause}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        seconds = self._under_way()
        self._started = None
        self.train_seconds += seconds
        with self._averaged():
            measured = self._measure()
            self._note(epoch, logs, measured, seconds)

    def _under_way(self) -> float:
        """Seconds of the epoch that goes on; 0 between two."""
        return 0.0 if self._started is None else time.monotonic() - self._started

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with its averaged weights."""
        if self._average is None:
            yield
            return
        current = self._logits.get_weights()
        self._logits.set_weights(self._average.weights())
        yield
        self._logits.set_weights(current)

    def _note(
        self, epoch: int, logs: dict[str, float], measured: dict[str, float], seconds: float
    ) -> None:
        if math.isnan(measured["log_loss"]):  # the loss of the last step is that before its update
            raise self._diverged(
                f"scores of the eval split are not finite after the last step of epoch {epoch + 1}"
            )
        if math.isnan(measured["auc"]):
            raise TrainingFailed(
                "AUC is not defined on the eval split: it holds a single label. Choose a split "
                "that leaves positives and negatives in it"
            )
        logs.update({f"val_{name}": value for name, value in measured.items()})
        logs["learning_rate"] = float(keras.backend.get_value(self.model.optimizer.lr))
        logs["rows_per_second"] = self._rows / seconds
        _log.info(
            "epoch %d/%d: loss %.4f, validation auc %.5f, log loss %.4f, calibration %.3f, "
            "learning rate %.2g, %.0f rows/s",
            epoch + 1,
            self._training.epochs,
            logs["loss"],
            *(measured[name] for name in ("auc", "log_loss", "calibration")),
            logs["learning_rate"],
            logs["rows_per_second"],
        )
        if epoch >= self._best_from:
            self._judge(epoch, measured)

    def _judge(self, epoch: int, measured: dict[str, float]) -> None:
        """Keeps the weights of a better epoch; counts a worse one."""
        if not self.best or measured["auc"] > self.best["auc"]:
            self.best, self.best_epoch, self._waited = measured, epoch, 0
            self.weights = sharded.weights(self._logits)
            return
        self._waited += 1
        if self._training.schedule == "plateau":
            rate = keras.backend.get_value(self.model.optimizer.lr) * PLATEAU_FACTOR
            keras.backend.set_value(self.model.optimizer.lr, rate)
        self.model.stop_training = self._waited >= self._training.patience

    def state(self) -> Arrays:
        numbers = {"waited": self._waited, "epoch": self.best_epoch, "seconds": self.train_seconds}
        numbers["before"] = self._under_way()
        figures = {f"best/{name}": value for name, value in self.best.items()}
        weights = {f"weights/{k}": weight for k, weight in enumerate(self.weights)}
        return {name: np.asarray(v) for name, v in {**numbers, **figures, **weights}.items()}

    def resume(self, state: Arrays) -> None:
        self._waited, self.best_epoch = int(state["waited"]), int(state["epoch"])
        self.train_seconds, self._before = float(state["seconds"]), float(state["before"])
        best = (name for name in state if name.startswith("best/"))
        self.best = {name.removeprefix("best/"): float(state[name]) for name in best}
        weights = sum(name.startswith("weights/") for name in state)
        self.weights = [state[f"weights/{k}"] for k in range(weights)]


class Cosine(keras.callbacks.Callback):
    """Lets the learning rate fall to 0 along half a cosine (Loshchilov & Hutter 2017).

        lr_t = lr_0 / 2 * (1 + cos(pi t / T))

    Args:
      start: lr_0, the rate of the first step.
      steps: T, steps of the whole training.
    """

    def __init__(self, start: float, steps: int) -> None:
        super().__init__()
        self._start, self._steps, self._step = start, steps, 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        rate = 0.5 * self._start * (1 + math.cos(math.pi * self._step / self._steps))
        keras.backend.set_value(self.model.optimizer.lr, rate)
        self._step += 1

    def state(self) -> Arrays:
        return {"step": np.array(self._step)}

    def resume(self, state: Arrays) -> None:
        self._step = int(state["step"])


class Steps(keras.callbacks.Callback):
    """Reports every step to `models.progress`; comes after `Validation`, whose AUC it shows.

    Args:
      training: Length, batch size and patience.
      steps: Steps an epoch.
      rows: Rows a step.
    """

    def __init__(self, training: TrainingConfig, steps: int, rows: int) -> None:
        super().__init__()
        self._epochs, self._steps, self._rows = training.epochs, steps, rows
        self._may_stop = training.patience < training.epochs
        self._epoch = 0
        self._first: tuple[int, float] | None = None  # step and time that the rate counts from
        self._auc: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._first = epoch, None

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        if not progress.reported():
            return
        now = time.monotonic()
        if self._first is None:  # the first step waits for the shuffle buffer and for tracing
            self._first = batch, now
        steps, seconds = batch - self._first[0], now - self._first[1]
        last = batch + 1 == self._steps
        progress.report(
            f"epoch {self._epoch + 1}/{self._epochs}, "
            + ("validating" if last else f"step {batch + 1}/{self._steps}"),
            (self._epoch * self._steps + batch + 1) / (self._epochs * self._steps),
            rows_per_second=steps * self._rows / seconds if steps else None,
            figures={"loss": logs["loss"], **self._auc},
            at_most=self._may_stop,
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self._auc = {"auc": logs["val_auc"]}
