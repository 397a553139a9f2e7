"""A search for settings of the float model and of its training, as data; no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field, model_validator

from ranklite.models.architectures.family import FamilySettings
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.config import Strict
from ranklite.models.search_space import Point, Space
from ranklite.models.training.config import TrainingConfig

MODEL, TRAINING = "model", "training"  # the sections whose settings are searched


class Tune(Strict):
    """A search for the settings that the configuration leaves open, on the validation split.

    Attributes:
      minutes: How long to train trials; the one that is under way then does not count. The first
        one, which has the settings as configured, may take longer.
      trials: How many settings to try, those as configured among them.
      keys: Settings to search, such as `training.learning_rate`; None searches all that the
        configuration leaves open. One that it gives as well starts from what is given.
    """

    minutes: float | None = Field(None, gt=0.0)
    trials: int | None = Field(None, ge=2, le=1000)
    keys: tuple[str, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _ends(self) -> Tune:
        if self.minutes is None and self.trials is None:
            raise ValueError("give `minutes`, `trials`, or both: the search ends with the first")
        return self

    @property
    def length(self) -> str:
        """How much it tries, for a person.

        Example:
            >>> Tune(minutes=5, trials=20).length
            '20 trials or 5 minutes'
        """
        trials = f"{self.trials} trials" if self.trials else ""
        minutes = f"{self.minutes:g} minutes" if self.minutes else ""
        return " or ".join(filter(None, (trials, minutes)))


def declared(model: FamilySettings, training: TrainingConfig) -> Space:
    """Everything that can be searched, by section and key: `model.embedding_dim`."""
    return {
        f"{section}.{key}": values
        for section, settings in ((MODEL, model), (TRAINING, training))
        for key, values in type(settings).searched.items()
    }


def open_keys(model: FamilySettings, training: TrainingConfig) -> list[str]:
    """Keys of `declared` that were not given.

    Example:
        >>> open_keys(parse_settings({"hidden_units": [8]}), TrainingConfig(ridge=1))
        ['model.embedding_dim', 'model.dropout', 'model.batch_norm', 'model.embedding_stddev', \
'training.learning_rate']
    """
    given = {MODEL: model.model_fields_set, TRAINING: training.model_fields_set}
    everything = (key.partition(".") for key in declared(model, training))
    return [f"{part}.{key}" for part, _, key in everything if key not in given[part]]


def configured(model: FamilySettings, training: TrainingConfig, keys: Iterable[str]) -> Point:
    """The values that some keys have."""
    sections = {MODEL: model.model_dump(mode="json"), TRAINING: training.model_dump(mode="json")}
    parts = ((key, *key.split(".")) for key in keys)
    return {key: sections[section][name] for key, section, name in parts}


def sections(point: Point) -> dict[str, dict[str, Any]]:
    """Values by section, as a configuration writes them.

    Example:
        >>> sections({"model.dropout": 0.1, "training.ridge": 2.0, "model.batch_norm": True})
        {'model': {'dropout': 0.1, 'batch_norm': True}, 'training': {'ridge': 2.0}}
    """
    result: dict[str, dict[str, Any]] = {}
    for key, value in point.items():
        section, _, name = key.partition(".")
        result.setdefault(section, {})[name] = value
    return result


def merged(
    model: FamilySettings, training: TrainingConfig, point: Point
) -> tuple[FamilySettings, TrainingConfig]:
    """The settings with other values of some keys.

    Raises:
      ValidationError: Their class refuses them.
    """
    chosen = sections(point)
    return (
        parse_settings({**model.model_dump(mode="json"), **chosen.get(MODEL, {})}),
        TrainingConfig.model_validate(
            {**training.model_dump(mode="json"), **chosen.get(TRAINING, {})}
        ),
    )
