"""What is told of baselines: their table, and a sentence where one wins."""

from __future__ import annotations

from typing import Any

from ranklite.models.reporting import baseline_words, gate_words


def figures(auc: float, *change: float) -> dict[str, Any]:
    return {
        "auc": auc,
        "log_loss": 0.5,
        "calibration": 1.02,
        "change": {"auc": change, "log_loss": [-0.01, -0.02, 0.0]},
    }


MEASURED = {
    "constant": figures(0.5, 0.2, 0.1, 0.3),
    "logistic regression": figures(0.72, -0.02, -0.03, -0.01),
    "boosted trees": figures(0.71, -0.01, -0.03, 0.01),
}


def test_the_table_has_a_row_a_baseline_with_what_the_file_gains() -> None:
    rows = baseline_words.rows(MEASURED)
    assert [row[0] for row in rows] == list(MEASURED)
    assert rows[1][1:] == [
        "0.7200",
        "0.5000",
        "1.020",
        "-0.0200 [-0.0300, -0.0100]",
        "-0.0100 [-0.0200, +0.0000]",
    ]
    assert len(baseline_words.HEAD) == len(rows[0])


def test_a_sentence_says_how_sure_it_is_and_what_to_try() -> None:
    first, second = baseline_words.warnings(MEASURED)
    assert first.startswith("a logistic regression is better than the shipped file (AUC 0.7200")
    assert second.startswith("boosted trees may be better than the shipped file")
    assert "hidden_units: []" in first
    assert not baseline_words.warnings({"constant": figures(0.5, -0.01, -0.02, 0.0)})
    assert not baseline_words.warnings({"boosted trees": figures(0.7, 0.01, -0.02, 0.02)})


def test_a_gate_that_a_baseline_fails_says_what_to_try() -> None:
    verdict = {
        "name": "AUC gained over baselines",
        "passed": False,
        "value": -0.02,
        "threshold": 0.0,
        "at_least": True,
        "detail": "",
        "interval": [-0.03, -0.01],
        "undecided": False,
        "key": "gates.min_gain_over_baselines",
    }
    [sentence] = gate_words.refusals([verdict])
    assert "try tune" in sentence
    assert sentence.endswith("lower gates.min_gain_over_baselines")
