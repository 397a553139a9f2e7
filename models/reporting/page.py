"""The page of a run: plain HTML with its pictures inside, no script, nothing from a network."""

from __future__ import annotations

import datetime
import itertools

from ranklite.models.reporting import gate_words, html, page_data, page_model, page_settings
from ranklite.models.reporting.facts import Facts, StoppedRun
from ranklite.models.reporting.tables import number


def render(facts: Facts) -> str:
    """The whole page."""
    report, stopped = facts.report, facts.stopped
    sections = [("Stopped", _stopped(stopped))] if stopped else []
    if report:
        sections += [
            ("Result", ("" if stopped else _verdict(facts)) + page_model.result(report)),
            ("Gates", page_model.gates(report)),
            ("What compression changed", page_model.compression(report)),
            ("Slices, what lost most first", page_model.slices(report)),
        ]
        if facts.seeds:
            sections += [
                ("What compression costs, against noise", page_model.seeds(report, facts.seeds))
            ]
        past = page_model.states(report)
        sections += [("How fresh the past is, and what that costs", past)] if past else []
    if facts.settings_trials:
        sections += [("Search for settings", page_settings.settings(facts.settings_trials))]
    if report or facts.trainings:
        sections += [("Training", page_model.trainings(facts.trainings))]
    if report or facts.ingest or facts.columns:
        sections += [("Data", page_data.data(facts))]
    sections += [("Lineage and how to repeat it", page_data.lineage(facts))]
    title = facts.run.title if facts.run else facts.config["name"]
    title += f", {report['split']} split" if report else ""
    return html.document(title, ". ".join(_head(facts)), sections)


def _head(facts: Facts) -> list[str]:
    report, run = facts.report, facts.run
    parts = [f"{report['rows']:,} rows, {report['positives']:,} of them positive"] if report else []
    if run and facts.seconds is not None:
        ended = "stopped" if facts.stopped else "this page written"
        later = datetime.timedelta(seconds=round(facts.seconds))
        parts += [f"Started {run.started:%Y-%m-%d %H:%M} UTC, {ended} {later} later"]
    return parts


def _verdict(facts: Facts) -> str:
    """Whether it may be pushed; if not why, else how sure that is."""
    verdicts = (facts.report or {}).get("verdicts", [])
    if facts.refused_by:
        because = "".join(f"<li>{html.text(line)}</li>" for line in gate_words.refusals(verdicts))
        refused_by = html.text(", ".join(facts.refused_by))
        listed = f"<ul>{because}</ul>" if because else ""
        return f'<p class="no">Not to be pushed: refused by {refused_by}.</p>{listed}'
    undecided = sum(bool(verdict.get("undecided")) for verdict in verdicts)
    if undecided:
        return f'<p class="ok">No gate failed, {undecided} undecided.</p>'
    return '<p class="ok">Every gate passed.</p>'


def _stopped(stopped: StoppedRun) -> str:
    """The error as it was meant: indented lines are items, such as one anomaly each."""
    first, *others = stopped.error.strip().splitlines() or [""]
    words = [f'<p class="no">{html.text(f"{stopped.stage} failed: {first}")}</p>']
    for indented, lines in itertools.groupby(others, lambda line: line.startswith("  ")):
        shown = [html.text(line.strip()) for line in lines if line.strip()]
        if indented:
            words.append(f"<ul>{''.join(f'<li>{line}</li>' for line in shown)}</ul>")
        else:
            words += [f"<p>{line}</p>" for line in shown]
    stages = html.table(
        ["stage", "state", "seconds"],
        [[name, state, number(seconds, "{:.1f}")] for name, state, seconds in stopped.stages],
        lambda row: row[0] == stopped.stage,
    )
    log = f"<p>The log of this stage is <code>{html.text(stopped.log)}</code>.</p>"
    return "".join(words) + stages + log
