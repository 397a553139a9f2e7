"""Names of earlier versions keep working, with a warning that names the new ones."""

from __future__ import annotations

import pathlib
import warnings

import pytest
import yaml

from ranklite.pipeline.config.renamed import GivenTwice, Renamed, RenamedKey, rename
from ranklite.pipeline.config.run_config import ConfigError, RunConfig, load_config

ROOT = pathlib.Path(__file__).parents[3]
SEARCH = "compression:\n  budget:\n    bytes: 128k\n    {key}: {value}\n"


def configuration(folder: pathlib.Path, tail: str) -> str:
    settings = yaml.safe_load((ROOT / "configs/synthetic.yaml").read_text(encoding="utf-8"))
    del settings["compression"]
    text = tail + yaml.safe_dump(settings, sort_keys=False)
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_an_old_key_works_and_warns_with_the_new_one(tmp_path: pathlib.Path) -> None:
    path = configuration(tmp_path, SEARCH.format(key="latency_us", value=5))
    with pytest.warns(RenamedKey) as caught:
        config = load_config(path)
    assert config.compression.budget.limits == {"bytes": 131072, "latency_1_us": 5.0}
    assert config.judged_by.max_latency_1_us == 5.0
    (warning,) = caught
    assert str(warning.message).startswith(
        f"{path}:4: latency_us is now called latency_1_us; the old name works until "
    )


@pytest.mark.parametrize(
    "tail",
    [
        "compression:\n- {technique: quantize, scales: unit}\n",
        "compression: {recipes: {a: [{technique: quantize, scales: unit}]}}\n",
    ],
)
def test_an_old_value_works_in_steps_and_in_recipes(tail: str, tmp_path: pathlib.Path) -> None:
    with pytest.warns(RenamedKey, match="'unit' is 'per_channel'"):
        compression = load_config(configuration(tmp_path, tail)).compression
    (step,) = compression if isinstance(compression, tuple) else compression.recipes["a"]
    assert step.granularity == "per_channel"


def test_target_is_a_list_now(tmp_path: pathlib.Path) -> None:
    path = configuration(tmp_path, "target: onnx\n")
    with pytest.warns(RenamedKey, match=r"yaml:1: target is now called targets; the old name wo"):
        config = load_config(path)
    assert config.targets == ("onnx",)
    assert load_config(configuration(tmp_path, "targets: onnx\n")).targets == ("onnx",)
    both = load_config(configuration(tmp_path, "targets: [tflite, onnx]\n"))
    assert both.targets == ("tflite", "onnx")
    assert load_config(configuration(tmp_path, "")).targets == ("tflite",)


def test_a_version_of_before_names_one_target(tmp_path: pathlib.Path) -> None:
    config = load_config(configuration(tmp_path, "targets: [tflite, onnx]\n"))
    pushed = config.model_dump(mode="json")
    assert RunConfig.model_validate(pushed) == config
    del pushed["targets"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nobody can change what was pushed
        assert RunConfig.model_validate({**pushed, "target": "onnx"}).targets == ("onnx",)


def test_a_target_twice_is_an_error(tmp_path: pathlib.Path) -> None:
    path = configuration(tmp_path, "targets: [onnx, tflite, onnx]\n")
    with pytest.raises(ConfigError, match=r"yaml:1: targets.* onnx twice: a version has one file"):
        load_config(path)


def test_the_new_key_does_not_warn(tmp_path: pathlib.Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_config(configuration(tmp_path, SEARCH.format(key="latency_1_us", value=5)))


def test_an_error_in_an_old_key_names_its_line(tmp_path: pathlib.Path) -> None:
    path = configuration(tmp_path, SEARCH.format(key="latency_us", value=-1))
    with pytest.warns(RenamedKey), pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == (
        f"{path}:4: compression.budget.latency_1_us = -1: input should be greater than 0"
    )


def test_both_names_are_an_error(tmp_path: pathlib.Path) -> None:
    tail = SEARCH.format(key="latency_us", value=5) + "    latency_1_us: 6\n"
    path = configuration(tmp_path, tail)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == (
        f"{path}:4: latency_us was renamed to latency_1_us, which is given too: leave latency_us "
        "out"
    )


TABLE = (
    Renamed(("steps", "*"), "scales", "granularity", {"unit": "per_channel"}),
    Renamed(("recipes", "*", "*"), "scales", "granularity", {"unit": "per_channel"}),
)


def test_values_and_every_entry_of_a_list_are_renamed() -> None:
    text = """
steps: [{scales: unit}, {scales: other}, {kept: unit}]
recipes: {a: [{scales: unit}], b: [{scales: unit}]}
scales: unit
"""
    root = yaml.compose(text)
    with pytest.warns(RenamedKey) as caught:
        rename(root, "my.yaml", TABLE)
    assert yaml.SafeLoader("").construct_document(root) == {
        "steps": [{"granularity": "per_channel"}, {"granularity": "other"}, {"kept": "unit"}],
        "recipes": {"a": [{"granularity": "per_channel"}], "b": [{"granularity": "per_channel"}]},
        "scales": "unit",
    }
    assert len(caught) == 4
    assert "and its value 'unit' is 'per_channel'" in str(caught[0].message)


def test_a_name_in_an_alias_is_renamed_once() -> None:
    root = yaml.compose("steps: [&a {scales: unit}, *a]")
    with pytest.warns(RenamedKey) as caught:
        rename(root, "my.yaml", TABLE)
    assert len(caught) == 1


def test_where_both_stand_is_said() -> None:
    root = yaml.compose("steps:\n- scales: unit\n  granularity: per_tensor\n")
    with pytest.raises(GivenTwice) as caught:
        rename(root, "my.yaml", TABLE)
    assert caught.value.line == 2
