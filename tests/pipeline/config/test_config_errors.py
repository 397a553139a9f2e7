"""Errors of a configuration name file, line, key, value and what is allowed."""

from __future__ import annotations

import pytest

from ranklite.models.compression.config import CompressionStep
from ranklite.models.config import Strict
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.training.config import TrainingConfig
from ranklite.pipeline.config.errors import ConfigError, parse


class Config(Strict):
    """A small configuration with every kind of nesting."""

    inputs: FeatureSet
    training: TrainingConfig = TrainingConfig()
    compression: tuple[CompressionStep, ...] = ()


FEATURES = """inputs:
  features:
    - {name: user, kind: categorical}
"""


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "my.yaml", Config)
    return str(caught.value).splitlines()


def test_valid_text_is_typed() -> None:
    config = parse(FEATURES + "training: {epochs: 3}\n", "my.yaml", Config)
    assert config.training.epochs == 3
    assert config.inputs.features[0].name == "user"


def test_a_value_out_of_range() -> None:
    (line,) = errors(FEATURES + "training:\n  epochs: 0\n")
    assert line == ("my.yaml:5: training.epochs = 0: input should be greater than or equal to 1")


def test_an_unknown_key_lists_the_allowed_ones_and_the_closest() -> None:
    (line,) = errors(FEATURES + "training:\n  epoch: 3\n")
    assert line.startswith(
        "my.yaml:5: training.epoch: unknown key (did you mean 'epochs'?); allowed: "
    )
    assert "learning_rate" in line


def test_an_unknown_key_inside_a_union_names_only_that_kinds_keys() -> None:
    text = FEATURES.replace("kind: categorical", "kind: categorical, max_length: 3")
    (line,) = errors(text)
    assert line == (
        "my.yaml:3: inputs.features[0].max_length: unknown key; "
        "allowed: column, dtype, kind, max_vocabulary, min_count, name"
    )


def test_a_wrong_choice_lists_the_choices() -> None:
    (line,) = errors(FEATURES.replace("kind: categorical", "kind: categorial"))
    assert line == (
        "my.yaml:3: inputs.features[0].kind = 'categorial': not registered (did you mean "
        "'categorical'?); registered are 'categorical', 'multi_categorical', 'numeric', "
        "'history', 'aggregate'"
    )


def test_a_feature_without_a_kind_and_one_that_is_no_mapping() -> None:
    (line,) = errors(FEATURES.replace(", kind: categorical", ""))
    assert line == "my.yaml:3: inputs.features[0].kind: this key is required"
    (line,) = errors(FEATURES.replace("{name: user, kind: categorical}", "user"))
    assert line.startswith("my.yaml:3: inputs.features[0] = 'user': input should be a valid")


def test_a_missing_key() -> None:
    (line,) = errors(FEATURES + "compression:\n  - technique: prune\n    tower: {pattern: block}\n")
    assert line == "my.yaml:6: compression[0].tower.sparsity: this key is required"


def test_every_mistake_is_listed() -> None:
    assert len(errors(FEATURES + "training: {epochs: 0, batch_size: x}\nother: 1\n")) == 3


def test_a_rule_over_several_keys() -> None:
    (line,) = errors(
        FEATURES
        + "compression:\n  - technique: prune\n    tower: {sparsity: 0.7, pattern: '2:4'}\n"
    )
    assert line == "my.yaml:6: compression[0].tower: pattern 2:4 means sparsity 0.5, not 0.7"


def test_a_key_given_twice() -> None:
    (line,) = errors("training: {epochs: 1}\n" + FEATURES + "training: {epochs: 2}\n")
    assert line == "my.yaml:5: key 'training' is given twice"


def test_text_that_is_not_yaml() -> None:
    (line,) = errors("inputs: [1, 2\nmore: 3\n")
    assert line.startswith("my.yaml:2: not valid YAML")


@pytest.mark.parametrize("text", ["", "- 1\n- 2\n", "just text\n"])
def test_a_document_that_is_no_mapping(text: str) -> None:
    (line,) = errors(text)
    assert line.startswith("my.yaml: a mapping of keys is expected")


@pytest.mark.fault("a YAML file asks for code to be run", "refused; nothing runs")
def test_no_code_is_executed() -> None:
    (line,) = errors("inputs: !!python/object/apply:os.system ['true']\n")
    assert "not valid YAML" in line
