"""A run says at its start where it would push behind a version of another task."""

from __future__ import annotations

import pathlib

from ranklite.models.serving.versions import write_version
from ranklite.pipeline.config.run_config import RunConfig, load_config
from ranklite.pipeline.runs.names import other_task

CONFIG = load_config("configs/synthetic.yaml")


def pushed(folder: pathlib.Path, config: RunConfig) -> None:
    document = {"config": config.model_dump(mode="json")}
    write_version(str(folder), {"model.tflite": b"x"}, {"model": document})


def test_another_label_in_the_same_folder(tmp_path: pathlib.Path) -> None:
    assert other_task(CONFIG, str(tmp_path)) == []
    pushed(tmp_path, CONFIG.model_copy(update={"label": "bought"}))
    first, *rest = other_task(CONFIG, str(tmp_path))
    assert first == (
        f"attention: {tmp_path}/1 is of another task: label was 'bought' and is {CONFIG.label!r}"
    )
    assert rest[-1] == "give the configuration another `name` or `push.directory`."


def test_a_configuration_that_evolves_is_no_other_task(tmp_path: pathlib.Path) -> None:
    """As where a feature comes in, or training takes longer."""
    changes = {"features": CONFIG.features[1:], "slices": (), "synthetic": False}
    pushed(tmp_path, CONFIG.model_copy(update=changes))
    assert other_task(CONFIG, str(tmp_path)) == []


def test_two_names_in_one_folder(tmp_path: pathlib.Path) -> None:
    pushed(tmp_path, CONFIG.model_copy(update={"name": "other"}))
    first, *_ = other_task(CONFIG, str(tmp_path))
    assert first.endswith(f"name was 'other' and is {CONFIG.name!r}")
