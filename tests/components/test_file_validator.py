"""The verdicts on a file, each shown to fail where it should."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ranklite.components.file_validator import validation
from ranklite.models.evaluation.accuracy import file_verdicts
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.export import export_target
from ranklite.models.features.examples import as_sparse
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout

SHIPPED = {
    "auc": 0.80,
    "gauc": 0.70,
    "ndcg_at_10": 0.60,
    "log_loss": 0.40,
    "calibration": 1.0,
    "operators": {"GATHER": 2, "FULLY_CONNECTED": 3},
    "bytes": 1000,
    "gzip_bytes": 600,
    "latency_1_us": 5.0,
    "latency_512_us": 1.0,
    "integer_share": 0.9,
}
PARENT = {
    **SHIPPED,
    "auc": 0.801,
    "gauc": 0.701,
    "ndcg_at_10": 0.601,
    "log_loss": 0.399,
    "integer_share": 0.0,
}
SCORES = np.linspace(0.1, 0.9, 1000)
LIMITS = GatesConfig(
    min_auc=0.75,
    min_gauc=0.65,
    min_ndcg_at_10=0.55,
    max_gauc_drop=0.005,
    max_ndcg_at_10_drop=0.01,
    max_log_loss=0.5,
    max_bytes=1000,
    max_gzip_bytes=600,
    max_latency_1_us=6,
    max_latency_512_us=2,
    max_score_change=0.1,
    max_score_change_p999=0.05,
)


def failed(
    gates: GatesConfig = LIMITS,
    scores: Any = SCORES,
    keras: Any = SCORES,
    parent_scores: Any = SCORES,
    raw_difference: float = 0.0,
    quantized: bool = True,
    **shipped: Any,
) -> set[str]:
    """Names of the gates that do not pass."""
    figures = {**SHIPPED, **shipped}
    verdicts = file_verdicts(gates, figures, PARENT)  # of estimates, as a search judges them
    verdicts += validation.judge(
        gates,
        figures,
        scores,
        parent_scores,
        keras,
        raw_difference,
        distinct_rows=len(SCORES),
        quantized=quantized,
        target=export_target("tflite"),
    )
    return {verdict.name for verdict in verdicts if not verdict.passed}


def test_a_good_file_passes_everything() -> None:
    assert failed() == set()


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"auc": 0.74}, "AUC"),
        ({"auc": float("nan")}, "AUC"),
        ({"auc": 0.795}, "AUC lost to float"),
        ({"gauc": 0.64}, "GAUC"),
        ({"gauc": float("nan")}, "GAUC"),
        ({"gauc": 0.695}, "GAUC lost to float"),
        ({"gauc": float("nan")}, "GAUC lost to float"),
        ({"ndcg_at_10": 0.54}, "NDCG@10"),
        ({"ndcg_at_10": 0.590}, "NDCG@10 lost to float"),
        ({"log_loss": 0.6}, "log loss"),
        ({"log_loss": 0.43}, "log loss added to float"),
        ({"calibration": 0.4}, "calibration"),
        ({"calibration": 2.1}, "calibration"),
        ({"bytes": 1001}, "bytes"),
        ({"gzip_bytes": 601}, "gzipped"),
        ({"latency_1_us": 7.0}, "us/row, batch 1"),
        ({"latency_512_us": 3.0}, "us/row, batch 512"),
        ({"integer_share": 0.2}, "integer share"),
        ({"operators": {"FlexCholesky": 1}}, "plain TFLite operators"),
        ({"raw_difference": 0.01}, "score raw against ids"),
        ({"keras": SCORES + 0.06}, "score against Keras"),
        ({"scores": np.full(1000, 0.5), "keras": np.full(1000, 0.5)}, "distinct scores"),
        ({"parent_scores": SCORES + 0.06}, "score change, 99.9 %"),
        ({"parent_scores": SCORES + 0.2}, "largest score change"),
    ],
)
def test_each_gate_can_fail(change: dict[str, Any], gate: str) -> None:
    assert gate in failed(**change)


def test_without_users_their_gates_are_off_or_fail() -> None:
    by_user = {"GAUC", "GAUC lost to float", "NDCG@10", "NDCG@10 lost to float"}
    figures = {key: value for key, value in SHIPPED.items() if key not in ("gauc", "ndcg_at_10")}
    off = {"min_auc": 0.75, "max_auc_drop": 0.005}
    judged = file_verdicts(GatesConfig.model_validate(off), figures, figures)
    assert not by_user & {verdict.name for verdict in judged}
    judged = file_verdicts(LIMITS, figures, figures)
    assert {verdict.name for verdict in judged if not verdict.passed} == by_user


def test_a_float_file_needs_no_int8() -> None:
    assert failed(quantized=False, integer_share=0.0) == set()


def test_slices_by_hand() -> None:
    labels = np.array([1.0, 0.0, 1.0, 0.0])
    scores = {"float": np.array([0.9, 0.1, 0.2, 0.8]), "shipped": np.array([0.9, 0.1, 0.8, 0.2])}
    result = validation.slices({"slice_user": np.array(["a", "a", "b", "b"])}, labels, scores)
    assert [(s["value"], s["rows"], s["float"]["auc"], s["shipped"]["auc"]) for s in result] == [
        ("a", 2, 1.0, 1.0),
        ("b", 2, 0.0, 1.0),
    ]


def test_rows_with_gaps_miss_and_invent_each_feature() -> None:
    features = FeatureSet.model_validate(
        {
            "features": [
                {"kind": "categorical", "name": "user"},
                {"kind": "categorical", "name": "item", "dtype": "int64"},
                {"kind": "numeric", "name": "price"},
            ]
        }
    )
    raw = {
        "user": np.array([b"u"] * 12, np.object_),
        "item": np.arange(12),
        "price": np.ones(12, np.float32),
    }
    made = validation.raw_rows_with_gaps(raw, features.raw_columns)
    assert {b"", b"\x02never seen"} <= set(made["user"])
    assert {-(2**63), 2**62} <= set(made["item"])
    assert np.isnan(made["price"]).sum() == 2
    assert (raw["user"] == b"u").all()
    sparse = as_sparse(made, features.raw_columns)
    assert sparse["user"].indices.shape[0] == 12 - sum(made["user"] == b"")
    assert sparse["price"].indices.shape[0] == 10


def test_single_scores_are_told_whether_gated_or_not() -> None:
    labels = np.array([0.0, 1.0] * 500)
    moved = SCORES.copy()
    moved[7] += 0.4
    scores = {"float": SCORES, "control": SCORES + 0.01, "shipped": moved}
    result = validation.evidence(labels, scores)["score_change"]
    assert result["float"] == {"max": pytest.approx(0.4), "p999": pytest.approx(0.0, abs=1e-3)}
    assert result["control"]["max"] == pytest.approx(0.39)
    assert set(
        validation.evidence(labels, {"float": SCORES, "shipped": moved})["score_change"]
    ) == {"float"}


class Rounding:
    """A file whose scores are rounded to hundredths, as integers round them."""

    def __init__(self, wrong: float) -> None:
        self.wrong = wrong

    def score(self, inputs: dict[str, Any], signature: str = "serving_default") -> Any:
        numbers = inputs["numeric"][:, 0]
        if signature == "serving_raw":
            numbers = numbers + np.float32(1e-7)
            numbers[5] += self.wrong
        return np.round(numbers, 2).astype(np.float32)


@pytest.mark.parametrize(("wrong", "difference"), [(0.0, 0.0), (0.3, 0.29)])
def test_the_last_bits_of_numbers_are_no_difference(wrong: float, difference: float) -> None:
    numbers = np.linspace(0, 1, 801, dtype=np.float32)[:, None]  # half of them lie between two
    rows = {"numeric": numbers}
    model: Any = Rounding(wrong)
    plain = np.abs(model.score(rows, "serving_raw") - model.score(rows))
    assert np.sum(plain > 0.005) > 10
    assert validation.raw_against_ids(model, rows, rows) == pytest.approx(difference, abs=0.011)


def test_rows_with_values_that_are_taken_for_others_are_known() -> None:
    class Encoder:
        def mistaken(self, name: str, words: list[str], values: Any) -> Any:
            return np.isin(values.astype(str), words[1:])

    model: Any = SimpleNamespace(encoder=Encoder())
    raw = {
        "user": np.array([b"a", b"b", b"c"], object),
        "seen": np.array([[b"x", b"x"], [b"x", b"z"], [b"z", b"y"]], object),
        "price": np.zeros(3, np.float32),
    }
    words = {"user": ["a", "b"], "seen": ["x", "y"]}
    assert validation.taken_for_others(model, words, raw).tolist() == [False, True, True]
    model.encoder = None
    assert not validation.taken_for_others(model, words, raw).any()
    assert validation.raw_against_ids(model, {"user": raw["user"][:0]}, {}) == 0


def test_a_feature_that_is_unknown_in_nearly_all_rows_is_named() -> None:
    layout = FeatureLayout.build([("user", 1, 3), ("item", 1, 3), ("tags", 2, 2)], [])
    user, item, tags = layout.fields
    rows = [[user.oov_row, item.offset + 2, tags.offset + 2, 0]] * 99
    rows.append([user.oov_row, item.missing_row, tags.oov_row, 0])
    ids = np.array(rows)
    [verdict] = validation.known_values(0.99, ids, layout, "user")
    assert (verdict.passed, verdict.value, verdict.detail) == (True, 0.01, "")
    [verdict] = validation.known_values(0.99, ids, layout, None)
    assert not verdict.passed
    assert verdict.detail.startswith("user: its values are other ones than in training")
    assert validation.known_values(None, ids, layout, None) == []
