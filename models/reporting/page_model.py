"""Sections of the page on the model: stages, gates, what compression changed, slices, training."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure

from ranklite.models.evaluation.baselines import MOST_ROWS
from ranklite.models.evaluation.score_calibration import ScoreCalibration
from ranklite.models.reporting import baseline_words, gate_words, html, seed_words
from ranklite.models.reporting.facts import Scalars
from ranklite.models.reporting.metric_names import (
    ACCURACY,
    COSTS,
    METRICS,
    measured_files,
    slice_title,
    state_head,
    state_rows,
)
from ranklite.models.reporting.pictures import label, picture
from ranklite.models.reporting.tables import interval

_SMALL_CHANGE = 0.05  # a slice that loses more AUC than this is marked


def result(report: dict[str, Any]) -> str:
    """What to be careful about, and the figures of every stage with their intervals."""
    warned = "".join(f'<p class="warn">{html.text(line)}</p>' for line in report["warnings"])
    users = _users(report["evidence"]["users"])
    return warned + _stages(report) + _calibration(report) + users + _baselines(report)


def _calibration(report: dict[str, Any]) -> str:
    """What was done so that scores are probabilities."""
    learned = ScoreCalibration.from_dict(report.get("score_calibration")).text()
    return f"<p>Calibration of the shipped file: {html.text(learned)}.</p>"


def _baselines(report: dict[str, Any]) -> str:
    """What simple models reach on the same rows."""
    measured = report.get("baselines")
    if not measured:
        return ""
    note = (
        "<p>The constant is the share of positives in the train split. The others learned from the "
        f"same features, the newest {MOST_ROWS:,} rows at most. Against them: with 95 % "
        "intervals.</p>"
    )
    table = html.table([*baseline_words.HEAD], baseline_words.rows(measured))
    return f"<h3>Baselines</h3>{note}{table}"


def seeds(report: dict[str, Any], repeated: dict[str, Any]) -> str:
    """What compression costs over several seeds."""
    told = "".join(f"<p>{html.text(line)}.</p>" for line in seed_words.sentences(report, repeated))
    rows = seed_words.rows(report, repeated)
    return html.table(seed_words.head(report, repeated), rows) + told


def _users(spread: dict[str, Any] | None) -> str:
    """Whose rows GAUC is about."""
    if spread is None:
        return ""
    return (
        f"<p>GAUC is about {spread['both_labels']:,} of {spread['users']:,} users, those with both "
        f"labels, who have {spread['both_labels_share']:.1%} of the rows. The user with most rows "
        f"has {spread['largest_share']:.1%}.</p>"
    )


def _stages(report: dict[str, Any]) -> str:
    exact, *others = ACCURACY[:2], *ACCURACY[2:], *COSTS
    rows = []
    for title, figures in measured_files(report).items():
        bounds = figures.get("interval", {})
        rows.append(
            [
                title,
                *(m.text(figures.get(m.name)) + interval(bounds.get(m.name)) for m in exact),
                interval(bounds.get("auc_change"), "{:+.4f}").strip(),
                *(m.text(figures.get(m.name)) for m in others),
            ]
        )
    head = ["stage", *(m.title for m in exact), "AUC against float", *(m.title for m in others)]
    note = "<p>In brackets: 95 % intervals, users drawn with replacement (all rows of a user).</p>"
    return html.table(head, rows) + note


def gates(report: dict[str, Any]) -> str:
    """Every gate with its value, its interval, its bound and its verdict."""
    rows = [gate_words.verdict_cells(verdict) for verdict in report["verdicts"]]
    note = (
        "<p>Passed: the 95 % interval lies within the bound. FAILED: it lies beyond. Undecided: it "
        "contains the bound, or the rows are too few for one.</p>"
    )
    refused = (gate_words.FAILED, gate_words.REFUSED)
    return note + html.table([*gate_words.HEAD], rows, lambda row: row[-1] in refused)


def compression(report: dict[str, Any]) -> str:
    """Scores, curves, SQNR, and where the bytes are."""
    evidence = report["evidence"]

    def draw(figure: Figure) -> None:
        axes = figure.subplots(2, 2).flat
        pairs = evidence["score_pairs"]
        axes[0].plot([0, 1], [0, 1], color="grey", lw=0.6)
        axes[0].scatter(pairs["x"], pairs["y"], s=3, alpha=0.4, rasterized=True)
        label(axes[0], "score, float control", "score, shipped file", "Every score moved?")
        axes[1].plot([0, 1], [0, 1], color="grey", lw=0.6)
        for axis, key, x, y, name in (
            (axes[1], "calibration", "mean score", "share of positives", "Calibration"),
            (axes[2], "roc", "false positive rate", "true positive rate", "ROC"),
            (axes[3], "precision_recall", "recall", "precision", "Precision and recall"),
        ):
            for stage, curve in evidence[key].items():
                style = "o-" if key == "calibration" else "-"
                axis.plot(curve["x"], curve["y"], style, ms=3, lw=1, label=stage)
            label(axis, x, y, name)
            axis.legend(fontsize=8)

    shipped = report["stages"]["shipped"]
    rounding = html.table(
        ["layer", "SQNR, dB"],
        [[name, f"{value:.1f}"] for name, value in evidence["sqnr_db"].items()],
    )
    sizes = html.table(
        ["constant", "type", "shape", "bytes"],
        [
            [t["name"], t["dtype"], "x".join(map(str, t["shape"])), f"{t['bytes']:,}"]
            for t in evidence["tensors"][:20]
        ],
    )
    operators = html.table(
        ["operator", "times"],
        [[name, str(count)] for name, count in sorted(shipped["operators"].items())],
    )
    moved = html.table(
        ["shipped file against", "largest change of a score", "99.9 % change less than"],
        [
            [stage, f"{change['max']:.4f}", f"{change['p999']:.4f}"]
            for stage, change in evidence["score_change"].items()
        ],
    )
    others = report.get("targets", {}).values()
    if others:
        moved += html.table(
            ["file of another target", "largest difference of a score", "99.9 % less than"],
            [
                [
                    of["title"],
                    f"{of['score_change']['max']:.2g}",
                    f"{of['score_change']['p999']:.2g}",
                ]
                for of in others
            ],
        )
    return (
        picture(draw, (9, 8), "Scores, calibration, ROC and precision of float and shipped file")
        + f"<h3>Single scores</h3>{moved}"
        + (f"<h3>SQNR, layer by layer</h3>{rounding}" if evidence["sqnr_db"] else "")
        + f"<h3>Where the bytes are</h3>{sizes}{_stored(report)}"
        + f"<details><summary>Operators of the file</summary>{operators}</details>"
    )


def _stored(report: dict[str, Any]) -> str:
    """What the tables of the past take."""
    stored = report.get("state_bytes")
    if not stored:
        return ""
    return f"<p>Aggregates of the past, stored for whoever sends none: {stored:,} bytes.</p>"


def slices(report: dict[str, Any]) -> str:
    """Figures by slice, those first that lost most AUC."""
    if not report["slices"]:
        return "<p>The configuration names no user, no item and no slices.</p>"

    def lost(entry: dict[str, Any]) -> float:
        change = float(entry["float"]["auc"] - entry["shipped"]["auc"])
        return -math.inf if math.isnan(change) else change

    auc, *others = METRICS["auc"], METRICS["log_loss"], METRICS["calibration"]
    rows = [
        [
            slice_title(entry),
            f"{entry['rows']:,}",
            f"{entry['rows'] / report['rows']:.1%}",
            auc.text(entry["float"]["auc"]),
            auc.text(entry["shipped"]["auc"]),
            *(metric.text(entry["shipped"][metric.name]) for metric in others),
            "loses much" if lost(entry) > _SMALL_CHANGE else "",
        ]
        for entry in sorted(report["slices"], key=lost, reverse=True)
    ]
    titles = [f"{auc.title} float", *(f"{m.title} shipped" for m in (auc, *others))]
    head = ["slice", "rows", "share", *titles, ""]
    return html.table(head, rows)


def states(report: dict[str, Any]) -> str:
    """The shipped file by how fresh the state of the past is; empty where it reads none."""
    rows = state_rows(report)
    if not rows:
        return ""
    note = (
        "<p>What is told above is as configured. A state at each request knows the labels "
        "of the same session: compare it with nothing but itself.</p>"
    )
    return note + html.table(state_head(), rows)


def trainings(trainings: dict[str, Scalars]) -> str:
    """Validation curves of every training, by stage."""
    shown = {stage: curves for stage, curves in trainings.items() if curves}
    if not shown:
        return "<p>Nothing was trained.</p>"

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, 2)
        for axis, metric in zip(axes, (METRICS["log_loss"], METRICS["auc"]), strict=True):
            ending = f"epoch_{metric.name}"
            for stage, curves in shown.items():
                for tag, points in curves.items():
                    if tag.endswith(ending):
                        part = tag.removesuffix(ending).rstrip("/").removesuffix("validation")
                        curve = f"{stage} {part.rstrip('/')}".strip()
                        axis.plot(*zip(*points, strict=True), ".-", lw=1, label=curve)
            label(axis, "epoch", "", f"{metric.title}, validation")
            if axis.has_data():
                axis.legend(fontsize=7)

    return picture(draw, (9, 3.6), "Validation log loss and AUC of every training")
