"""Continuous integration passes when both of its parts do, and only then."""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest

CI = pathlib.Path(__file__).parents[1] / ".ci"


@pytest.fixture
def clone(tmp_path: pathlib.Path) -> pathlib.Path:
    """A clone whose tests and whose run on the newest stack end as the environment says."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("chromium", "debootstrap"):  # nothing is to be installed
        (tools / tool).symlink_to("/bin/true")
    (tmp_path / ".ci").mkdir()
    shutil.copy(CI / "run", tmp_path / ".ci")
    newest = tmp_path / ".ci/newest"
    # Waits by itself: a sleep of its own would outlive it.
    newest.write_text("#!/bin/bash\necho the newest stack; read -rt $TAKES <> <(:); exit $NEWEST\n")
    newest.chmod(0o755)
    (tmp_path / "Makefile").write_text("test:\n\t@echo the tests on $(STACK); exit $(TESTS)\n")
    return tmp_path


@pytest.mark.parametrize(
    ("tests", "newest", "takes", "passes"),
    [(0, 0, 0, True), (0, 3, 0, False), (2, 0, 0, False), (2, 0, 600, False)],
)
def test_the_verdict_is_that_of_both_parts(
    clone: pathlib.Path, tests: int, newest: int, takes: int, passes: bool
) -> None:
    done = subprocess.run(
        [clone / ".ci/run"],
        env={
            **os.environ,
            "PATH": f"{clone / 'tools'}:{os.environ['PATH']}",
            "TMPDIR": str(clone),
            "TESTS": str(tests),
            "NEWEST": str(newest),
            "TAKES": str(takes),
        },
        capture_output=True,
        text=True,
        timeout=120,  # a part that goes on is stopped when the other one fails
        check=False,
    )
    assert (done.returncode == 0) == passes, done
    assert "the tests on tfx1.16" in done.stdout
    assert ("the newest stack" in done.stdout) == (tests == 0)
    assert not list(clone.glob("tmp.*"))  # what it kept for itself is gone


@pytest.mark.parametrize(
    ("version", "prefix", "words"),
    [
        (None, "", "no Python with venv here"),
        ("3\t10", "/opt/python", "is 3.10, not 3.11, 3.12 or 3.13"),
        ("3\t12", "/usr", "this system's own"),
    ],
)
def test_the_newest_stack_says_why_a_python_is_none_for_it(
    tmp_path: pathlib.Path, version: str | None, prefix: str, words: str
) -> None:
    python = tmp_path / "python"
    answer = f"printf '{version}\\t{prefix}\\n'" if version else "exit 1"
    python.write_text(f"#!/bin/sh\n{answer}\n")
    python.chmod(0o755)
    done = subprocess.run(
        [CI / "newest", "true"],
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done
    assert f"PYTHON={python} " in done.stderr
    assert words in done.stderr


@pytest.mark.slow
def test_make_faults_is_a_command_that_pytest_takes(tmp_path: pathlib.Path) -> None:
    """The option is one of tests/conftest.py, which is read where nothing looks like a path."""
    table = tmp_path / "table.md"
    table.write_text("as it was")
    printed = subprocess.run(
        ["make", "-n", "faults"], cwd=CI.parent, capture_output=True, text=True, check=True
    )
    (line,) = (line for line in printed.stdout.splitlines() if "-m fault" in line)
    _, *arguments = shlex.split(line.replace("docs/reliability.md", str(table)))
    arguments += ["-n0", "--collect-only", "--ignore-glob=tests/*/*"]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=CI.parent, capture_output=True, text=True, check=False
    )
    assert "unrecognized" not in done.stderr, done.stderr
    assert done.returncode == 5, done.stdout  # nothing is left to collect
    assert table.read_text() == "as it was"
