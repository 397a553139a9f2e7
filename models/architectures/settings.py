"""The settings of any registered family, as a configuration and a checkpoint write them."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Discriminator, TypeAdapter

from ranklite.models.architectures import DEFAULT_FAMILY, FAMILIES
from ranklite.models.architectures.family import FamilySettings

LEAST_BATCH = 8  # rows, for batch normalization


def _named(data: Any) -> Any:
    """Adds the family that is meant where none is named.

    Raises:
      UnknownEntry: There is no such family; the message lists what is registered.
    """
    if not isinstance(data, dict):
        return data
    data = {"family": DEFAULT_FAMILY, **data}
    FAMILIES.module(str(data["family"]))
    return data


if TYPE_CHECKING:
    ModelSettings = FamilySettings
else:
    ModelSettings = Annotated[
        functools.reduce(operator.or_, (family.Settings for family in FAMILIES.all().values())),
        Discriminator("family"),
        BeforeValidator(_named),
    ]
_SETTINGS: TypeAdapter[FamilySettings] = TypeAdapter(ModelSettings)


def parse_settings(data: dict[str, Any]) -> FamilySettings:
    """Settings of the family that some data names, of DeepFM where it names none.

    Raises:
      ValidationError: They fit no family.
    """
    return _SETTINGS.validate_python(data)


def default_settings() -> FamilySettings:
    """The default family with its defaults."""
    return parse_settings({})


def check_batch(model: FamilySettings, batch_size: int | None) -> None:
    """Raises ValueError where batch normalization would take its statistics of too few rows."""
    if getattr(model, "batch_norm", False) and (batch_size or LEAST_BATCH) < LEAST_BATCH:
        raise ValueError(
            f"training.batch_size {batch_size} with model.batch_norm: the statistics of so few "
            f"rows are noise; take {LEAST_BATCH} or more, or set batch_norm: false"
        )
