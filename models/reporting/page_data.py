"""Sections of the page on what a model was made from: data, code, configuration, lineage."""

from __future__ import annotations

import html as escaping
from typing import Any

import numpy as np
import yaml

from ranklite.models.reporting import html, training_words
from ranklite.models.reporting.columns import LINE_COLORS, Column, sparkline
from ranklite.models.reporting.facts import Facts
from ranklite.models.reporting.metric_names import METRICS
from ranklite.models.reporting.tables import number, utc_time


def data(facts: Facts) -> str:
    """The log, anomalies, columns, and the coverage of the judged split."""
    shown = [_log(facts.ingest) if facts.ingest else "<p>There is no report on the log.</p>"]
    if facts.anomalies:
        shown += [html.table(["split", "column", "anomaly"], facts.anomalies)]
    elif facts.anomalies is not None:
        shown += ["<p>No anomalies against the schema.</p>"]
    if facts.columns:
        shown += [_columns(facts.columns)]
    if facts.report:
        shown += [_coverage(facts.report), _alone(facts.report)]
    return "".join(shown)


def _coverage(report: dict[str, Any]) -> str:
    fields = html.table(
        ["feature", "values known", "OOV", "missing"],
        [
            [name, f"{f['vocabulary']:,}", f"{f['unseen']:.1%}", f"{f['missing']:.1%}"]
            for name, f in report["evidence"]["unseen"].items()
        ],
    )
    return f"<h3>Coverage on the {html.text(report['split'])} split</h3>{fields}"


def _alone(report: dict[str, Any]) -> str:
    """AUC of each column by itself, the one that says most first."""
    measured = report["evidence"]["single_feature_auc"]
    auc = METRICS["auc"]
    ordered = sorted(measured["judged"].items(), key=lambda one: -np.nan_to_num(one[1]))
    shown = html.table(
        ["feature", f"{auc.title}, train", f"{auc.title}, {report['split']}"],
        [[name, auc.text(measured["train"][name]), auc.text(value)] for name, value in ordered],
    )
    return f"<h3>Each feature alone</h3>{shown}"


def _columns(columns: list[Column]) -> str:
    splits = list(columns[0].missing)
    head = ["column", "schema", *(f"missing, {split}" for split in splits), "values", ""]
    note = f"<p>Bars: {html.text(splits[0])}" + "".join(
        f'; <span style="color:{color}">line: {html.text(split)}</span>'
        for split, color in zip(splits[1:], LINE_COLORS, strict=False)
    )
    rows = [
        [
            html.text(column.name),
            html.text(column.kind),
            *(number(column.missing.get(split), "{:.1%}") for split in splits),
            html.text(column.typical),
            sparkline(column.bars),
        ]
        for column in columns
    ]
    return f"<h3>Columns</h3>{note}.</p>{html.table(head, rows, escaped=True)}"


def _log(ingest: dict[str, Any]) -> str:
    splits = html.table(
        ["split", "rows", "positive", "users", "items", "from", "to"],
        [
            [
                name,
                number(split["rows"], "{:,}"),
                f"{split['positives'] / max(1, split['rows']):.1%}",
                number(split["users"], "{:,}"),
                number(split["items"], "{:,}"),
                utc_time(split["first_time"]),
                utc_time(split["last_time"]),
            ]
            for name, split in ingest["splits"].items()
        ],
    )
    files = html.table(
        ["file", "bytes", "SHA-256"],
        [[f["name"], f"{f['bytes']:,}", f["sha256"]] for f in ingest["files"]],
    )
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in ingest["rejected"].items())
    unread = f"{sum(ingest['rejected'].values()):,} rows could not be read"
    unread += f" ({reasons})." if reasons else "."
    if spans := ingest.get("spans"):
        unread += f" Spans {spans[0]} to {spans[-1]}."
    if past := ingest.get("past"):
        unread += f" The past begins at {utc_time(past['first_time'])}"
        if earlier := ingest["earlier_spans"]:
            unread += (
                f": {past['rows_before']:,} rows of the spans {earlier[0]} to {earlier[-1]} are "
                "no part of the splits, and the past of what is"
            )
        unread += "."
    return f"{splits}<p>{html.text(unread)}</p><h3>Files</h3>{files}"


def lineage(facts: Facts) -> str:
    """Code, versions and artifacts, the command that repeats the run, its configuration."""
    made_from = html.table(
        ["made from", "artifacts in ML Metadata"],
        [
            [key, ", ".join(f"{kind} {number}" for number, kind in artifacts)]
            for key, artifacts in facts.lineage.items()
        ],
    )
    # With what is null: a gate is switched off by it.
    config = escaping.escape(yaml.safe_dump(facts.config, sort_keys=False, allow_unicode=True))
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    commit = f"commit {facts.commit}, " if facts.commit else ""
    return (
        f"<p>Code: {html.text(commit)}digest {html.text(facts.code_digest[:16])}. "
        f"Versions: {html.text(versions)}.</p>{_repeat(facts)}{_chosen(facts)}"
        f"<details><summary>Configuration</summary><pre>{config}</pre></details>"
        f"{made_from if facts.lineage else ''}"
    )


def _chosen(facts: Facts) -> str:
    """The settings that followed the data."""
    chosen = training_words.chosen(facts.warm, facts.config)
    return f"<p>Chosen by the data:</p><pre>{html.text(chosen)}</pre>" if chosen else ""


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
    if facts.config.get("tune"):
        makes += (
            ", as long as its search for settings chooses the same: it does not search with what "
            "was chosen in place of tune"
        )
    return (
        "<p>Save the configuration below as <code>run.yaml</code>; with the files above, the same "
        f"code, versions and seed, <code>{html.text(command)}</code> {html.text(makes)}.</p>"
    )
