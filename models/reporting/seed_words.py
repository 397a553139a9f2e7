"""What a person reads of several seeds: what compression costs, against how much seeds differ.

All take the report of the run's own model, whose figures count as those of one seed, and
`seeds.json` of SeedRepeats with those of the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranklite.models.reporting.metric_names import METRICS, stage_title
from ranklite.models.reporting.tables import DASH, interval

Figures = Mapping[str, Mapping[str, Any]]  # by stage
_SHOWN = ("auc", "log_loss")
_PARENT, _CONTROL = "float", "control"  # the run's intervals are against the first
_STAGES = (_PARENT, _CONTROL, "shipped")
_FORM, _CHANGE = "{:.5f}", "{:+.5f}"


def _runs(report: Mapping[str, Any], repeated: Mapping[str, Any]) -> list[Figures]:
    """Figures of each seed that came to its end, the run's own first."""
    others = [seed["figures"] for seed in repeated["seeds"] if not seed["error"]]
    return [report["stages"], *others]


def _there(runs: Sequence[Figures]) -> list[str]:
    """The stages that every seed has; the shipped file is the last one."""
    return [stage for stage in _STAGES if all(stage in run for run in runs)]


def spread(values: Sequence[float], form: str = _FORM) -> str:
    """Mean and standard deviation (of the sample: with n - 1); a dash where one is no number.

    Example:
        >>> spread([0.75, 0.72, 0.75])
        '0.74000 ± 0.01732'
        >>> spread([0.75], "{:+.2f}"), spread([0.75, math.nan])
        ('+0.75', '-')
    """
    mean = float(np.mean(values))
    if math.isnan(mean):
        return DASH
    noise = f" ± {np.std(values, ddof=1):.5f}" if len(values) > 1 else ""
    return form.format(mean) + noise


def head(report: Mapping[str, Any], repeated: Mapping[str, Any]) -> list[str]:
    """Titles of the columns of `rows`."""
    columns = [text for m in _SHOWN for text in (METRICS[m].title, "95 % interval of one")]
    return [f"mean ± sd of {len(_runs(report, repeated))} seeds", *columns]


def rows(report: Mapping[str, Any], repeated: Mapping[str, Any]) -> list[list[str]]:
    """Float, control and shipped file; then the shipped one less the others, paired by seed.

    The intervals are those of the model that ships.
    """
    runs = _runs(report, repeated)
    there = _there(runs)
    result = []
    for stage in there:
        bounds = report["stages"][stage].get("interval", {})
        row = [stage_title(stage)]
        for name in _SHOWN:
            values = [run[stage][name] for run in runs]
            row += [spread(values), interval(bounds.get(name), _FORM).strip()]
        result.append(row)
    bounds = report["stages"]["shipped"].get("interval", {})
    for stage in there[:-1]:
        row = [f"shipped less {stage_title(stage)}"]
        for name in _SHOWN:
            change = bounds.get(f"{name}_change") if stage == _PARENT else None
            row += [spread(_changes(runs, stage, name), _CHANGE)]
            row += [interval(change, _CHANGE).strip()]
        result.append(row)
    return result


def _changes(runs: Sequence[Figures], stage: str, name: str) -> list[float]:
    """A figure of the shipped file less that of a stage, seed by seed."""
    return [run["shipped"][name] - run[stage][name] for run in runs]


def sentences(report: Mapping[str, Any], repeated: Mapping[str, Any]) -> list[str]:
    """What compression costs beside its noise, and which seeds did not come to their end."""
    runs = _runs(report, repeated)
    told = []
    if len(runs) > 1:
        lost = {
            stage: spread([-change for change in _changes(runs, stage, "auc")])
            for stage in _there(runs)[:-1]
        }
        sentence = f"AUC lost to float over {len(runs)} seeds: {lost[_PARENT]}"
        if _CONTROL in lost:
            sentence += f", to the float control, trained as long, {lost[_CONTROL]}"
        change = report["stages"]["shipped"].get("interval", {}).get("auc_change")
        if shown := interval(change and [-bound for bound in reversed(change)], _FORM):
            sentence += (
                f"; the 95 % interval of the model that ships,{shown} to float, is about other "
                "rows, and does not contain that noise"
            )
        told.append(sentence)
    failed = [seed for seed in repeated["seeds"] if seed["error"]]
    if failed:
        why = "; ".join(f"{seed['seed']}: {seed['error']}" for seed in failed)
        count = len(repeated["seeds"]) + 1
        told.append(f"{len(failed)} of {count} seeds did not come to their end: {why}")
    return told
