"""What made a model, for a person."""

from __future__ import annotations

import os
import textwrap
from typing import Any

import yaml

from ranklite.models.reporting.tables import table
from ranklite.pipeline.runs.lineage import Lineage


def render(lineage: Lineage) -> str:
    """The file, the run, the logs, the schema, the stages, the configuration, and refused runs."""
    run = lineage.run
    made = _run_title(run) if run else "a run that the store lacks"
    lines = [
        lineage.path,
        f"sha256    {lineage.sha256}",
        f"bytes     {lineage.size:,}",
        f"made by   {lineage.pipeline}, {made}",
        "",
    ]
    if lineage.logs:
        files = [[f["name"], f"{f['bytes']:,}", f["sha256"]] for f in lineage.logs["files"]]
        splits = [[name, f"{s['rows']:,}"] for name, s in lineage.logs["splits"].items()]
        lines += [table(["log", "bytes", "sha256"], files), ""]
        lines += [table(["split", "rows"], splits), ""]
        if lineage.logs.get("spans"):
            lines += [f"spans     {', '.join(map(str, lineage.logs['spans']))}", ""]
    else:
        lines += ["(the report on the logs was deleted)", ""]
    for step in lineage.steps:
        for key, number, uri in step.outputs:
            if key == "schema":
                gone = "" if os.path.isdir(uri) else ", deleted"
                lines += [f"schema    {os.path.relpath(uri)} (artifact {number}{gone})", ""]
    stages = [
        [
            step.node,
            str(step.execution),
            f"{step.seconds:.1f}",
            step.code_digest[:12] or "-",
        ]
        for step in lineage.steps
    ]
    lines += [table(["stage", "execution", "seconds", "code"], stages), ""]
    if lineage.config:  # with what is null: a gate is switched off by it
        text = yaml.safe_dump(lineage.config, sort_keys=False, allow_unicode=True)
        lines += ["configuration:", textwrap.indent(text, "  ").rstrip()]
    for refused in lineage.refused:
        lines += ["", f"{_run_title(refused)}, pushed nothing:"]
        lines += [f"  {reason}" for reason in refused["reasons"]]
    return "\n".join(lines)


def _run_title(run: dict[str, Any]) -> str:
    name = f" {run['name']}" if run["name"] else ""
    return f"run {run['number']}{name}, {run['started']}"
