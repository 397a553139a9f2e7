"""No more work than the last release did: what `python -m benchmarks.counted` counts."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks.counted import larger, released, stack

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.slow
def test_nothing_takes_more_work_than_in_the_last_release(tmp_path: pathlib.Path) -> None:
    before = released()
    if not before:
        pytest.skip(f"the last release was not counted on {stack()}")
    path = tmp_path / "counts.json"
    command = [sys.executable, "-m", "benchmarks.counted", "--json", str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert path.exists(), ended.stderr
    counts = json.loads(path.read_text(encoding="utf-8"))
    assert counts.keys() == before.keys()
    grown = {name: (counts[name], before[name]) for name in larger(counts, before)}
    assert not grown, (
        "more work than the last release; where that is meant, "
        f"`python -m benchmarks.counted --release` keeps it: {grown}"
    )
