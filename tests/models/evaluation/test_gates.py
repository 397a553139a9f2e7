"""Thresholds are typed, and NaN passes none."""

from __future__ import annotations

import pydantic
import pytest

from ranklite.models.evaluation.gates import GatesConfig, Verdict, at_least, at_most
from ranklite.models.reporting.metric_names import verdict_cells


@pytest.mark.parametrize(
    ("text", "expected"), [(1000, 1000), ("256k", 262_144), ("1.5M", 1_572_864), ("64KiB", 65_536)]
)
def test_sizes_in_the_forms_that_people_write(text: str | int, expected: int) -> None:
    assert GatesConfig.model_validate({"max_bytes": text}).max_bytes == expected


@pytest.mark.parametrize("text", ["big", "k", "-1k", 0])
def test_sizes_that_are_none(text: str | int) -> None:
    with pytest.raises(pydantic.ValidationError):
        GatesConfig.model_validate({"max_bytes": text})


def test_bounds() -> None:
    (low,) = at_least("AUC", 0.7, 0.7)
    assert low.passed
    assert low.at_least
    assert not at_least("AUC", 0.69, 0.7)[0].passed
    assert at_most("bytes", 10, 10)[0].passed
    assert not at_most("bytes", 11, 10)[0].passed
    assert at_most("bytes", 11, None) == at_least("AUC", 0.0, None) == []


def test_nan_never_passes() -> None:
    nan = float("nan")
    assert not at_least("AUC", nan, 0.0)[0].passed
    assert not at_most("log loss", nan, 1e9)[0].passed


def test_a_verdict_in_words() -> None:
    (auc,) = at_least("AUC", 0.65, 0.7)
    assert verdict_cells(auc.to_dict()) == ["AUC", "0.65", ">= 0.7", "FAILED"]
    (size,) = at_most("bytes", 10, 10)
    assert verdict_cells(size.to_dict()) == ["bytes", "10", "<= 10", "passed"]
    flex = Verdict("plain TFLite operators", False, 1, detail="FlexErf")
    assert verdict_cells(flex.to_dict()) == ["plain TFLite operators (FlexErf)", "1", "", "FAILED"]
