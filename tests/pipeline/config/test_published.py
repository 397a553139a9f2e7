"""What is secret stays behind; all that says what a model is goes with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.pipeline.config.published import published
from ranklite.pipeline.config.run_config import RunConfig, load_config

SETTINGS: dict[str, Any] = {
    "name": "shop",
    "source": {"files": "log.csv", "query": "SELECT * FROM logs", "types": {"token": "VARCHAR"}},
    "label": "click",
    "split": {"by": "hash", "eval": 0.2},
    "features": [{"name": "token", "kind": "categorical"}],
}


def of_beam(*arguments: str) -> tuple[list[str], str]:
    config = RunConfig.model_validate({**SETTINGS, "beam": {"pipeline_args": arguments}})
    text = published(config)
    return json.loads(text)["beam"]["pipeline_args"], text


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("--flink_master=host:8081", "--flink_master=host:8081"),
        ("--s3_secret_access_key=abc", "--s3_secret_access_key=(redacted)"),
        ("--azure_password=a=b\nc", "--azure_password=(redacted)"),
        ("--apikey=1", "--apikey=(redacted)"),
        ("--proxy=http://me:pass@host/x", "--proxy=http://(redacted)@host/x"),
        ("--setup_file=./setup.py", "--setup_file=./setup.py"),
    ],
)
@pytest.mark.fault("a configuration holds a secret", "not pushed with the model")
def test_a_secret_argument_is_left_out(argument: str, shown: str) -> None:
    assert of_beam(argument)[0] == [shown]


@settings(deadline=None)
@given(secret=st.text(max_size=40))
def test_no_secret_is_published(secret: str) -> None:
    assert of_beam(f"--auth_token={secret}")[0] == ["--auth_token=(redacted)"]


def test_all_else_is_as_it_was() -> None:
    config = RunConfig.model_validate(SETTINGS)
    assert json.loads(published(config)) == config.model_dump(mode="json")
    assert RunConfig.model_validate_json(published(config)) == config
    synthetic = load_config("configs/synthetic.yaml")
    assert json.loads(published(synthetic)) == synthetic.model_dump(mode="json")
