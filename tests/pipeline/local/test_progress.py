"""One line a stage: drawn while it runs on a terminal, plain ones elsewhere."""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Iterator

import pytest
from absl import logging as absl_logging

from ranklite.models import progress
from ranklite.models.progress import Report
from ranklite.pipeline.local.progress import Display, fitted
from ranklite.pipeline.local.stages import Stages

LEFT = "  about 4.0 h left"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What is to be seen once all was drawn."""
        lines = []
        for written in self.getvalue().split("\n"):
            line = ""
            for drawn in written.split("\r"):
                line = drawn + line[len(drawn) :]
            lines.append(line.rstrip())
        return lines


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def step(number: int, *, at_most: bool = False) -> Report:
    """A step of a training of 80."""
    figures = {"loss": 0.41234, "auc": 0.81239}
    return Report(f"epoch 1/1, step {number}/80", number / 80, 12_400.4, figures, at_most)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_a_terminal_shows_how_far_the_stage_is(terminal: Terminal, clock: Clock) -> None:
    display = Display(terminal, live=True, clock=clock)
    display.begin("[ 6/17] Trainer        ")
    assert terminal.screen() == ["[ 6/17] Trainer  0 s"]
    clock.now += 2  # 1 step in 2 s of tracing, which say nothing of those that follow
    display.show(step(1))
    clock.now += 10
    display.show(step(31, at_most=True))
    display.tick()
    # 30 steps took 10 s: 49 more take 16.3 s
    assert terminal.screen() == [
        "[ 6/17] Trainer  12 s  epoch 1/1, step 31/80  loss 0.4123  auc 0.8124  at most 16 s left"
    ]
    clock.now += 60
    display.tick()  # longer than expected, without a word: nothing is claimed, the time goes on
    assert terminal.screen() == [
        "[ 6/17] Trainer  1 min 12 s  epoch 1/1, step 31/80  12,400 rows/s  loss 0.4123  auc 0.8124"
    ]
    display.show(Report("epoch 1/1", 1.0, None, {"auc": 0.81239}, False))
    assert display.end() == 72.0
    display.begin("[ 7/17] Pruner         ")
    assert display.end(cached=True) == 0.0
    assert terminal.screen() == [
        "[ 6/17] Trainer           72.0 s  auc 0.8124",
        "[ 7/17] Pruner            cached",
        "",
    ]


def test_a_line_is_drawn_only_where_it_changed(terminal: Terminal, clock: Clock) -> None:
    display = Display(terminal, live=True, clock=clock)
    display.begin("Trainer")
    for _ in range(9):
        clock.now += 0.2
        display.tick()
    assert terminal.getvalue() == "Trainer  0 s\rTrainer  1 s"
    display.say("a trial")
    assert terminal.screen() == ["a trial", "Trainer  1 s"]


def test_nothing_is_drawn_between_stages(terminal: Terminal, clock: Clock) -> None:
    display = Display(terminal, live=True, clock=clock)
    display.tick()
    display.show(step(1))
    display.tick()
    assert terminal.getvalue() == ""
    display.begin("Trainer")
    display.end()
    display.tick()
    assert terminal.screen() == ["Trainer    0.0 s", ""]


def test_what_came_before_tells_nothing_of_another_training(clock: Clock) -> None:
    out = io.StringIO()
    display = Display(out, live=False, clock=clock)
    display.begin("Quantizer")
    display.show(Report("calibrating", None, None, {}, False))
    clock.now += 20
    for share in (0.1, 0.3):  # 2 tenths in 10 s: 7 more take 35 s
        display.show(Report("first", share, None, {}, False))
        clock.now += 10
    display.tick()
    display.show(Report("second", 0.2, None, {}, False))
    clock.now += 30
    display.tick()
    display.show(Report("second", 0.4, None, {}, False))
    clock.now += 30
    display.tick()
    assert out.getvalue().splitlines() == [
        "Quantizer ...",
        "Quantizer ...  40 s  first  about 25 s left",
        "Quantizer ...  1 min 10 s  second",
        "Quantizer ...  1 min 40 s  second  about 60 s left",
    ]


def test_parts_that_count_as_a_whole_are_estimated_from_those_that_are_over(clock: Clock) -> None:
    out = io.StringIO()
    display = Display(out, live=False, clock=clock)
    display.begin("BudgetSearch")
    with progress.listening(display.show):
        for trial in range(2):
            with progress.part(f"trial {trial + 1}/4, x", trial, 4, whole=True):
                for k in range(3):
                    with progress.part("prune"):
                        progress.report(f"step {k + 1}/3", (k + 1) / 3)
                    clock.now += 20
                    display.tick()
    assert out.getvalue().splitlines() == [
        "BudgetSearch ...",
        "BudgetSearch ...  40 s  trial 1/4, x: prune: step 2/3",
        # a trial takes 60 s, and 3 were left 20 s ago
        "BudgetSearch ...  1 min 20 s  trial 2/4, x: prune: step 1/3  about 3 min left",
        "BudgetSearch ...  2 min 0 s  trial 2/4, x: prune: step 3/3  about 2 min left",
    ]


def test_plain_lines_are_few_and_whole(clock: Clock) -> None:
    out = io.StringIO()
    display = Display(out, live=False, clock=clock)
    display.begin("[ 6/17] Trainer        ")
    for second in range(95):
        display.show(step(max(1, second // 2)))
        display.tick()
        clock.now += 1
    display.end()
    words = "12,400 rows/s  loss 0.4123  auc 0.8124"
    assert out.getvalue().splitlines() == [
        "[ 6/17] Trainer ...",
        f"[ 6/17] Trainer ...  30 s  epoch 1/1, step 15/80  {words}  about 2 min left",
        f"[ 6/17] Trainer ...  1 min 0 s  epoch 1/1, step 30/80  {words}  about 2 min left",
        # 44 steps in 90 s: 35 more take 72 s
        f"[ 6/17] Trainer ...  1 min 30 s  epoch 1/1, step 45/80  {words}  about 72 s left",
        "[ 6/17] Trainer           95.0 s  loss 0.4123  auc 0.8124",
    ]
    assert "\r" not in out.getvalue()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (94, f"  epoch 1/1, step 31/80  12,400 rows/s  loss 0.4123  auc 0.8124{LEFT}"),
        (93, f"  epoch 1/1, step 31/80  loss 0.4123  auc 0.8124{LEFT}"),
        (78, f"  epoch 1/1, step 31/80  auc 0.8124{LEFT}"),
        (65, f"  epoch 1/1, step 31/80{LEFT}"),
        (45, f"  epoc...31/80{LEFT}"),
        (44, "  epoch 1/1, step 31/80"),
        (30, "  epoch ... 31/80"),
        (20, ""),
    ],
)
def test_what_matters_least_makes_room(columns: int, expected: str) -> None:
    shown = fitted("Trainer  12 s", step(31), 4 * 3600, columns)
    assert shown == f"Trainer  12 s{expected}"
    assert len(shown) <= columns


def test_a_long_name_is_cut_before_a_metric_goes() -> None:
    words = "trial 3/16, units0.5_rows0.7_sparsity0.8_int4_per_row: prune: epoch 2/3, step 31/80"
    report = step(31)._replace(where=words)
    assert fitted("BudgetSearch  9 s", report, None, 100) == (
        "BudgetSearch  9 s  trial 3/16, units0.5_rows0...rune: epoch 2/3, step 31/80"
        "  loss 0.4123  auc 0.8124"
    )


def test_a_run_outlives_what_reads_its_lines(clock: Clock) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as out:
        display = Display(out, live=False, clock=clock)
        display.begin("Trainer")
        clock.now += 2
        assert display.end() == 2.0
        with pytest.raises(BrokenPipeError):
            out.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def announce(stages: Stages) -> None:
    """Two stages that end and one that does not."""
    stages.begin("StatisticsGen")
    stages.end("StatisticsGen")
    stages.begin("Trainer")
    absl_logging.info("A cached execution %d is used.", 7)
    stages.end("Trainer")
    stages.begin("BudgetSearch")
    logging.getLogger("ranklite.models.compression.search").info(
        "trial %d/%d, %s", 1, 2, "narrow: AUC 0.8"
    )


@pytest.fixture
def info() -> Iterator[None]:
    """The logging levels of a run."""
    root = logging.getLogger()
    before, absl_before = root.level, absl_logging.get_verbosity()
    root.setLevel(logging.INFO)
    absl_logging.set_verbosity(absl_logging.INFO)
    yield
    root.setLevel(before)
    absl_logging.set_verbosity(absl_before)


@pytest.mark.usefixtures("info")
def test_stages_are_told_as_they_begin_and_end(clock: Clock) -> None:
    out, ended = io.StringIO(), list[bool]()
    stages = Stages(3, Display(out, live=False, clock=clock), lambda: ended.append(True))
    with stages.watching():
        announce(stages)
    assert out.getvalue().splitlines() == [
        "[ 1/3] StatisticsGen ...",
        "[ 1/3] StatisticsGen                   0.0 s",
        "[ 2/3] Trainer ...",
        "[ 2/3] Trainer                        cached",
        "[ 3/3] BudgetSearch ...",
        "        trial 1/2, narrow: AUC 0.8",
    ]
    assert ended == [True]
    assert stages.seconds == {"StatisticsGen": 0, "Trainer": 0}
    assert stages.begin("Pusher") == "04-Pusher"
    stages.fail("Pusher", "04-Pusher")
    stages.fail("BudgetSearch", "03-BudgetSearch")  # stopped, since the Pusher failed
    assert stages.failed == ("Pusher", "04-Pusher")


def test_stages_that_run_at_once_have_a_line_that_names_them(
    terminal: Terminal, clock: Clock
) -> None:
    stages = Stages(3, Display(terminal, live=True, clock=clock))
    stages.begin("Pruner")
    clock.now += 2
    stages.begin("Exporter.float")
    stages.show("Pruner", Report("epoch 1/2", 0.5, None, {"auc": 0.8}, False))
    stages.begin("Evaluator")
    assert terminal.screen() == [
        "[ 1/3] Pruner + Exporter.float, Evaluator  2 s  epoch 1/2  auc 0.8000"
    ]
    clock.now += 1
    stages.end("Exporter.float")
    stages.end("Pruner")
    assert terminal.screen() == [
        "[ 2/3] Exporter.float                  1.0 s",
        "[ 1/3] Pruner                          3.0 s  auc 0.8000",
        "[ 3/3] Evaluator  1 s",
    ]


@pytest.mark.usefixtures("info")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_behind_by_a_run_that_stops(
    terminal: Terminal, error: type[BaseException]
) -> None:
    root, threads = logging.getLogger(), threading.active_count()
    before = list(root.handlers)
    stages = Stages(3, Display(terminal, live=True))
    with pytest.raises(error), stages.watching():  # noqa: PT012
        announce(stages)
        assert threading.active_count() == threads + 1
        raise error
    assert threading.active_count() == threads
    assert root.handlers == before
    assert not progress.reported()
    assert terminal.screen()[-2:] == ["[ 3/3] BudgetSearch  0 s", ""]  # what follows has its line


def test_a_stage_that_says_nothing_is_drawn_anew_by_the_thread(
    terminal: Terminal, clock: Clock
) -> None:
    display = Display(terminal, live=True, clock=clock)
    drawn = threading.Event()
    write = terminal.write

    def noticing(text: str) -> int:
        if "5 s" in text:
            drawn.set()
        return write(text)

    terminal.write = noticing  # type: ignore[method-assign]
    with display.running():
        display.begin("Transform")
        clock.now += 5
        assert drawn.wait(10)
    assert terminal.screen() == ["Transform  5 s", ""]
