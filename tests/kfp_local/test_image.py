"""The image: who it runs as, what is in it and what is not, and its default run."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import subprocess
from typing import Any

import pytest

from tests.kfp_local import machine

pytestmark = [
    pytest.mark.kubeflow,
    pytest.mark.skipif(bool(machine.lacks()), reason=machine.lacks()),
]

ROOT = pathlib.Path(__file__).parents[2]
MOST_BYTES = 3_000_000_000
ENVIRONMENT = "/opt/ranklite"


def inspected() -> dict[str, Any]:
    name = os.environ[machine.IMAGE_ENV]
    text = subprocess.run(
        [*machine.PODMAN, "image", "inspect", name], capture_output=True, text=True, check=True
    ).stdout
    (document,) = json.loads(text)
    return dict(document)


def printed(*command: str, **options: list[str]) -> str:
    done = machine.in_image(*command, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_user_is_a_number_and_its_labels_say_what_it_is() -> None:
    document = inspected()
    assert document["Config"]["User"] == "1000"  # a name could not be checked by runAsNonRoot
    labels = document["Config"]["Labels"]
    version = printed("python", "-c", "import ranklite; print(ranklite.__version__)").strip()
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert len(labels["org.opencontainers.image.revision"]) >= 40
    assert not document["Config"].get("Entrypoint")  # Kubeflow's commands are whole ones


def test_it_is_small_and_holds_nothing_that_only_builds_or_tests() -> None:
    assert inspected()["Size"] < MOST_BYTES
    folders = [pathlib.PurePath(p) for p in printed("find", ENVIRONMENT, "-type", "d").split()]
    listed = {path.name for path in folders if ".dist-info/" not in str(path)}
    assert "site-packages" in listed
    assert not {"include", "tests", "pytest", "mypy", "ruff", "playwright", "pip"} & listed
    held = {entry["name"] for entry in components()}
    in_lock = names("tfx1.21.txt")
    only_for_development = in_lock - names("image.txt")
    assert {"pytest", "mypy", "ruff", "playwright", "hypothesis"} <= only_for_development
    assert not only_for_development & held
    places = ("/root", "/var/cache", "/var/lib/apt/lists")
    caches = printed("find", *places, "-type", "f", options=["--user=0"]).split()
    assert not [path for path in caches if path.endswith((".deb", ".whl", "_Packages"))]


def names(lock: str) -> set[str]:
    """Packages of a lock."""
    lines = (ROOT / "requirements" / lock).read_text().splitlines()
    return {line.split("==")[0] for line in lines if "==" in line and line[0].isalnum()}


def components() -> list[dict[str, Any]]:
    """What the image's bill of materials lists."""
    return list(json.loads(printed("cat", f"{ENVIRONMENT}/sbom.cdx.json"))["components"])


def test_its_bill_of_materials_is_valid_and_complete() -> None:
    text = printed("cat", f"{ENVIRONMENT}/sbom.cdx.json")
    code = (
        "import sys; from cyclonedx.schema import SchemaVersion; "
        "from cyclonedx.validation.json import JsonStrictValidator; "
        "error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()); "
        "sys.exit(str(error) if error else 0)"
    )
    checked = subprocess.run(
        [machine.kfp_program("python"), "-c", code],
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    listed = components()
    purls = {entry["purl"].split("@")[0] for entry in listed}
    installed = printed("python", "-c", _INSTALLED).split()
    assert {f"pkg:pypi/{name}" for name in installed} - purls == {"pkg:pypi/ranklite"}
    assert {"pkg:deb/debian/libc6", "pkg:deb/debian/python3.13"} <= purls
    lock = (ROOT / "requirements" / "image.txt").read_text().splitlines()
    pins = {line.split(" ")[0].rstrip(";") for line in lock if "==" in line and line[0].isalnum()}
    python = [entry for entry in listed if entry["purl"].startswith("pkg:pypi/")]
    assert {f"{entry['name']}=={entry['version']}" for entry in python} - pins == set()
    assert sum("licenses" in entry for entry in python) > 0.95 * len(python)
    assert (ROOT / "sbom.cdx.json").read_text() == text  # the build puts it beside the image, too


_INSTALLED = """
import re
from importlib import metadata
for installed in metadata.distributions():
    print(re.sub(r"[-_.]+", "-", installed.metadata["Name"]).lower())
"""


def test_the_default_run_by_any_user_on_a_root_that_cannot_be_written(
    tmp_path: pathlib.Path,
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    runs.chmod(0o775)
    options = ["--user=12345:0", "--read-only", f"--volume={runs}:/home/ranklite/runs"]
    done = machine.in_image(options=options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    log = "runs/synthetic/synthetic-data/log.csv"
    score = ["ranklite", "score", "runs/synthetic/pushed", log, "-o", "runs/scored.csv"]
    scored = machine.in_image(*score, options=options)
    assert scored.returncode == 0, scored.stderr
    with (runs / "scored.csv").open() as ours, (tmp_path / log).open() as theirs:
        assert sum(1 for _ in csv.reader(ours)) == sum(1 for _ in csv.reader(theirs))
    assert (runs / "scored.csv").stat().st_uid == 12345
