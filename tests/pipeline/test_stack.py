"""The stacks: which is chosen, by a machine's C library and Pythons, and what differs in them."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from ranklite.pipeline.stack import beam_in_process

ROOT = pathlib.Path(__file__).parents[2]
VERSION = """#!/bin/sh
exec {python} -c "
import sys
from collections.abc import Callable
sys.version_info = (3, {minor})
exec(sys.argv[1])" "$2" "$@"
"""


Machine = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    """A machine with a C library and Pythons, one of which is a shim that fails."""

    def choose(glibc: str, *pythons: str, **asked: str) -> subprocess.CompletedProcess[str]:
        for tool in ("sh", "cut", "sort", "head", "uname"):
            (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
        scripts = {
            "getconf": f"#!/bin/sh\necho glibc {glibc}\n",
            "python3.13": "#!/bin/sh\nexit 127\n",
        }
        for minor in pythons:
            scripts[f"python3.{minor}"] = VERSION.format(python=sys.executable, minor=minor)
        for name, text in scripts.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        return subprocess.run(
            [ROOT / "requirements/choose"],
            env={"PATH": str(tmp_path), **asked},
            capture_output=True,
            text=True,
            check=False,
        )

    return choose


@pytest.mark.parametrize(
    ("glibc", "pythons", "asked", "chosen"),
    [
        ("2.41", ["13", "10"], {}, "tfx1.21 python3.13"),
        ("2.39", ["12"], {}, "tfx1.21 python3.12"),
        ("2.100", ["11", "12"], {}, "tfx1.21 python3.12"),
        ("2.41", ["13", "10"], {"STACK": "tfx1.16"}, "tfx1.16 python3.10"),
        ("2.41", ["12", "11"], {"PYTHON": "python3.11"}, "tfx1.21 python3.11"),
        ("2.41", ["12", "10"], {"PYTHON": "python3.10"}, "tfx1.16 python3.10"),
        ("2.41", ["10"], {}, "tfx1.16 python3.10"),
        ("2.36", ["12", "10"], {}, "tfx1.16 python3.10"),
        ("2.36", ["12", "10"], {"STACK": "tfx1.16"}, "tfx1.16 python3.10"),
    ],
)
def test_the_newest_stack_that_can_be_installed(
    machine: Machine, glibc: str, pythons: list[str], asked: dict[str, str], chosen: str
) -> None:
    answer = machine(glibc, *pythons, **asked)
    assert (answer.stdout, answer.stderr, answer.returncode) == (chosen + "\n", "", 0)


@pytest.mark.parametrize(
    ("glibc", "pythons", "asked", "reported"),
    [
        ("2.41", [], {}, "RankLite needs Python 3.13, 3.12 or 3.11 with venv: install python3 "),
        ("2.36", ["12"], {}, "RankLite needs Python 3.10 with venv here: install python3.10 "),
        ("2.28", ["10"], {}, "RankLite needs glibc 2.31, .* has 2.28: use Debian 13, Ubuntu 24.04"),
        ("2.36", ["12"], {"STACK": "tfx1.21"}, "needs glibc 2.39, .* has 2.36: .* leave STACK out"),
        ("2.41", ["10"], {"STACK": "tfx1.21"}, "needs Python 3.13, 3.12 or 3.11 with venv"),
        ("2.41", ["12"], {"STACK": "tfx1.16"}, "needs Python 3.10 with venv: install python3.10"),
        ("2.41", ["12"], {"PYTHON": "python3.9"}, "and PYTHON=python3.9 is not that"),
        ("2.41", ["12"], {"STACK": "tfx2"}, "STACK=tfx2 is not a stack: tfx1.21 or tfx1.16"),
    ],
)
def test_where_none_can_be_one_line_says_what_to_do(
    machine: Machine, glibc: str, pythons: list[str], asked: dict[str, str], reported: str
) -> None:
    answer = machine(glibc, *pythons, **asked)
    assert (answer.stdout, answer.returncode) == ("", 1)
    assert re.search(reported, answer.stderr)
    assert answer.stderr.count("\n") == 1


def test_an_environment_is_built_once_renewed_for_a_lock_and_emptied_for_another_stack(
    tmp_path: pathlib.Path,
) -> None:
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "requirements"):
        (tmp_path / name).symlink_to(ROOT / name)
    python = tmp_path / "python"  # notes what it is asked for, and makes environments of itself
    python.write_text(
        """#!/bin/sh
        case "$*" in
            *import*) exit 0 ;;
            *venv*) for folder; do :; done; mkdir -p "$folder/bin"; touch "$folder/pyvenv.cfg"
                cp "$0" "$folder/bin/python" ;;
        esac
        echo "$*" >>calls
        """
    )
    (tmp_path / "getconf").write_text("#!/bin/sh\necho glibc 2.41\n")
    for tool in ("python", "getconf"):
        (tmp_path / tool).chmod(0o755)
    asked = ("MAKE", "STACK", "PYTHON", "VENV")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(asked)}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"

    def setup(stack: str) -> str:
        (tmp_path / "calls").write_text("")
        command = ["make", "setup", f"STACK={stack}", f"PYTHON={python}"]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
        return (tmp_path / "calls").read_text()

    first = setup("tfx1.21").splitlines()
    assert first[0] == "-m venv .venv"
    assert first[1].endswith("--require-hashes --no-deps -r requirements/tfx1.21.txt")
    assert first[2].endswith("--editable .")
    assert setup("tfx1.21") == ""
    (tmp_path / "setup.cfg").unlink()
    (tmp_path / "setup.cfg").write_text("[metadata]")
    assert setup("tfx1.21").startswith("-m venv .venv\n")
    assert setup("tfx1.16").startswith("-m venv --clear .venv\n")
    assert setup("tfx1.21").startswith("-m venv --clear .venv\n")


def pinned(lock: str) -> list[str]:
    """The lines of a lock that name a package."""
    lines = (ROOT / f"requirements/{lock}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("    --hash=sha256:")]


@pytest.mark.parametrize("lock", ["tfx1.16", "tfx1.21", "image", "kfp-local"])
def test_a_lock_pins_everything_by_hash_and_names_no_registry(lock: str) -> None:
    lines = pinned(lock)
    assert all(
        re.fullmatch(r"[a-z0-9-]+(\[[a-z,-]+\])?==\S+( ; [^\\]+)? \\", line) for line in lines
    )
    if lock.startswith("tfx"):
        assert len(lines) > 200
        assert any(line.startswith(f"tfx=={lock[3:]}.") for line in lines)


def test_the_image_has_the_newest_stack_without_what_develops_it() -> None:
    image, stack = set(pinned("image")), set(pinned("tfx1.21"))
    assert image < stack
    left_out = {line.split("==")[0] for line in stack - image}
    assert {"pytest", "mypy", "ruff", "playwright", "openapi-spec-validator"} <= left_out
    assert len(left_out) < 40


def test_tensorflow_is_imported_without_a_word() -> None:
    reported = subprocess.run(
        [sys.executable, "-c", "from ranklite.pipeline.stack import import_tensorflow as i; i()"],
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert reported.stdout + reported.stderr == ""


def test_beam_stays_in_this_process(tmp_path: pathlib.Path) -> None:
    import apache_beam as beam

    folder = str(tmp_path)
    with beam_in_process(), beam.Pipeline() as pipeline:
        (
            pipeline
            | beam.Create([1, 2])
            | beam.Map(lambda n: pathlib.Path(folder, str(n)).write_text(str(os.getpid())))
        )
    assert [(tmp_path / n).read_text() for n in "12"] == [str(os.getpid())] * 2


def test_prism_is_not_fetched() -> None:
    prism = pytest.importorskip("apache_beam.runners.portability.prism_runner")
    run_pipeline = prism.PrismRunner.run_pipeline
    with beam_in_process(), pytest.raises(RuntimeError, match="choose another runner"):
        prism.PrismRunner().run_pipeline(None, None)
    assert prism.PrismRunner.run_pipeline is run_pipeline
