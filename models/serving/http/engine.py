"""The threads that score: a bounded wait ahead of them, and rows that wait together go together."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Sequence

from ranklite.models.serving.http.jobs import Job, ScoreJob
from ranklite.models.serving.http.settings import Limits
from ranklite.models.serving.scorer import Scorer


class Engine:
    """Scores jobs off the event loop, in the order in which they came.

    A thread that is free takes the oldest job. Where that is one of rows, the rows of other waiting
    jobs of the same version go with it, up to `limits.batch`. Nobody waits for a batch to fill: it
    grows while the threads are busy, and a job that finds one free is scored at once.

    Args:
      limits: How many threads and rows.
      on_batch: Told the number of rows of each call of a model.
    """

    def __init__(self, limits: Limits, on_batch: Callable[[int], None]) -> None:
        self._limits, self._on_batch = limits, on_batch
        self._waiting: collections.deque[Job] = collections.deque()
        self._changed = threading.Condition()
        self._is_open = True
        self._threads = [
            threading.Thread(
                target=self._work, args=(number,), name=f"scorer-{number}", daemon=True
            )
            for number in range(limits.threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that no thread has taken."""
        return len(self._waiting)

    def submit(self, job: Job) -> None:
        """Adds a job, whose future takes the outcome."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Ends the threads once nothing waits, or after some seconds."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(seconds)

    def _work(self, number: int) -> None:
        while jobs := self._take():
            scorer = jobs[0].version.scorers[number]
            if not self._together(scorer, jobs):
                for job in jobs:
                    self._alone(scorer, job)
            del jobs, scorer  # or a version that was replaced would stay until the next job

    def _take(self) -> list[Job]:
        """The next jobs, to be scored in one call; none once the engine is closed."""
        with self._changed:
            while True:
                while self._waiting and not self._waiting[0].is_wanted:
                    self._waiting.popleft()
                if self._waiting:
                    break
                if not self._is_open:
                    return []
                self._changed.wait()
            jobs = [self._waiting.popleft()]
            if isinstance(jobs[0], ScoreJob):
                room = self._limits.batch - jobs[0].size
                for job in list(self._waiting):
                    fits = job.size <= room and job.is_wanted
                    if isinstance(job, ScoreJob) and job.version is jobs[0].version and fits:
                        self._waiting.remove(job)
                        jobs.append(job)
                        room -= job.size
        self._on_batch(sum(job.size for job in jobs))
        return jobs

    def _together(self, scorer: Scorer, jobs: Sequence[Job]) -> bool:
        """Scores the rows of several jobs in one call; False where one of them has a bad one."""
        many = [job for job in jobs if isinstance(job, ScoreJob)]
        if len(many) < 2:
            return False
        try:
            scores = scorer.score([row for job in many for row in job.rows]).tolist()
        except Exception:  # each is scored alone then, and told what is wrong with it
            return False
        end = 0
        for job in many:
            begin, end = end, end + job.size
            job.finish(job.answer(scores[begin:end]))
        return True

    @staticmethod
    def _alone(scorer: Scorer, job: Job) -> None:
        try:
            job.finish(job.alone(scorer))
        except Exception as error:  # the thread goes on, and the request is told
            job.finish(error)
