"""What long things say of how far they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ranklite.models import progress
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.progress import Report
from ranklite.models.training import callbacks
from ranklite.models.training import fit as training
from ranklite.models.training.callbacks import Steps
from ranklite.models.training.config import TrainingConfig

MODEL = DeepFMConfig(embedding_dim=4, hidden_units=(16,), embedding_stddev=0.1)


def test_parts_come_before_the_words_and_shrink_the_share() -> None:
    reported: list[Report] = []
    with progress.listening(reported.append):
        with progress.part("trial 2/4", 1, 4), progress.part(""), progress.part("prune", 1, 2):
            progress.report("step 1/2", 0.5, rows_per_second=7.0, figures={"auc": 0.8})
            progress.report()
        with progress.part("trial 3/4", 2, 4, whole=True), progress.part("prune"):
            progress.report("step 1/2", 0.5)
        progress.report("over", at_most=True)
    assert reported == [
        Report("trial 2/4: prune: step 1/2", 0.4375, 7.0, {"auc": 0.8}, False),  # 1.75 of 4
        Report("trial 2/4: prune", 0.375, None, {}, False),
        Report("trial 3/4: prune: step 1/2", 0.5, None, {}, False),
        Report("over", None, None, {}, True),
    ]


def test_after_an_error_nobody_listens_and_no_part_is_left() -> None:
    reported: list[Report] = []
    with pytest.raises(KeyboardInterrupt), progress.listening(reported.append), progress.part("x"):
        raise KeyboardInterrupt
    assert not progress.reported()
    progress.report("unheard")
    with progress.listening(reported.append):
        progress.report("y")
    assert [report.where for report in reported] == ["y"]


def test_rows_are_counted_with_their_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([50.0, 50.0, 52.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    reported: list[Report] = []
    with progress.listening(reported.append):
        rows = progress.Rows("writing", 4000)
        rows.add(1000)
        rows.add(2000)
    assert reported == [
        Report("writing 1,000/4,000 rows", 0.25, None, {}, False),
        Report("writing 3,000/4,000 rows", 0.75, 1000.0, {}, False),
    ]


def test_rows_whose_number_is_not_known_have_no_share() -> None:
    reported: list[Report] = []
    with progress.listening(reported.append):
        progress.Rows("scored").add(1000)
    assert reported == [Report("scored 1,000 rows", None, None, {}, False)]


def test_a_step_is_told_with_its_speed_and_the_metrics_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([10.0, 11.0, 13.0])
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    steps = Steps(TrainingConfig(epochs=4, patience=2, batch_size=64), 3, 64)
    reported: list[Report] = []
    steps.on_epoch_begin(0)
    steps.on_train_batch_end(0, {"loss": 0.9})  # nobody listens
    steps.on_epoch_end(0, {"val_auc": 0.7})
    steps.on_epoch_begin(1)
    with progress.listening(reported.append):
        for batch in range(3):
            steps.on_train_batch_end(batch, {"loss": 0.6})
    figures = {"loss": 0.6, "auc": 0.7}
    assert reported == [
        Report("epoch 2/4, step 1/3", 4 / 12, None, figures, True),
        Report("epoch 2/4, step 2/3", 5 / 12, 64.0, figures, True),
        Report("epoch 2/4, validating", 6 / 12, pytest.approx(128 / 3), figures, True),
    ]


def test_a_training_tells_every_step_and_trains_as_without(clicks: Any) -> None:
    settings = TrainingConfig(batch_size=256, epochs=2, patience=2, learning_rate=0.05)

    def train() -> tuple[list[Any], dict[str, float]]:
        model = training.build(clicks.layout, MODEL, settings)
        result = training.fit(model, clicks.layout, clicks.train, clicks.eval, settings)
        return model.get_weights(), result

    weights, _ = train()
    reported: list[Report] = []
    with progress.listening(reported.append):
        again, result = train()
    for one, other in zip(weights, again, strict=True):
        np.testing.assert_array_equal(one, other)
    steps = 2000 // 256
    assert [r.share for r in reported] == [
        *(pytest.approx((k + 1) / (2 * steps)) for k in range(2 * steps)),
        1.0,
    ]
    assert reported[0].where == f"epoch 1/2, step 1/{steps}"
    assert reported[-2].where == "epoch 2/2, validating"
    assert not any(report.at_most for report in reported)
    assert set(reported[0].figures) == {"loss"}
    assert set(reported[-2].figures) == {"loss", "auc"}
    assert reported[-1] == Report("epoch 2/2", 1.0, None, {"auc": result["auc"]}, False)
