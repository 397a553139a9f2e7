"""`make audit`: what is found, what is accepted, and what is said where nobody answers."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[2]
KNOWN = ("pyarrow", "10.0.1", "PYSEC-2023-238")
UNREACHED = "requests.exceptions.ConnectionError: no such host"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    loader = SourceFileLoader("audit", str(ROOT / "requirements" / "audit"))
    spec = spec_from_loader("audit", loader)
    assert spec is not None
    made = module_from_spec(spec)
    loader.exec_module(made)
    return made


class Auditor:
    """A program in place of pip-audit, which knows what it is told."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.program, self._told = folder / "pip-audit", folder / "told.json"
        self.program.write_text(
            f"#!{sys.executable}\n"
            "import json, sys\n"
            f"told = json.load(open({str(self._told)!r}))\n"
            "sys.stderr.write(told['error'])\n"
            "lines = open(sys.argv[sys.argv.index('-r') + 1]).read().split()\n"
            "names = [line.split('==') for line in lines]\n"
            "assert len({name for name, _ in names}) == len(names), 'twice'\n"
            "entries = [{'name': n, 'version': v, **told['found'].get(f'{n} {v}', {})}\n"
            "           for n, v in names]\n"
            "print(json.dumps({'dependencies': entries}) if not told['error'] else '')\n"
            "sys.exit(1 if told['found'] or told['error'] else 0)\n"
        )
        self.program.chmod(0o755)

    def run(self, found: dict[str, Any] | None = None, error: str = "") -> tuple[int, str]:
        self._told.write_text(json.dumps({"found": found or {}, "error": error}))
        done = subprocess.run(
            [sys.executable, ROOT / "requirements" / "audit", self.program],
            env={**os.environ, "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def auditor(tmp_path: pathlib.Path) -> Auditor:
    return Auditor(tmp_path)


def vulnerable(name: str, *aliases: str, fixed: str = "99.0") -> dict[str, Any]:
    return {"vulns": [{"id": name, "aliases": list(aliases), "fix_versions": [fixed]}]}


def test_what_is_in_the_list_passes_by_any_of_its_names(auditor: Auditor) -> None:
    package, version, name = KNOWN
    for found in (vulnerable(name), vulnerable("GHSA-other", "CVE-2023-47248")):
        code, printed = auditor.run({f"{package} {version}": found})
        assert code == 0, printed
        assert re.search(r"audit: \d{3} pins, 0 findings", printed)
    assert "names CVE-2025-4565" in printed  # what it has too much fails nothing
    assert "of protobuf 3.20.3, and OSV does not" in printed


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            {"pyarrow 10.0.1": vulnerable("PYSEC-2099-1", "CVE-2099-1")},
            "pyarrow 10.0.1 (tfx1.16.txt): CVE-2099-1, PYSEC-2099-1, fixed in 99.0: renew the lock",
        ),
        (  # known of another version of it only
            {"pyarrow 18.1.0": vulnerable(KNOWN[2])},
            "pyarrow 18.1.0 (image.txt, tfx1.21.txt): PYSEC-2023-238",
        ),
        (  # a mirror of the index knows of nothing
            {"protobuf 3.20.3": {"skip_reason": "not found"}},
            "protobuf was not looked at: not found",
        ),
    ],
)
def test_what_is_not_fails(auditor: Auditor, found: dict[str, Any], words: str) -> None:
    code, printed = auditor.run(found)
    assert code == 1, printed
    assert words in printed


def test_where_nobody_answers_the_date_of_the_list_is_told(auditor: Auditor) -> None:
    code, printed = auditor.run(error=UNREACHED)
    assert code == 3
    assert re.fullmatch(
        r"audit: OSV cannot be reached; security\.md is of \d{4}-\d\d-\d\d \(\d+ pins\)\n", printed
    )
    code, printed = auditor.run(error="usage: pip-audit")
    assert (code, printed) == (2, "audit: usage: pip-audit\n")


def test_the_list_is_of_the_locks(audit: ModuleType) -> None:
    listed = audit.accepted(audit.LIST.read_text(encoding="utf-8"))
    pins = audit.pins(sorted((ROOT / "requirements").glob("*.txt")))
    assert len(listed) >= 8
    assert {pin for pin in listed if pin not in pins} == set()
    answers = [{"name": name, "version": version} for name, version in pins]
    strange = {("gone", "1.0"): {"CVE-1-1"}}
    assert audit.judge(answers, pins, strange, pins) == [
        "security.md names gone 1.0, which is in no lock: strike it"
    ]
