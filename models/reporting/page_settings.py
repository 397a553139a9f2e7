"""The section of the page on a search for settings."""

from __future__ import annotations

from typing import Any

from ranklite.models.reporting import html, training_words
from ranklite.models.reporting.metric_names import METRICS
from ranklite.models.reporting.tables import number


def settings(trials: dict[str, Any]) -> str:
    """What the search came to, and every trial, the best first and what did not end last.

    Args:
      trials: `trials.json` of SettingsSearch.
    """
    auc, log_loss = METRICS["auc"], METRICS["log_loss"]
    tried = list(enumerate(trials["trials"]))
    ordered = sorted(tried, key=lambda one: -one[1]["figures"].get("auc", -1.0))
    rows = [
        [
            str(place + 1) + (" configured" if place == 0 else ""),
            "chosen" if place == trials["chosen"] else trial["error"] or trial["state"],
            auc.text(trial["figures"].get("auc")),
            log_loss.text(trial["figures"].get("log_loss")),
            number(trial["figures"].get("epochs"), "{:.0f}"),
            number(trial["seconds"], "{:.1f}"),
            ", ".join(f"{key} {value}" for key, value in trial["settings"].items()),
        ]
        for place, trial in ordered
    ]
    head = [
        "trial",
        "",
        f"{auc.title}, validation",
        log_loss.title,
        "epochs",
        "seconds",
        "settings",
    ]
    sentence = html.text(training_words.searched(trials))
    return f"<p>{sentence}.</p>{html.table(head, rows, lambda row: row[1] == 'chosen')}"
