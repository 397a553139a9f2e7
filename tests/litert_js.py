"""Node, and LiteRT.js as `examples/web` pins it: for the tests of the web client."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import pathlib
import shutil
import subprocess
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PINNED = ROOT / "examples/web"
_KEPT = ROOT / ".pytest_cache"
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no node is installed")


@functools.cache
def litert() -> pathlib.Path:
    """Folder of `node_modules/@litertjs`; skips, with the reason, where it cannot be had."""
    if not shutil.which("npm"):
        pytest.skip("no npm is installed, which brings LiteRT.js")
    lock = PINNED / "package-lock.json"
    folder = _KEPT / f"litert-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # the processes of one test run share it
        if not (folder / "done").exists():
            for file in (lock, PINNED / "package.json"):
                shutil.copy(file, folder)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if ended.returncode:
                pytest.skip(f"npm cannot bring LiteRT.js: {ended.stderr.strip()[-300:]}")
            (folder / "done").touch()
    return folder / "node_modules/@litertjs"


def tsc(*files: pathlib.Path) -> str:
    """What TypeScript says of some files, line by line; nothing where their types are right."""
    compiler = litert().parent / "typescript/bin/tsc"
    options = ["--noEmit", "--strict", "--target", "es2022", "--moduleResolution", "bundler"]
    library = ["--module", "esnext", "--lib", "es2022,dom"]
    return node(compiler, *options, *library, *files).stdout


def node(*arguments: Any, script: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Node: a file with arguments, or the text of a module."""
    command = ["node", *map(str, arguments)]
    if script is not None:
        command += ["--input-type=module", "--eval", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def value(script: str) -> Any:
    """What the module's text gives `answer(...)`, by JSON."""
    ended = node(script="const answer = (v) => console.log(JSON.stringify(v));" + script)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
