"""YAML as a person means it: what is refused, and with what line."""

from __future__ import annotations

import contextlib
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklite.pipeline.config.errors import ConfigError
from ranklite.pipeline.config.run_config import RunConfig, load_config
from ranklite.pipeline.config.yaml_text import NotYaml, compose, construct

GOOD = """\
name: mine
source:
  files: log.csv
  csv:
    null: ["", NA]
label: click
split: {by: hash}
features:
  - {name: user, kind: categorical}
training: {epochs: 3}
"""


def load(tmp_path: pathlib.Path, text: str, encoding: str = "utf-8") -> RunConfig:
    path = tmp_path / "my.yaml"
    path.write_bytes(text.encode(encoding))
    return load_config(str(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_null_is_a_key_in_any_encoding(tmp_path: pathlib.Path, encoding: str) -> None:
    config = load(tmp_path, GOOD, encoding)
    assert config.source.csv.null == ("", "NA")
    assert config.training.epochs == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("0o17", "0o17"),
        ("007", 7),
        ("1e-3", 0.001),
        ("1_000", "1_000"),
        ("2026-01-05", "2026-01-05"),
        ("~", None),
        ("true", True),
        ("0x1F", 31),
        (".5", 0.5),
        ("-.inf", -float("inf")),
        ('"7"', "7"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    data = construct(compose(f"key: {text}"))
    assert data == {"key": value}
    assert type(data["key"]) is type(value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 3", "epochs: yes", "my.yaml:10: training.epochs = 'yes'"),
        ("epochs: 3", "epochs: true", "my.yaml:10: training.epochs = 'true'"),
        ("epochs: 3", "epochs: 1:30", "my.yaml:10: training.epochs = '1:30'"),
        ("{epochs: 3}", "&a {epochs: 3, b: *a}", "my.yaml:10: not valid YAML: an alias stands"),
        ("{epochs: 3}", "[" * 900 + "]" * 900, "not valid YAML: lists and mappings are more than"),
        ("{epochs: 3}", "[" * 80 + "]" * 80, "my.yaml:10: not valid YAML: lists and mappings"),
        ("epochs: 3", "epochs: !!timestamp 3x", "my.yaml:10: not valid YAML: '3x' is no !!timest"),
        ("epochs: 3", "epochs: !!bool 3x", "my.yaml:10: not valid YAML: '3x' is no !!bool"),
        ("epochs: 3", "epochs: !!int 3x", "my.yaml:10: not valid YAML: '3x' is no !!int"),
        ("{epochs: 3}", "{[1]: 3}", "my.yaml:10: not valid YAML: a key is to be one word"),
        ("{epochs: 3}", "!!python/object:os.system {}", "my.yaml:10: not valid YAML: could not"),
        ("name: user", "name: self", "my.yaml:9: features.*'self' cannot be the name"),
        ("name: user", "name: _id", "my.yaml:9: features.*'_id' cannot be the name"),
        ("name: user", "name: class", "my.yaml:9: features.*'class' cannot be the name"),
    ],
)
@pytest.mark.fault("a YAML file is hostile or broken", "refused with its line")
def test_what_no_person_meant_is_refused(
    tmp_path: pathlib.Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, GOOD.replace(old, new))


@pytest.mark.fault("a YAML file is an alias bomb", "refused at once")
def test_an_alias_bomb_is_refused_at_once(tmp_path: pathlib.Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12)]
    with pytest.raises(ConfigError, match="more than 100,000 values, aliases written out"):
        load(tmp_path, "\n".join(lines))


def test_a_file_in_latin_1_is_named_with_its_line(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"my\.yaml:6: it is not UTF-8 .*: save it as UTF-8"):
        load(tmp_path, GOOD.replace("click", "geklickt_f\xfcr"), "latin-1")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_data_or_not_yaml(text: str) -> None:
    with contextlib.suppress(NotYaml):
        construct(compose(text))
