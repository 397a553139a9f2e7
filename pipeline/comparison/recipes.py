"""Compares the recipes of a search: a table, and a plot of accuracy against bytes and time."""

from __future__ import annotations

import base64
import io
import json
import os
from typing import Any

from ranklite.components import artifact_json
from ranklite.components.artifact_json import TRIALS_FILE
from ranklite.models.files import write
from ranklite.models.reporting import html
from ranklite.models.reporting.metric_names import METRICS
from ranklite.models.reporting.tables import table
from ranklite.pipeline.local.runner import Outcome

_COLUMNS = tuple(
    METRICS[name]
    for name in ("auc", "log_loss", "bytes", "gzip_bytes", "latency_1_us", "latency_512_us")
)
_AXES = (("bytes", "bytes of the file"), ("latency_512_us", "microseconds a row, batch of 512"))

_FEW = 8  # so many trials are all labelled; of more only the front

Trials = dict[str, Any]

_FRONT = "* no other recipe is better in AUC, bytes and latency at once."


def load_trials(outcome: Outcome) -> Trials:
    """What the search of a run wrote.

    Raises:
      FileNotFoundError: The run had no search, or did not come so far.
    """
    stage = outcome.stages.get("BudgetSearch")
    folder = stage.folder("trials") if stage else None
    if folder is None:
        raise FileNotFoundError(
            f"the last run of {outcome.config.name!r} has no finished search: give its "
            "configuration `compression: {budget: ...}` and run it"
        )
    return artifact_json.read(folder, TRIALS_FILE)


def _rows(trials: Trials) -> list[list[str]]:
    """A row a trial, the most accurate first, those that did not fit the model last."""
    rows = []
    ordered = sorted(trials["trials"], key=lambda trial: -trial["figures"].get("auc", -1.0))
    for trial in ordered:
        mark = "*" if trial["name"] in trials["front"] else ""
        if trial["name"] == trials["chosen"]:
            mark += " chosen" if not trials["miss"] else " nearest"
        figures = [
            metric.text(trial["figures"].get(metric.name), precise=True) for metric in _COLUMNS
        ]
        rows.append([trial["name"], *figures, mark.strip()])
    return rows


def render(trials: Trials) -> str:
    """The table for the terminal."""
    head = ["recipe (validation split)", *(metric.title for metric in _COLUMNS), "* Pareto"]
    lines = [table(head, _rows(trials))]
    lines += [f"{t['name']}: {t['error']}" for t in trials["trials"] if t["error"]]
    lines += [
        f"{t['name']} would not pass: {'; '.join(t['fails'])}"
        for t in trials["trials"]
        if t.get("fails")
    ]
    if trials["miss"]:
        lines += ["", trials["miss"]]
    return "\n".join(lines)


def draw(trials: Trials, folder: str, title: str) -> list[str]:
    """Writes `compare.png` and a self-contained `compare.html` into a folder.

    Returns:
      Their paths.
    """
    image = _plot(trials, title)
    page = html.document(f"{title}: recipes", trials["miss"] or _FRONT, _sections(trials, image))
    return [
        write(os.path.join(folder, "compare.png"), image),
        write(os.path.join(folder, "compare.html"), page.encode()),
    ]


def _sections(trials: Trials, image: bytes) -> list[tuple[str, str]]:
    encoded = base64.b64encode(image).decode()
    picture = (
        '<figure><img alt="AUC against bytes and latency of every recipe" '
        f'src="data:image/png;base64,{encoded}"></figure>'
    )
    figures = html.table(["recipe", *(metric.title for metric in _COLUMNS), ""], _rows(trials))
    steps = "".join(
        f"<h3>{html.text(trial['name'])}</h3>"
        f"<pre>{html.text(json.dumps(trial['steps'], indent=1))}</pre>"
        f"{html.text(trial['error'] or '; '.join(trial.get('fails', ())))}"
        for trial in trials["trials"]
    )
    return [("What accuracy costs", picture + figures), ("Steps", steps)]


def _plot(trials: Trials, title: str) -> bytes:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    measured = [trial for trial in trials["trials"] if trial["figures"]]
    shown = {trials["chosen"], *trials["front"]}
    if len(measured) <= _FEW:
        shown = {trial["name"] for trial in measured}
    named = sorted(
        (trial for trial in measured if trial["name"] in shown),
        key=lambda trial: float(trial["figures"]["bytes"]),
    )
    numbers = {trial["name"]: str(number) for number, trial in enumerate(named, 1)}
    figure, (*axes, names) = pyplot.subplots(
        1, len(_AXES) + 1, figsize=(12, 4.5), dpi=120, width_ratios=[3] * len(_AXES) + [2]
    )
    best = [trial["figures"]["auc"] for trial in named]
    floor = min(best) - max(0.002, max(best) - min(best))
    for axis, (key, label) in zip(axes, _AXES, strict=True):
        for trial in measured:
            front = trial["name"] in trials["front"]
            chosen = trial["name"] == trials["chosen"]
            x, y = trial["figures"][key], max(floor, trial["figures"]["auc"])
            axis.scatter(
                x,
                y,
                s=90 if chosen else 40,
                marker="*" if chosen else "o" if y > floor else "v",
                color="tab:red" if chosen else "tab:blue" if front else "lightgrey",
                zorder=3 if front or chosen else 2,
            )
            above = int(numbers.get(trial["name"], "0")) % 2 == 0  # neighbours often touch
            axis.annotate(
                numbers.get(trial["name"], ""),
                (x, y),
                fontsize=8,
                xytext=(0, 6 if above else -13),
                ha="center",
                textcoords="offset points",
            )
        axis.set_xlabel(label)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.12g}")
        axis.tick_params(axis="x", labelsize=7, labelrotation=30)
        axis.margins(0.08, 0.12)
        axis.grid(visible=True, alpha=0.3)
    axes[0].set_ylabel("AUC, validation split")
    names.axis("off")
    legend = [f"{number:>2}  {name.replace('__', ' + ')}" for name, number in numbers.items()]
    names.text(0, 1, "\n".join(legend), fontsize=8, va="top", family="monospace")
    figure.suptitle(
        f"{title}: what accuracy costs (blue: no other recipe is better in everything; "
        "star: chosen; triangles lie below)",
        fontsize=10,
    )
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    pyplot.close(figure)
    return buffer.getvalue()
