"""Versions, commit and processor are those of this process."""

from __future__ import annotations

import pathlib
import platform
import shutil
import subprocess

import numpy as np
import pytest

from ranklite.models import environment


def test_versions() -> None:
    result = environment.versions()
    assert result["python"] == platform.python_version()
    assert result["numpy"] == np.__version__


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PACKAGES", ("numpy", "no-such-package"))
    assert set(environment.versions()) == {"python", "numpy"}


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_the_commit_is_that_of_tracked_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()

    code = tmp_path / "software.py"
    code.write_text("1")
    monkeypatch.setattr(environment, "__file__", str(code))
    assert environment.commit() is None  # no repository
    git("init")
    assert environment.commit() is None  # as in an environment that lies in a repository
    git("add", ".")
    git("commit", "-m", "x")
    git("tag", "v1")
    head = git("rev-parse", "HEAD")
    assert environment.commit() == head
    code.write_text("2")
    assert environment.commit() == f"{head}-dirty"


def test_processor_has_a_name() -> None:
    assert environment.processor().strip()
