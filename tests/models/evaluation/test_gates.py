"""Thresholds are typed; what an undecided gate does follows from what was asked."""

from __future__ import annotations

import pathlib
from typing import Any

import pydantic
import pytest

from ranklite.models.evaluation.gates import AccuracyGates, GatesConfig, slice_of

COLUMNS = ["slice_user", "slice_city"]
DOCS = pathlib.Path(__file__).parents[3] / "docs/gates.md"


@pytest.mark.parametrize(
    ("text", "expected"), [(1000, 1000), ("256k", 262_144), ("1.5M", 1_572_864), ("64KiB", 65_536)]
)
def test_sizes_in_the_forms_that_people_write(text: str | int, expected: int) -> None:
    assert GatesConfig.model_validate({"max_bytes": text}).max_bytes == expected


@pytest.mark.parametrize("text", ["big", "k", "-1k", 0])
def test_sizes_that_are_none(text: str | int) -> None:
    with pytest.raises(pydantic.ValidationError):
        GatesConfig.model_validate({"max_bytes": text})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("pass", "pass")),
        ({"undecided": "refuse"}, ("refuse", "pass")),
        ({"max_auc_drop_from_blessed": 0.001}, ("pass", "refuse")),
        ({"max_auc_drop_from_blessed": None}, ("pass", "pass")),
        ({"slices": {"user": {"max_log_loss_rise_from_blessed": 0.1}}}, ("pass", "refuse")),
        ({"slices": {"user": {"max_auc_drop": 0.1}}}, ("pass", "pass")),
        ({"max_auc_drop_from_blessed": 0.1, "undecided_from_blessed": "pass"}, ("pass", "pass")),
    ],
)
def test_what_was_asked_against_the_pushed_model_refuses_when_undecided(
    given: dict[str, Any], expected: tuple[str, str]
) -> None:
    gates = GatesConfig.model_validate(given)
    assert (gates.undecided, gates.undecided_from_blessed) == expected
    # With every default written out, as a component or a page has it, it is the same.
    assert GatesConfig.model_validate_json(gates.model_dump_json()) == gates


@pytest.mark.parametrize("wrong", [{"undecided": "warn"}, {"undecided_from_blessed": None}])
def test_there_are_two_policies(wrong: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError, match="'pass' or 'refuse'"):
        GatesConfig.model_validate(wrong)


def test_bounds_of_a_slice_are_off_unless_given() -> None:
    gates = GatesConfig.model_validate({"slices": {"user": {"min_gauc": 0.6}}})
    assert {k: v for k, v in gates.slices["user"] if v is not None} == {"min_gauc": 0.6}
    with pytest.raises(pydantic.ValidationError, match=r"slices\.user\.max_bytes"):
        GatesConfig.model_validate({"slices": {"user": {"max_bytes": 9}}})


def test_a_gate_by_user_needs_the_user() -> None:
    gates = GatesConfig.model_validate(
        {"max_gauc_drop_from_blessed": 0.1, "slices": {"user = new": {"min_ndcg_at_10": 0.5}}}
    )
    gates.check_user("userId")
    with pytest.raises(
        ValueError, match=r"gates\.max_gauc_drop_from_blessed = 0\.1, gates\.slices"
    ) as e:
        gates.check_user(None)
    assert "gates.slices.user = new.min_ndcg_at_10 = 0.5" in str(e.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user", ("slice_user", None)),
        ("user = new", ("slice_user", "new")),
        ("city=a=b", ("slice_city", "a=b")),
        ("city = (missing)", ("slice_city", "")),
        ("town", None),
        ("town = a", None),
    ],
)
def test_keys_of_slices(name: str, expected: tuple[str, str | None] | None) -> None:
    assert slice_of(name, COLUMNS) == expected


def test_a_slice_that_is_not_measured_is_refused() -> None:
    gates = GatesConfig.model_validate({"slices": {"town": {"min_auc": 0.5}}})
    with pytest.raises(
        ValueError, match=r"no slice 'town': those measured are user, city; `slices"
    ):
        gates.check_slices(COLUMNS)
    with pytest.raises(ValueError, match="none are measured"):
        gates.check_slices([])
    gates.check_slices(["slice_town"])


def test_the_documentation_names_every_gate_with_its_default() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name, field in GatesConfig.model_fields.items():
        shown = f"`{name}`" if name != "slices" else "\n  slices:\n"
        if name in AccuracyGates.model_fields and field.default is not None:
            shown += f" ({field.default:g})"
        assert shown in text, shown
