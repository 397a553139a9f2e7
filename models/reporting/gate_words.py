"""What a person reads of a verdict: the cells of a table, and sentences that say what to do.

All take a verdict's `to_dict()`, also one that an earlier version wrote: it has no interval.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ranklite.models.reporting.baseline_words import ADVICE
from ranklite.models.reporting.metric_names import METRICS
from ranklite.models.reporting.tables import interval

Verdict = Mapping[str, Any]
HEAD = ("gate", "value", "95 % interval", "bound", "")
PASSED, FAILED, UNDECIDED, REFUSED = "passed", "FAILED", "undecided", "undecided, REFUSED"
_FORM = "{:.4g}"
_POLICIES = ("_from_blessed", "_over_constant")  # endings of gates with one of their own
_COMPRESSION = ("_drop", "_rise")  # endings of gates on what was lost to the float parent


def outcome(verdict: Verdict) -> str:
    """The outcome as a table shows it; capitals keep the model back."""
    if verdict.get("undecided"):
        return UNDECIDED if verdict["passed"] else REFUSED
    return PASSED if verdict["passed"] else FAILED


def verdict_cells(verdict: Verdict) -> list[str]:
    """Name, value, interval and bound (empty where there is none), and outcome: below `HEAD`."""
    name = verdict["name"] + (f" ({verdict['detail']})" if verdict["detail"] else "")
    return [name, f"{verdict['value']:.6g}", _interval(verdict), _bound(verdict), outcome(verdict)]


def brief(verdict: Verdict) -> str:
    """All cells in one line."""
    return " ".join(filter(None, verdict_cells(verdict)))


def refusals(verdicts: Sequence[Verdict]) -> list[str]:
    """A sentence for each verdict that keeps the model back: figure, bound and what to do."""
    refused = [verdict for verdict in verdicts if not verdict["passed"]]
    failed = [
        f"{_measured(verdict)}{_advice(verdict)}"
        for verdict in refused
        if not verdict.get("undecided")
    ]
    return failed + _undecided([verdict for verdict in refused if verdict.get("undecided")])


def warnings(verdicts: Sequence[Verdict]) -> list[str]:
    """A sentence for each undecided verdict that lets the model pass; one where rows are few."""
    return _undecided([v for v in verdicts if v["passed"] and v.get("undecided")])


def _undecided(verdicts: Sequence[Verdict]) -> list[str]:
    """Those without an interval together, by the reason."""
    told = [
        f"Undecided: {_measured(verdict)}; the interval contains the bound, the rows cannot tell. "
        f"Judge more rows, or move {verdict['key']}; {_policy(verdict)}"
        for verdict in verdicts
        if verdict["interval"]
    ]
    few = [verdict for verdict in verdicts if not verdict["interval"]]

    def reason(verdict: Verdict) -> tuple[str, str, str]:
        _, _, where = verdict["name"].partition(", ")
        return verdict["detail"], _policy(verdict), where

    for (detail, policy, where), group in itertools.groupby(sorted(few, key=reason), reason):
        named = [verdict["name"].removesuffix(f", {where}") for verdict in group]
        of = f" of {where}" if where else ""
        told.append(
            f"Undecided: {', '.join(dict.fromkeys(named))}{of}: {detail}. Judge more rows; {policy}"
        )
    return told


def _measured(verdict: Verdict) -> str:
    seen = f"{verdict['value']:.6g} {_interval(verdict)}".strip()
    bound = _bound(verdict)
    detail = f" ({verdict['detail']})" if verdict["detail"] else ""
    return f"{verdict['name']}{detail} is {seen}" + (f", the bound is {bound}" if bound else "")


def _policy(verdict: Verdict) -> str:
    """What a setting would have done instead."""
    against = next((p for p in _POLICIES if verdict["key"].endswith(p)), "")
    other, does = (
        ("refuse", "keeps such a model back")
        if verdict["passed"]
        else ("pass", "pushes such a model with a warning")
    )
    return f"gates.undecided{against}: {other} {does}"


def _advice(verdict: Verdict) -> str:
    """What to do about a gate that failed."""
    key = verdict.get("key", "")
    move = f"{'lower' if verdict['at_least'] else 'raise'} {key}"
    if key.endswith("_from_blessed"):
        return f": the model pushed last is better and stays. To replace it, {move}"
    if key.endswith(_COMPRESSION):
        return f": compress less, or {move}"
    if "_gain_over_" in key:
        return f": {ADVICE}; or {move}"
    figure = key.rpartition(".")[2].removeprefix("max_").removeprefix("min_")
    return f": change the model, or {move}" if figure in METRICS else ""


def _bound(verdict: Verdict) -> str:
    if verdict["threshold"] is None:
        return ""
    return f"{'>=' if verdict['at_least'] else '<='} {verdict['threshold']:g}"


def _interval(verdict: Verdict) -> str:
    return interval(verdict.get("interval"), _FORM).strip()
