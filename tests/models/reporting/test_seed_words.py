"""Several seeds in words: means and deviations by hand, intervals of one, seeds that failed."""

from __future__ import annotations

from typing import Any

import pytest

from ranklite.models.reporting import seed_words
from tests.models.reporting.test_page import Page, facts, page

HEAD = ["AUC", "95 % interval of one", "log loss", "95 % interval of one"]


def stages(float_: float, control: float | None, shipped: float) -> dict[str, dict[str, float]]:
    figures = {"float": float_, "control": control, "shipped": shipped}
    return {
        stage: {"auc": auc, "log_loss": 1 - auc}
        for stage, auc in figures.items()
        if auc is not None
    }


def seed(number: int, *aucs: Any, error: str = "") -> dict[str, Any]:
    return {"seed": number, "figures": stages(*aucs) if aucs else {}, "error": error}


def report(*aucs: Any) -> dict[str, Any]:
    own: dict[str, Any] = stages(*aucs)
    own["shipped"]["interval"] = {"auc": [0.7, 0.8], "auc_change": [-0.03, 0.01]}
    return {"stages": own}


def test_means_deviations_and_costs_are_those_worked_out_by_hand() -> None:
    # float 0.75 0.72 0.75: mean 0.74, deviations 0.01 -0.02 0.01, sd sqrt(0.0006 / 2) = 0.01732.
    # shipped less float -0.01 -0.03 -0.02: mean -0.02, sd 0.01, far below that of either.
    own = report(0.75, 0.76, 0.74)
    others = {"seeds": [seed(1042, 0.72, 0.71, 0.69), seed(2042, 0.75, 0.75, 0.73)]}
    assert seed_words.head(own, others) == ["mean ± sd of 3 seeds", *HEAD]
    assert seed_words.rows(own, others) == [
        ["float", "0.74000 ± 0.01732", "", "0.26000 ± 0.01732", ""],
        ["float control", "0.74000 ± 0.02646", "", "0.26000 ± 0.02646", ""],
        ["shipped file", "0.72000 ± 0.02646", "[0.70000, 0.80000]", "0.28000 ± 0.02646", ""],
        [
            "shipped less float",
            "-0.02000 ± 0.01000",
            "[-0.03000, +0.01000]",
            "+0.02000 ± 0.01000",
            "",
        ],
        ["shipped less float control", "-0.02000 ± 0.00000", "", "+0.02000 ± 0.00000", ""],
    ]
    (sentence,) = seed_words.sentences(own, others)
    assert sentence == (
        "AUC lost to float over 3 seeds: 0.02000 ± 0.01000, to the float control, trained as long, "
        "0.02000 ± 0.00000; the 95 % interval of the model that ships, [-0.01000, 0.03000] to "
        "float, is about other rows, and does not contain that noise"
    )


def test_without_a_control_or_an_interval_there_are_no_words_on_them() -> None:
    own = {"stages": stages(0.75, None, 0.74)}
    others = {"seeds": [seed(1042, 0.72, None, 0.69)]}
    titles = [row[0] for row in seed_words.rows(own, others)]
    assert titles == ["float", "shipped file", "shipped less float"]
    assert seed_words.sentences(own, others) == [
        "AUC lost to float over 2 seeds: 0.02000 ± 0.01414"
    ]


def test_seeds_that_failed_are_told_and_not_counted() -> None:
    own = report(0.75, 0.76, 0.74)
    failed = seed(1042, error="the loss is not finite")
    others = {"seeds": [failed, seed(2042, 0.75, 0.75, 0.73)]}
    assert seed_words.head(own, others)[0] == "mean ± sd of 2 seeds"
    lost, why = seed_words.sentences(own, others)
    assert lost.startswith("AUC lost to float over 2 seeds: 0.01500 ± 0.00707, ")
    assert why == "1 of 3 seeds did not come to their end: 1042: the loss is not finite"
    # Of one seed alone there is no noise to tell.
    assert seed_words.rows(own, {"seeds": [failed]})[0][1] == "0.75000"
    assert seed_words.sentences(own, {"seeds": [failed]}) == [
        "1 of 2 seeds did not come to their end: 1042: the loss is not finite"
    ]


def test_figures_that_are_no_numbers_are_dashes() -> None:
    own = report(0.75, None, float("nan"))
    others = {"seeds": [seed(1042, 0.72, None, 0.69)]}
    assert seed_words.rows(own, others)[1][1] == "-"


@pytest.mark.parametrize("error", ["", "<script>alert(1)</script>"])
def test_the_page_has_them(error: str) -> None:
    figures = {} if error else stages(0.71, None, 0.69)
    one = {"seed": 1042, "figures": figures, "error": error}
    shown = Page(page.render(facts(seeds={"split": "test", "seeds": [one]})))
    assert "What compression costs, against noise" in shown.text
    assert ("AUC lost to float over 2 seeds: 0.01000 ± 0.01414" in shown.text) == (not error)
    assert ("1 of 2 seeds did not come to their end" in shown.text) == bool(error)
    assert "script" not in shown.tags
    assert "What compression costs, against noise" not in page.render(facts())
