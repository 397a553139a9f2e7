"""What a model family is: its settings, the model that they make, and the parts of that model.

A new family is one file with a class that `models.architectures.FAMILIES` names, or that another
package names in its entry points:

    [project.entry-points."ranklite.families"]
    wide_and_deep = "my_package.wide_and_deep:WideAndDeep"
"""

from __future__ import annotations

import abc
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import Field, model_validator

from ranklite.models.architectures import FAMILIES
from ranklite.models.architectures.parts import Parts
from ranklite.models.config import Strict
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.table_config import ByFrequencyTable, FullTable, LowRankTable, Table
from ranklite.models.search_space import Choice, Range, Space

if TYPE_CHECKING:
    import tf_keras as keras

Role = Literal["kernel", "small_kernel"]


class FamilySettings(Strict):
    """Hyperparameters that every family has; each adds its `family`, a literal, and its own.

    Attributes:
      family: Its registered name.
      embedding_dim: D, size of the embedding of a field.
      hidden_units: Width of each hidden layer of the deep tower; none leaves the tower out, in a
        family that is a model without it.
      dropout: Rate after each hidden layer while training.
      batch_norm: Normalize before each ReLU; folded into the Dense layer before quantization. It
        pays with many rows and labels that hardly err; on small or noisy logs it costs accuracy.
      embedding_stddev: Standard deviation of the tables' initial values.
      table: How the rows of the tables are stored.
      needs_tower: Whether the family is no model without hidden layers; no setting.
      searched: What a search for settings varies, where the configuration leaves it open; values
        that the class refuses are left out.
    """

    needs_tower: ClassVar[bool] = True

    family: str
    embedding_dim: int = Field(16, ge=1, le=1024)
    hidden_units: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = (64, 32)
    dropout: float = Field(0.2, ge=0.0, lt=1.0)
    batch_norm: bool = False
    embedding_stddev: float = Field(0.03, gt=0.0)
    table: Table = FullTable()

    searched: ClassVar[Space] = {
        "embedding_dim": Choice(values=(4, 8, 16, 32)),
        "hidden_units": Choice(values=([], [32], [64, 32], [128, 64], [256, 128])),
        "dropout": Range(low=0.0, high=0.5),
        "batch_norm": Choice(values=(False, True)),
        "embedding_stddev": Range(low=0.003, high=0.1, log=True),
    }

    @model_validator(mode="after")
    def _has_its_tower(self) -> FamilySettings:
        if self.needs_tower and not self.hidden_units:
            without = [n for n, f in FAMILIES.all().items() if not f.Settings.needs_tower]
            raise ValueError(
                f"hidden_units [] with family {self.family}, whose logit is made of hidden layers: "
                f"give the width of one or more; without them there are {' and '.join(without)}"
            )
        return self

    @model_validator(mode="after")
    def _table_saves_columns(self) -> FamilySettings:
        columns = {
            "rank": self.table.rank if isinstance(self.table, LowRankTable) else 0,
            "tail_dim": self.table.tail_dim if isinstance(self.table, ByFrequencyTable) else 0,
        }
        for name, value in columns.items():
            if value >= self.embedding_dim:
                raise ValueError(
                    f"table {self.table.kind!r} has {name} {value} and embedding_dim is "
                    f"{self.embedding_dim}: it saves something only below that"
                )
        return self


SettingsT = TypeVar("SettingsT", bound=FamilySettings)


class Family(abc.ABC, Generic[SettingsT]):
    """A model family. Its Keras models bear its registered name.

    Some questions are asked of a Keras model alone, wrapped by tfmot or not, where settings and
    layout are not at hand. The patterns below answer them by the names of layers; the name of the
    model leads to them, since it survives cloning, wrapping and saving.

    Args:
      settings: The hyperparameters.

    Attributes:
      Settings: Class of the settings.
      example: Settings of a small model, for tests of every family; one adds its own to them.
      kernels: Pattern of the Dense layers with the large kernels of `Parts.kernels`.
      small_kernels: Pattern of those of `Parts.small_kernels`.
      activations: Pattern of the layers that give the hidden units' outputs.
    """

    Settings: ClassVar[type[FamilySettings]]
    example: ClassVar[dict[str, Any]] = {
        "embedding_dim": 8,
        "hidden_units": [48, 24],
        "dropout": 0.0,
        "batch_norm": True,
        "embedding_stddev": 0.1,
    }
    kernels: ClassVar[str] = r"tower_\d+"
    small_kernels: ClassVar[str] = r"tower_out|tower_\d+_numeric"
    activations: ClassVar[str] = r"tower_\d+_relu"

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings

    @abc.abstractmethod
    def build(self, layout: FeatureLayout) -> keras.Model:
        """A functional model, its weights drawn now.

        Args:
          layout: Where the features live in the inputs.

        Returns:
          From {`ids`: [B, S] int32, `numeric`: [B, N] float32 (where N > 0)} to the logit [B, 1]
          float32. Kernels are those of plain Dense layers, which tfmot and the converter know.
        """

    @abc.abstractmethod
    def parts(self, layout: FeatureLayout) -> Parts:
        """What the model is made of; no TensorFlow is loaded.

        It is asked for when a configuration is read, before the sizes of vocabularies are known.

        Args:
          layout: Where the features live in the inputs.

        Raises:
          ValueError: The features are not what the family needs; the message says what to add.
        """

    @staticmethod
    def layers() -> dict[str, type[keras.layers.Layer]]:
        """Keras layers beside Keras's own and the tables', by class name: loading needs them."""
        return {}


def family(settings: SettingsT) -> Family[SettingsT]:
    """The family of some settings, with them."""
    return FAMILIES.get(settings.family)(settings)


def build(layout: FeatureLayout, settings: FamilySettings) -> keras.Model:
    """The model of some settings; see `Family.build`."""
    return family(settings).build(layout)


def parts(layout: FeatureLayout, settings: FamilySettings) -> Parts:
    """The parts of the model of some settings; see `Family.parts`."""
    return family(settings).parts(layout)


def role(model: keras.Model, layer: str) -> Role | None:
    """Which of the kernels that compression counts a layer of a model holds, if any.

    Args:
      model: Of a registered family, wrapped or not.
      layer: Its own name, without a wrapper's prefix.
    """
    of = FAMILIES.get(model.name)
    if re.fullmatch(of.kernels, layer):
        return "kernel"
    return "small_kernel" if re.fullmatch(of.small_kernels, layer) else None


def last_hidden(model: keras.Model) -> Any:
    """Outputs [B, units] of the last hidden layer of a model that is not wrapped.

    Raises:
      ValueError: It has no hidden layer.
    """
    pattern = FAMILIES.get(model.name).activations
    hidden = [layer for layer in model.layers if re.fullmatch(pattern, layer.name)]
    if not hidden:
        raise ValueError(f"this {model.name} has no hidden layer: its hidden_units are []")
    return hidden[-1].output
