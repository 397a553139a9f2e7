"""What a thread that scores is given to do, and what comes of it."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

from ranklite.models.export.target import UnreadableModel
from ranklite.models.serving.http.bad_rows import allowed, escaped, refused
from ranklite.models.serving.http.bodies import Event, RankBody, Row
from ranklite.models.serving.http.loaded import Loaded
from ranklite.models.serving.http.problems import Problem, invalid
from ranklite.models.serving.scorer import Scorer
from ranklite.models.serving.state import History

Answer = dict[str, Any]


@dataclasses.dataclass
class Job(abc.ABC):
    """A request that waits to be scored.

    Attributes:
      version: The version that was served when it came; it is answered by that one.
      future: Takes the answer, or the problem, in the loop of the server.
    """

    version: Loaded
    future: asyncio.Future[Answer]

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Rows that the model computes for it."""

    @abc.abstractmethod
    def alone(self, scorer: Scorer) -> Answer:
        """Its answer, computed by itself.

        Raises:
          Problem: The scorer refuses what was sent.
          UnreadableModel: The model cannot be run.
        """

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not self.future.done()

    def finish(self, outcome: Answer | BaseException) -> None:
        """Hands over the answer, or why there is none; called by the thread that scores."""
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it who asked
            self.future.get_loop().call_soon_threadsafe(self._resolve, outcome)

    def _resolve(self, outcome: Answer | BaseException) -> None:
        if self.future.done():  # its time was up
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


@dataclasses.dataclass
class ScoreJob(Job):
    """Rows to score, which may go together with those of other requests.

    Attributes:
      rows: A mapping a row.
    """

    rows: list[Row]

    @property
    def size(self) -> int:
        return len(self.rows)

    def alone(self, scorer: Scorer) -> Answer:
        try:
            scores = scorer.score(self.rows)
        except UnreadableModel:
            raise
        except (KeyError, ValueError):
            raise refused(scorer, self.rows, lambda row, _: f"/rows/{row}") from None
        return self.answer(scores.tolist())

    def answer(self, scores: Sequence[float]) -> Answer:
        """The document that is sent."""
        return {"version": self.version.name, "scores": list(scores)}


@dataclasses.dataclass
class RankJob(Job):
    """Candidates to rank for a user.

    Attributes:
      body: What was asked for.
    """

    body: RankBody

    @property
    def size(self) -> int:
        return len(self.body.candidates)

    def alone(self, scorer: Scorer) -> Answer:
        body = self.body
        history = None if body.history is None else _history(scorer, body.history)
        try:
            best = scorer.top_k(body.user, body.candidates, body.k, history=history, time=body.time)
        except UnreadableModel:
            raise
        except (KeyError, ValueError):
            rows = [{**body.user, **candidate} for candidate in body.candidates]
            raise refused(scorer, rows, self._place) from None
        ranking = [{"index": index, "score": score} for index, score in best]
        return {"version": self.version.name, "ranking": ranking}

    def _place(self, row: int, name: str) -> str:
        is_of_user = name in self.body.user and name not in self.body.candidates[row]
        return "/user" if is_of_user else f"/candidates/{row}"


def _history(scorer: Scorer, events: Sequence[Event]) -> History:
    """The history of a user.

    Raises:
      Problem: The model reads none, or refuses an event.
    """
    try:
        history = scorer.history()
    except ValueError as error:
        raise Problem(422, f"/history: {error}") from None
    last = float("-inf")
    for index, event in enumerate(events):
        if event.time < last:
            order = f"the time of the event before it, {last:f}, or a later one"
            raise invalid(f"/history/{index}/time", event.time, order, row=index, field="time")
        last = event.time
        try:
            history.add(event.row, event.time, event.outcome)
        except ValueError as error:
            raise _bad_event(scorer, index, event, error) from None
    return history


def _bad_event(scorer: Scorer, index: int, event: Event, error: ValueError) -> Problem:
    """The problem of an event that a history refuses: each value is tried by itself."""
    features = {entry["name"]: entry for entry in scorer.metadata["features"]}
    for name, value in event.row.items():
        try:
            scorer.history().add({name: value}, event.time, event.outcome)
        except ValueError:
            at = f"/history/{index}/row/{escaped(name)}"
            # A column that only the past is made of is a number.
            taken = allowed(features.get(name, {"dtype": "float32"}))
            return invalid(at, value, taken, row=index, field=name)
    return Problem(422, f"/history/{index}: {error}")
