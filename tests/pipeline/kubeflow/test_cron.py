"""Cron expressions are checked before a server takes them."""

from __future__ import annotations

import pytest

from ranklite.pipeline.kubeflow.cron import WrongCron, six_fields


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("0 2 * * *", "0 0 2 * * *"),
        ("*/15 8-18/2 1,15 JAN-mar mon-fri", "0 */15 8-18/2 1,15 JAN-mar mon-fri"),
        ("59 23 31 12 6", "0 59 23 31 12 6"),
        ("  0   2  *  *  *  ", "0 0 2 * * *"),
    ],
)
def test_five_fields_become_six(given: str, sent: str) -> None:
    assert six_fields(given) == sent


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("0 0 2 * * *", "has 6 fields; write five"),
        ("@daily", "has 1 fields; write five"),
        ("60 2 * * *", "minute '60' is out of range; it takes 0 to 59"),
        ("0 24 * * *", "hour '24' is out of range"),
        ("0 2 0 * *", "day of month '0' is out of range; it takes 1 to 31"),
        ("0 2 * 13 *", "month '13' is out of range"),
        ("0 2 * foo *", "it takes 1 to 12 or jan, feb"),
        ("0 2 * * 7", "day of week '7' is out of range; it takes 0 to 6 or sun"),
        ("0 5-2 * * *", "hour '5-2' ends before it begins"),
        ("*/0 * * * *", "has a step that is out of range"),
        ("1,,2 * * * *", "minute '' is not understood"),
        ("-1 * * * *", "minute '-1' is not understood"),
    ],
)
def test_a_wrong_one_is_refused_with_its_field(given: str, why: str) -> None:
    with pytest.raises(WrongCron, match="cron") as refused:
        six_fields(given)
    assert why in str(refused.value)
