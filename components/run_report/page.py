"""The page of a run: plain HTML with its pictures inside, no script, nothing from a network."""

from __future__ import annotations

import dataclasses
import datetime
import html
import io
import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import matplotlib
import yaml
from matplotlib.figure import Figure

from ranklite.components.run_report import markup
from ranklite.components.run_report.columns import LINE_COLORS, Column, sparkline
from ranklite.components.run_report.current import CurrentRun
from ranklite.models.evaluation.gates import cells

Scalars = dict[str, list[tuple[int, float]]]  # (step, value) by tag
_SMALL_CHANGE = 0.05  # a slice that loses more AUC than this is marked


@dataclasses.dataclass(frozen=True)
class Stopped:
    """How a run ended that did not come to its end.

    Attributes:
      stage: The one that failed.
      error: Its words.
      stages: Name, state and seconds of each, in order; None where it did not run.
      log: The failed stage's log file.
    """

    stage: str
    error: str
    stages: list[tuple[str, str, float | None]]
    log: str


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the page is made of; a section without its facts is left out.

    Attributes:
      config: The run's configuration.
      code_digest: Of the component's code.
      ingest: `report.json` of LogExampleGen; None where Beam read the log.
      report: `report.json` of FileValidator, its verdicts joined by those of the Evaluators; None
        where the run did not come that far.
      anomalies: (split, column, description) of what the data gate let pass.
      columns: What the examples hold, column by column.
      trainings: Curves of each training, by stage.
      refused_by: Nodes that did not bless the model; empty if it may be pushed.
      lineage: (id, type) of the artifacts it was made from, by input.
      commit: Of git, where it is known.
      versions: Of Python and the packages that shape a model.
      warm: Metrics of the float training that say whether and from where it started warm.
      run: Which run it is; None in a pod of Kubeflow, which is not told.
      seconds: From the run's start to the writing of the page.
      stopped: How the run ended, where that was not as it should.
    """

    config: dict[str, Any]
    code_digest: str
    ingest: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    anomalies: list[tuple[str, str, str]] | None = None
    columns: list[Column] = dataclasses.field(default_factory=list)
    trainings: dict[str, Scalars] = dataclasses.field(default_factory=dict)
    refused_by: list[str] = dataclasses.field(default_factory=list)
    lineage: dict[str, list[tuple[int, str]]] = dataclasses.field(default_factory=dict)
    commit: str | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    warm: dict[str, Any] = dataclasses.field(default_factory=dict)
    run: CurrentRun | None = None
    seconds: float | None = None
    stopped: Stopped | None = None


def render(facts: Facts) -> str:
    """The whole page."""
    report, stopped = facts.report, facts.stopped
    sections = [("Stopped", _stopped(stopped))] if stopped else []
    if report:
        sections += [
            ("Result", ("" if stopped else _verdict(facts)) + _stages(report)),
            ("Gates", _gates(report)),
            ("What compression changed", _compression(report)),
            ("Slices, what lost most first", _slices(report)),
        ]
    if report or facts.trainings:
        sections += [("Training", _trainings(facts.trainings))]
    if report or facts.ingest or facts.columns:
        sections += [("Data", _data(facts))]
    sections += [("Lineage and how to repeat it", _lineage(facts))]
    title = facts.run.title if facts.run else facts.config["name"]
    title += f", {report['split']} split" if report else ""
    return markup.document(title, ". ".join(_head(facts)), sections)


def _head(facts: Facts) -> list[str]:
    report, run = facts.report, facts.run
    said = [f"{report['rows']:,} rows, {report['positives']:,} of them positive"] if report else []
    if run and facts.seconds is not None:
        ended = "stopped" if facts.stopped else "this page written"
        later = datetime.timedelta(seconds=round(facts.seconds))
        said += [f"Started {run.started:%Y-%m-%d %H:%M} UTC, {ended} {later} later"]
    return said


def _verdict(facts: Facts) -> str:
    refused_by = markup.text(", ".join(facts.refused_by))
    return (
        f'<p class="no">Not to be pushed: refused by {refused_by}.</p>'
        if refused_by
        else '<p class="ok">Every gate passed.</p>'
    )


def _stopped(stopped: Stopped) -> str:
    """The error as it was meant: indented lines are items, such as one anomaly each."""
    first, *others = stopped.error.strip().splitlines() or [""]
    words = [f'<p class="no">{markup.text(f"{stopped.stage} failed: {first}")}</p>']
    for indented, lines in itertools.groupby(others, lambda line: line.startswith("  ")):
        shown = [markup.text(line.strip()) for line in lines if line.strip()]
        if indented:
            words.append(f"<ul>{''.join(f'<li>{line}</li>' for line in shown)}</ul>")
        else:
            words += [f"<p>{line}</p>" for line in shown]
    stages = markup.table(
        ["stage", "state", "seconds"],
        [
            [name, state, markup.number(seconds, "{:.1f}")]
            for name, state, seconds in stopped.stages
        ],
        lambda row: row[0] == stopped.stage,
    )
    log = f"<p>The log of this stage is <code>{markup.text(stopped.log)}</code>.</p>"
    return "".join(words) + stages + log


def _stages(report: dict[str, Any]) -> str:
    rows = []
    for stage, figures in report["stages"].items():
        interval = figures.get("interval", {})
        rows.append(
            [
                stage.replace("_", " "),
                *(
                    markup.number(figures.get(key), form) + markup.interval(interval.get(key))
                    for key, form in (("auc", "{:.4f}"), ("log_loss", "{:.4f}"))
                ),
                markup.interval(interval.get("auc_change"), "{:+.4f}").strip(),
                *(
                    markup.number(figures.get(key), form)
                    for key, form in (
                        ("calibration", "{:.3f}"),
                        ("gauc", "{:.4f}"),
                        ("ndcg_at_10", "{:.4f}"),
                        ("bytes", "{:,}"),
                        ("gzip_bytes", "{:,}"),
                        ("latency_1_us", "{:.2f}"),
                        ("latency_512_us", "{:.2f}"),
                    )
                ),
            ]
        )
    head = ["stage", "AUC", "log loss", "AUC against float", "calibration", "GAUC", "NDCG@10"]
    head += ["bytes", "gzipped", "us/row, batch 1", "us/row, batch 512"]
    note = "<p>In brackets: 95 % intervals, users drawn with replacement (all rows of a user).</p>"
    return markup.table(head, rows) + note


def _gates(report: dict[str, Any]) -> str:
    rows = [cells(verdict) for verdict in report["verdicts"]]
    return markup.table(["gate", "value", "bound", ""], rows, lambda row: row[-1] == "FAILED")


def _compression(report: dict[str, Any]) -> str:
    evidence = report["evidence"]

    def draw(figure: Figure) -> None:
        axes = figure.subplots(2, 2).flat
        pairs = evidence["score_pairs"]
        axes[0].plot([0, 1], [0, 1], color="grey", lw=0.6)
        axes[0].scatter(pairs["x"], pairs["y"], s=3, alpha=0.4, rasterized=True)
        _label(axes[0], "score, float control", "score, shipped file", "Every score moved?")
        axes[1].plot([0, 1], [0, 1], color="grey", lw=0.6)
        for axis, key, x, y, name in (
            (axes[1], "calibration", "mean score", "share of positives", "Calibration"),
            (axes[2], "roc", "false positive rate", "true positive rate", "ROC"),
            (axes[3], "precision_recall", "recall", "precision", "Precision and recall"),
        ):
            for stage, curve in evidence[key].items():
                style = "o-" if key == "calibration" else "-"
                axis.plot(curve["x"], curve["y"], style, ms=3, lw=1, label=stage)
            _label(axis, x, y, name)
            axis.legend(fontsize=8)

    shipped = report["stages"]["shipped"]
    rounding = markup.table(
        ["layer", "signal to rounding noise, dB"],
        [[name, f"{value:.1f}"] for name, value in evidence["rounding_db"].items()],
    )
    sizes = markup.table(
        ["constant", "type", "shape", "bytes"],
        [
            [t["name"], t["dtype"], "x".join(map(str, t["shape"])), f"{t['bytes']:,}"]
            for t in evidence["tensors"][:20]
        ],
    )
    operators = markup.table(
        ["operator", "times"],
        [[name, str(count)] for name, count in sorted(shipped["operators"].items())],
    )
    moved = markup.table(
        ["shipped file against", "largest change of a score", "99.9 % change less than"],
        [
            [stage, f"{change['max']:.4f}", f"{change['p999']:.4f}"]
            for stage, change in evidence["score_change"].items()
        ],
    )
    return (
        _picture(draw, (9, 8), "Scores, calibration, ROC and precision of float and shipped file")
        + f"<h3>Single scores</h3>{moved}"
        + (f"<h3>Rounding, layer by layer</h3>{rounding}" if evidence["rounding_db"] else "")
        + f"<h3>Where the bytes are</h3>{sizes}"
        + f"<details><summary>Operators of the file</summary>{operators}</details>"
    )


def _slices(report: dict[str, Any]) -> str:
    if not report["slices"]:
        return "<p>The configuration names no user, no item and no slices.</p>"

    def lost(entry: dict[str, Any]) -> float:
        change = float(entry["float"]["auc"] - entry["shipped"]["auc"])
        return -math.inf if math.isnan(change) else change

    rows = [
        [
            f"{entry['column'].removeprefix('slice_')} = {entry['value'] or '(missing)'}",
            f"{entry['rows']:,}",
            f"{entry['rows'] / report['rows']:.1%}",
            markup.number(entry["float"]["auc"], "{:.4f}"),
            markup.number(entry["shipped"]["auc"], "{:.4f}"),
            markup.number(entry["shipped"]["log_loss"], "{:.4f}"),
            "loses much" if lost(entry) > _SMALL_CHANGE else "",
        ]
        for entry in sorted(report["slices"], key=lost, reverse=True)
    ]
    head = ["slice", "rows", "share", "AUC float", "AUC shipped", "log loss shipped", ""]
    return markup.table(head, rows)


def _trainings(trainings: dict[str, Scalars]) -> str:
    shown = {stage: curves for stage, curves in trainings.items() if curves}
    if not shown:
        return "<p>Nothing was trained.</p>"

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, 2)
        for axis, ending, name in (
            (axes[0], "epoch_log_loss", "log loss, validation"),
            (axes[1], "epoch_auc", "AUC, validation"),
        ):
            for stage, curves in shown.items():
                for tag, points in curves.items():
                    if tag.endswith(ending):
                        part = tag.removesuffix(ending).rstrip("/").removesuffix("validation")
                        label = f"{stage} {part.rstrip('/')}".strip()
                        axis.plot(*zip(*points, strict=True), ".-", lw=1, label=label)
            _label(axis, "epoch", "", name)
            if axis.has_data():
                axis.legend(fontsize=7)

    return _picture(draw, (9, 3.6), "Validation log loss and AUC of every training")


def _data(facts: Facts) -> str:
    shown = [
        _log(facts.ingest) if facts.ingest else "<p>Beam read the log, and reports no files.</p>"
    ]
    if facts.anomalies:
        shown += [markup.table(["split", "column", "anomaly"], facts.anomalies)]
    elif facts.anomalies is not None:
        shown += ["<p>No anomalies against the schema.</p>"]
    if facts.columns:
        shown += [_columns(facts.columns)]
    if facts.report:
        shown += [_coverage(facts.report)]
    return "".join(shown)


def _coverage(report: dict[str, Any]) -> str:
    fields = markup.table(
        ["feature", "values known", "not seen in training", "missing"],
        [
            [name, f"{f['vocabulary']:,}", f"{f['unseen']:.1%}", f"{f['missing']:.1%}"]
            for name, f in report["evidence"]["unseen"].items()
        ],
    )
    return f"<h3>Coverage on the {markup.text(report['split'])} split</h3>{fields}"


def _columns(columns: list[Column]) -> str:
    splits = list(columns[0].missing)
    head = ["column", "schema", *(f"missing, {split}" for split in splits), "values", ""]
    note = f"<p>Bars: {markup.text(splits[0])}" + "".join(
        f'; <span style="color:{color}">line: {markup.text(split)}</span>'
        for split, color in zip(splits[1:], LINE_COLORS, strict=False)
    )
    rows = [
        [
            markup.text(column.name),
            markup.text(column.kind),
            *(markup.number(column.missing.get(split), "{:.1%}") for split in splits),
            markup.text(column.typical),
            sparkline(column.bars),
        ]
        for column in columns
    ]
    return f"<h3>Columns</h3>{note}.</p>{markup.table(head, rows, escaped=True)}"


def _log(ingest: dict[str, Any]) -> str:
    splits = markup.table(
        ["split", "rows", "positive", "users", "items", "from", "to"],
        [
            [
                name,
                markup.number(split["rows"], "{:,}"),
                f"{split['positives'] / max(1, split['rows']):.1%}",
                markup.number(split["users"], "{:,}"),
                markup.number(split["items"], "{:,}"),
                markup.time(split["first_time"]),
                markup.time(split["last_time"]),
            ]
            for name, split in ingest["splits"].items()
        ],
    )
    files = markup.table(
        ["file", "bytes", "SHA-256"],
        [[f["name"], f"{f['bytes']:,}", f["sha256"]] for f in ingest["files"]],
    )
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in ingest["rejected"].items())
    said = f"{sum(ingest['rejected'].values()):,} rows could not be read"
    said += f" ({reasons})." if reasons else "."
    if spans := ingest.get("spans"):
        said += f" Spans {spans[0]} to {spans[-1]}."
    return f"{splits}<p>{markup.text(said)}</p><h3>Files</h3>{files}"


def _lineage(facts: Facts) -> str:
    made_from = markup.table(
        ["made from", "artifacts in ML Metadata"],
        [
            [key, ", ".join(f"{kind} {number}" for number, kind in artifacts)]
            for key, artifacts in facts.lineage.items()
        ],
    )
    # With what is null: a gate is switched off by it.
    config = html.escape(yaml.safe_dump(facts.config, sort_keys=False, allow_unicode=True))
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    commit = f"commit {facts.commit}, " if facts.commit else ""
    return (
        f"<p>Code: {markup.text(commit)}digest {markup.text(facts.code_digest[:16])}. "
        f"Versions: {markup.text(versions)}.</p>{_repeat(facts)}"
        f"<details><summary>Configuration</summary><pre>{config}</pre></details>"
        f"{made_from if facts.lineage else ''}"
    )


def _repeat(facts: Facts) -> str:
    """The command, and what it starts from."""
    spans = (facts.ingest or {}).get("spans")
    span = f" --span {spans[-1]}" if spans else ""
    command = f"ranklite run --config run.yaml --data FOLDER{span}"
    makes = "repeats the run" if facts.stopped else "makes the same model"
    if parent := facts.warm.get("parent"):
        makes = (
            "trains it from other weights, unless the model pushed last is its parent: the float "
            f"training started from {parent['folder']}, whose model.h5 has the SHA-256 "
            f"{parent['sha256']}"
        )
    elif "warm_started" in facts.warm:
        makes += ", as long as nothing was pushed before, for training started from scratch"
    return (
        "<p>Save the configuration below as <code>run.yaml</code>; with the files above, the same "
        f"code, versions and seed, <code>{markup.text(command)}</code> {markup.text(makes)}.</p>"
    )


def _picture(draw: Callable[[Figure], None], size: tuple[float, float], text: str) -> str:
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ranklite"}):
        figure = Figure(figsize=size, dpi=110, layout="tight")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    return f'<figure role="img" aria-label="{markup.text(text)}">{drawing}</figure>'


def _label(axis: Any, x: str, y: str, title: str) -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.set_title(title, fontsize=10)
    axis.grid(visible=True, alpha=0.3)


def summary(report: dict[str, Any], config: dict[str, Any]) -> str:
    """Configuration and gates in Markdown, for TensorBoard's text tab."""
    gates = "\n".join(f"| {' | '.join(cells(v))} |" for v in report["verdicts"])
    indented = "\n".join(f"    {line}" for line in json.dumps(config, indent=2).splitlines())
    return f"| gate | value | bound | |\n|---|---|---|---|\n{gates}\n\n{indented}"
