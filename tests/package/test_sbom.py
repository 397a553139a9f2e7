"""The bill of materials of an environment: this one's."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.M)


def printed() -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "requirements" / "sbom"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def distributions() -> list[metadata.Distribution]:
    """Of the environment: other tests put what setuptools brings for itself on the path."""
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    return list(metadata.distributions(path=[*paths]))


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no Debian packages here")
def test_it_lists_what_is_installed_with_versions_and_licences() -> None:
    text = printed()
    assert printed() == text, "the same packages give the same bytes"
    document = json.loads(text)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["name"] == "ranklite"
    entries = [each for each in document["components"] if each["purl"].startswith("pkg:pypi/")]
    listed = {each["name"]: each["version"] for each in entries}
    installed = {
        re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(): each.version
        for each in distributions()
    }
    del installed["ranklite"]
    assert listed == installed
    licensed = [each for each in entries if each.get("licenses")]
    assert len(licensed) > 0.95 * len(entries)
    for each in licensed:
        (licence,) = each["licenses"]
        assert licence.keys() <= {"expression", "license"}
        assert licence.get("expression") or 0 < len(licence["license"]["name"]) <= 200
    assert {"expression": "Apache-2.0"} in [each["licenses"][0] for each in licensed]


def test_its_versions_are_those_of_the_lock() -> None:
    """Of this environment's stack; what is not in the lock was installed by hand."""
    stack = "tfx1.16" if metadata.version("tfx").startswith("1.16.") else "tfx1.21"
    lock = (ROOT / "requirements" / f"{stack}.txt").read_text(encoding="utf-8")
    pins: dict[str, set[str]] = {}
    for name, version in PIN.findall(lock):
        pins.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(version)
    others = {
        each.metadata["Name"]: each.version
        for each in distributions()
        if each.version
        not in pins.get(re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(), {each.version})
    }
    assert others == {}
