"""What runs were made from: configuration, code, versions and data, and where these differ."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml

from ranklite.models.reporting.tables import Section, Table, number, utc_time
from ranklite.pipeline.comparison.runs import JudgedRun, differ
from ranklite.pipeline.config.errors import parse
from ranklite.pipeline.config.renamed import RenamedKey
from ranklite.pipeline.config.run_config import ConfigError, RunConfig

_ABSENT = object()
_NAMING = ("name", "technique")  # keys that tell one entry of a list from another
_SHORT = 12  # characters of a digest

Path = tuple[str, ...]


def configuration(runs: Sequence[JudgedRun]) -> Section:
    """Keys whose values differ, defaults filled in."""
    notes = [f"That of {run.name} is not known." for run in runs if not run.config]
    known = [run for run in runs if run.config]
    rows = [
        [".".join(path), *map(_shown, values), ""]
        for path, values in changes([_validated(run.config) for run in known])
    ]
    if not rows and len(known) > 1:
        notes.append("The same.")
    return Section("Configuration", notes, [Table(["", *(r.name for r in known), ""], rows)])


def code(runs: Sequence[JudgedRun]) -> Section:
    """Stages whose code differs, by its digest, and versions of packages."""
    shared = [
        name for name in _keys([run.code for run in runs]) if all(name in r.code for r in runs)
    ]
    versions = [run.report.get("software", {}) for run in runs]
    rows = _rows(shared, [run.code for run in runs], lambda digest: str(digest)[:_SHORT])
    rows += _rows(_keys(versions), versions, str)
    notes = [] if rows else ["The same code and versions, as far as they are known."]
    return Section("Code and versions", notes, [Table(["", *(run.name for run in runs), ""], rows)])


def data(runs: Sequence[JudgedRun]) -> Section:
    """Splits, files, rejected rows and the features' coverage, where they differ."""
    notes = [f"There is no report on the log of {run.name}." for run in runs if not run.ingest]
    known = [run for run in runs if run.ingest]
    facts = [_facts(run) for run in known]
    files = [{f["name"]: f["sha256"] for f in run.ingest["files"]} for run in known]
    coverage = [_coverage(run) for run in runs]
    names = ["", *(run.name for run in known), ""]
    tables = [
        Table(names, _rows(_keys(facts), facts, str)),
        Table(
            ["file, by its SHA-256", *names[1:]],
            _rows(_keys(files), files, lambda digest: str(digest)[:_SHORT], _file_mark),
        ),
        Table(
            ["coverage of the judged rows", *(run.name for run in runs), ""],
            _rows(_keys(coverage), coverage, str),
        ),
    ]
    if len(known) > 1 and not differ(files):
        notes.append(f"The same {len(files[0])} files." if len(files[0]) > 1 else "The same file.")
    if len(known) > 1 and not differ(facts):
        notes.append("Splits alike in rows, positives, users, items and times.")
    return Section("Data", notes, tables)


def changes(values: Sequence[Any], path: Path = ()) -> Iterator[tuple[Path, list[Any]]]:
    """Where configurations differ: the path of a key and its value in each, or `_ABSENT`.

    What all have is entered, key by key; an entry that one lacks is shown whole. Lists of named
    entries (features, compression steps) are entered by name, and their order is a key of its own.
    """
    entered = [_by_name(value) for value in values]
    if all(isinstance(value, dict) for value in entered):
        for key in _keys(entered):
            yield from changes([value.get(key, _ABSENT) for value in entered], (*path, key))
        orders = [[k for k in value if all(k in v for v in entered)] for value in entered]
        if isinstance(values[0], list) and differ(orders):
            yield (*path, "(order)"), orders
    elif differ(values):
        yield path, list(values)


def _by_name(value: Any) -> Any:
    """A list of named entries as a dictionary; everything else as it is."""
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        for key in _NAMING:
            names = [entry.get(key) for entry in value]
            if None not in names and len(set(names)) == len(names):
                return dict(zip(names, value, strict=True))
    return value


def _validated(config: dict[str, Any]) -> dict[str, Any]:
    """With today's names and defaults of its keys; as it was if it is legal no more."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RenamedKey)
            valid = parse(yaml.safe_dump(config), "configuration", RunConfig)
    except ConfigError:
        return config
    return valid.model_dump(mode="json")


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "-"
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if v is not None}
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def _facts(run: JudgedRun) -> dict[str, str]:
    """What the report on a log says, flat."""
    ingest = run.ingest
    result = {}
    if spans := ingest.get("spans"):
        result["spans"] = f"{spans[0]} to {spans[-1]} ({len(spans)})"
    if earlier := ingest.get("earlier_spans"):
        result["spans before them"] = f"{earlier[0]} to {earlier[-1]} ({len(earlier)})"
    for name, split in ingest["splits"].items():
        result[f"{name}: rows"] = number(split["rows"], "{:,}")
        result[f"{name}: positive"] = f"{split['positives'] / max(1, split['rows']):.2%}"
        result[f"{name}: users"] = number(split["users"], "{:,}")
        result[f"{name}: items"] = number(split["items"], "{:,}")
        result[f"{name}: from"] = utc_time(split["first_time"])
        result[f"{name}: to"] = utc_time(split["last_time"])
    for kind in ("rejected", "sampled"):
        for what, count in ingest.get(kind, {}).items():
            result[f"{kind}: {what}"] = f"{count:,}"
    return result


def _coverage(run: JudgedRun) -> dict[str, str]:
    unseen = run.report.get("evidence", {}).get("unseen", {})
    result = {}
    for name, field in unseen.items():
        result[f"{name}: values known"] = f"{field['vocabulary']:,}"
        result[f"{name}: OOV"] = f"{field['unseen']:.2%}"
        result[f"{name}: missing"] = f"{field['missing']:.2%}"
    return result


def _rows(
    keys: Sequence[str],
    result: Sequence[dict[str, Any]],
    show: Callable[[Any], str],
    mark: Callable[[Sequence[Any]], str] = lambda _: "",
) -> list[list[str]]:
    """A row for each key whose values differ."""
    rows = []
    for key in keys:
        values = [each.get(key) for each in result]
        if differ(values):
            rows.append([key, *("-" if v is None else show(v) for v in values), mark(values)])
    return rows


def _file_mark(digests: Sequence[str | None]) -> str:
    if None not in digests:
        return "changed"
    return "added" if digests[0] is None else "removed" if digests[-1] is None else ""


def _keys(result: Sequence[dict[str, Any]]) -> list[str]:
    """All keys, in the order in which they come."""
    return list(dict.fromkeys(key for each in result for key in each))
