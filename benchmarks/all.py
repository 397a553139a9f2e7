"""Every benchmark of speed, one after the other: `make bench`.

    python -m benchmarks.all [--out runs/bench] [--only scorer ingest] [--data FOLDER] [--large]

Each is a process of its own, prints its table, and writes its figures as JSON below `--out`;
`all.json` has them together. What a benchmark compares with runs in the same process, or by turns
with it, so that ratios hold on a machine that others use too. What cannot be measured here, for
want of a log or a package, is named at the end.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import time

from benchmarks.report import Figure, machine, show

BENCHMARKS = (
    "scorer",
    "cold_start",
    "ingest",
    "transform",
    "statistics",
    "evaluator",
    "step_time",
    "training",
    "whole_run",
)
WITH_DATA = ("training",)


def main() -> int:
    """Runs them; 1 where one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", default="runs/bench", help="folder for JSON (default: runs/bench)")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="these alone")
    parser.add_argument("--data", metavar="FOLDER", help="with the logs that some are tried on")
    parser.add_argument(
        "--large", action="store_true", help="also a whole run of a million rows: many minutes more"
    )
    arguments = parser.parse_args()
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    failed, together = [], []
    for name in arguments.only or BENCHMARKS:
        path = out / f"{name}.json"
        path.unlink(missing_ok=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(path)]
        if arguments.data and name in WITH_DATA:
            command += ["--data", arguments.data]
        if arguments.large and name == "whole_run":
            command += ["--large", "1000000"]
        print(f"\n# {' '.join(map(str, command[1:]))}", flush=True)
        started = time.monotonic()
        code = subprocess.run(command).returncode
        print(f"{time.monotonic() - started:.0f} s", flush=True)
        if code or not path.exists():
            failed.append(name)
            continue
        together.append(json.loads(path.read_text(encoding="utf-8")))
    whole = {"machine": machine(), "benchmarks": together, "failed": failed}
    (out / "all.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    print(f"\n{machine()}")
    for each in together:
        print(f"\n{each['benchmark']}\n{show(Figure(**row) for row in each['rows'])}")
    if failed:
        print(f"\nnot measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
