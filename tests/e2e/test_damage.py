"""What is damaged between two runs: seen in every artifact, named, made again, the same bytes."""

from __future__ import annotations

import contextlib
import io
import pathlib
import shutil

import pytest
import yaml

from benchmarks import small_run
from ranklite.components import manifest
from ranklite.components.manifest import DamagedArtifact
from ranklite.pipeline.cli.main import main
from ranklite.pipeline.local.runner import Outcome
from ranklite.pipeline.local.synthetic import generate
from tests.small_runs import finished_run

pytestmark = pytest.mark.e2e

CUTS = 64
DATA = "log [1]*"  # a name that a pattern would take for another
SETTINGS = {
    **small_run.SETTINGS,
    "name": "damaged",
    "training": {"epochs": 1, "batch_size": 64},
    "gates": small_run.GATES,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    made = tmp_path_factory.mktemp("damage")
    generate(str(made / DATA), rows=600)
    (made / "config.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    return made


def ran(folder: pathlib.Path, command: str = "run") -> tuple[int, str]:
    printed = io.StringIO()
    arguments = ["--config", str(folder / "config.yaml"), "--runs", str(folder / "runs")]
    arguments += ["--data", str(folder / DATA), "-j", "0"] if command == "run" else []
    with contextlib.redirect_stdout(printed):
        code = main([command, *arguments])
    return code, printed.getvalue()


@pytest.fixture(scope="module")
def first(folder: pathlib.Path) -> Outcome:
    code, printed = ran(folder)
    assert code == 0, printed
    return finished_run(folder, "damaged")


@pytest.mark.fault("every artifact of a run is cut at 64 places", "all seen")
def test_every_cut_of_every_artifact_is_seen(first: Outcome) -> None:
    uris = [
        uri for stage in first.stages.values() for uris in stage.outputs.values() for uri in uris
    ]
    cut = 0
    for uri in uris:
        files = [path for path in pathlib.Path(uri).rglob("*") if path.is_file()]
        path = max(files, key=lambda path: path.stat().st_size, default=None)
        if path is None:
            continue
        content = path.read_bytes()
        for number in range(min(CUTS, len(content))):
            path.write_bytes(content[: number * len(content) // CUTS])
            with pytest.raises(DamagedArtifact):
                manifest.check(uri)
            cut += 1
        path.write_bytes(content)
        manifest.check(uri)
    assert cut >= 16 * CUTS


def flip(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.fault(
    "a checkpoint, rows, a file and a pushed version are damaged at once",
    "named and made again; the same bytes",
)
def test_the_same_command_makes_it_again(folder: pathlib.Path, first: Outcome) -> None:
    assert first.pushed is not None
    pushed = pathlib.Path(first.pushed, "model.tflite")
    before = pushed.read_bytes()

    def of(node: str, key: str) -> pathlib.Path:
        return pathlib.Path(str(first.stages[node].folder(key)))

    checkpoint = of("Quantizer", "model") / "Format-Serving" / "model.h5"
    (rows,) = of("Transform", "transformed_examples").glob("Split-eval/*")
    flip(checkpoint)
    with rows.open("rb+") as file:
        file.truncate(rows.stat().st_size // 2)
    shutil.rmtree(of("Exporter.float", "model"))
    flip(pushed)
    code, printed = ran(folder, "verify")
    assert code == 1
    assert all(str(path) in printed for path in (checkpoint, rows, pushed))
    assert f"{of('Exporter.float', 'model')} is gone" in printed or "is gone" in printed

    code, printed = ran(folder)
    assert code == 0, printed
    assert f"{rows} is damaged" in printed
    assert f"put aside as {rows.parent.parent}.damaged; made again" in printed
    again = finished_run(folder, "damaged")
    assert again.pushed is not None
    assert again.pushed != first.pushed, "a version is never changed"
    assert pathlib.Path(again.pushed, "model.tflite").read_bytes() == before
    code, printed = ran(folder, "verify")
    assert code == 1
    assert f"{again.pushed}: whole" in printed
    shutil.rmtree(first.pushed)
    code, printed = ran(folder, "verify")
    assert (code, printed.count("DAMAGED")) == (1, 1), "what no run read is told, and stays"


@pytest.mark.fault("the path of the runs is a pattern", "refused, with the way out")
def test_runs_whose_path_is_a_pattern_are_refused(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(folder / "config.yaml"), "--data", str(folder / DATA)]
    assert main(["run", *arguments, "--runs", str(folder / "runs [1]")]) == 1
    assert (
        "runs [1]/damaged: TFX and Beam take [ in a path for a pattern" in capsys.readouterr().err
    )
    assert not (folder / "runs [1]").exists()


@pytest.mark.fault("the folder of pushed versions is gone", "pushed again; the same bytes")
def test_a_version_that_is_gone_is_pushed_again(folder: pathlib.Path, first: Outcome) -> None:
    made = finished_run(folder, "damaged")
    assert made.pushed is not None
    before = pathlib.Path(made.pushed, "model.tflite").read_bytes()
    shutil.rmtree(pathlib.Path(made.pushed).parent)
    code, printed = ran(folder)
    assert code == 0, printed
    assert "is gone: pushed again" in printed
    pushed = finished_run(folder, "damaged").pushed
    assert pushed is not None
    assert pathlib.Path(pushed, "model.tflite").read_bytes() == before
