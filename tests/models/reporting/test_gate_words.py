"""A verdict in words: figure, interval, bound, and what to do."""

from __future__ import annotations

import pytest

from ranklite.models.evaluation.verdicts import Verdict, at_least, at_most
from ranklite.models.reporting.gate_words import (
    brief,
    outcome,
    refusals,
    verdict_cells,
    warnings,
)

LOST = Verdict(
    "AUC lost to float",
    True,
    0.00071,
    0.0005,
    interval=(-0.0002, 0.0016),
    undecided=True,
    key="gates.max_auc_drop",
).to_dict()
FEW = {**LOST, "interval": None, "detail": "2 users with both labels, 20 are needed"}


def test_cells() -> None:
    (size,) = at_most("bytes", 10, 10)
    assert verdict_cells(size.to_dict()) == ["bytes", "10", "", "<= 10", "passed"]
    (share,) = at_least("integer share", 0.65, 0.7)
    assert verdict_cells(share.to_dict()) == ["integer share", "0.65", "", ">= 0.7", "FAILED"]
    flex = Verdict("plain TFLite operators", False, 1, detail="FlexErf").to_dict()
    assert verdict_cells(flex) == ["plain TFLite operators (FlexErf)", "1", "", "", "FAILED"]
    cells = ["AUC lost to float", "0.00071", "[-0.0002, 0.0016]", "<= 0.0005", "undecided"]
    assert verdict_cells(LOST) == cells
    assert brief(LOST) == " ".join(cells)


def test_a_verdict_of_an_earlier_version() -> None:
    old = {"name": "AUC change from the blessed model", "value": -0.02, "threshold": -0.01}
    old |= {"at_least": True, "passed": False, "detail": ""}
    assert brief(old) == "AUC change from the blessed model -0.02 >= -0.01 FAILED"
    assert refusals([old]) == [
        "AUC change from the blessed model is -0.02, the bound is >= -0.01",
    ]


def test_undecided_ones_are_told_from_those_that_keep_a_model_back() -> None:
    refused = {**LOST, "passed": False}
    assert (outcome(LOST), outcome(refused)) == ("undecided", "undecided, REFUSED")
    assert refusals([LOST]) == warnings([refused]) == []
    told = (
        "Undecided: AUC lost to float is 0.00071 [-0.0002, 0.0016], the bound is <= 0.0005; the "
        "interval contains the bound, the rows cannot tell. Judge more rows, or move "
        "gates.max_auc_drop; gates.undecided: "
    )
    assert warnings([LOST]) == [f"{told}refuse keeps such a model back"]
    assert refusals([refused]) == [f"{told}pass pushes such a model with a warning"]


def test_few_rows_are_told_once() -> None:
    new = [{**FEW, "name": f"{name}, user = new"} for name in ("GAUC", "GAUC lost to float")]
    whole = {**FEW, "name": "GAUC"}
    blessed = {**FEW, "passed": False, "key": "gates.max_gauc_drop_from_blessed"}
    reason = "2 users with both labels, 20 are needed. Judge more rows; gates.undecided: refuse"
    assert warnings([*new, whole]) == [
        f"Undecided: GAUC: {reason} keeps such a model back",
        f"Undecided: GAUC, GAUC lost to float of user = new: {reason} keeps such a model back",
    ]
    (sentence,) = refusals([blessed, whole])
    assert "gates.undecided_from_blessed: pass" in sentence


@pytest.mark.parametrize(
    ("key", "lower", "advice"),
    [
        ("gates.max_auc_drop", False, ": compress less, or raise gates.max_auc_drop"),
        (
            "gates.max_auc_drop_from_blessed",
            False,
            ": the model pushed last is better and stays. To replace it, raise gates.max_auc_",
        ),
        ("gates.min_auc", True, ": change the model, or lower gates.min_auc"),
        ("gates.slices.user.min_gauc", True, ": change the model, or lower gates.slices.user."),
        ("gates.max_bytes", False, ": change the model, or raise gates.max_bytes"),
        ("gates.max_log_parity", False, "the bound is <= 0.25"),  # a defect: no bound to move
        ("", False, "the bound is <= 0.25"),
    ],
)
def test_what_to_do_about_a_failed_gate(key: str, lower: bool, advice: str) -> None:
    verdict = Verdict("it", False, 0.5, 0.25, lower, interval=(0.4, 0.6), key=key).to_dict()
    (sentence,) = refusals([verdict])
    sign = ">=" if lower else "<="
    assert sentence.startswith(f"it is 0.5 [0.4, 0.6], the bound is {sign} 0.25")
    assert advice in sentence
    assert sentence.endswith(advice) or advice.endswith((".", "_"))
