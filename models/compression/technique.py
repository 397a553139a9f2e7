"""The protocol of a compression technique: what an entry of the registry says about itself.

An entry is one file: its settings (a `Step`) and a `Technique` that holds them. A technique that
fine-tunes the model that comes in is a `FineTuned` and fills in its hooks; any other, such as
distillation, writes `apply` itself. Nothing here imports TensorFlow, and no entry does when it is
imported, since a configuration is read by the entries' settings.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ranklite.models.compression.sizes import NotCompressible, WeightSize
from ranklite.models.config import Strict
from ranklite.models.training.splits import Splits

if TYPE_CHECKING:
    import tf_keras as keras

    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.features.feature_set import FeatureSet
    from ranklite.models.training.config import TrainingConfig

__all__ = [
    "MAX_TEACHERS",
    "Compressed",
    "Dimension",
    "FineTuned",
    "Invariant",
    "NotCompressible",
    "PostConditionFailed",
    "Setting",
    "Splits",
    "Step",
    "Technique",
]

MAX_TEACHERS = 8  # a component's inputs are numbered


class PostConditionFailed(RuntimeError):
    """A compressed model is not what its technique promises."""


class Step(Strict):
    """Settings of a step of a recipe, of which each technique has a class of its own.

    Attributes:
      technique: Its name in the registry; the entry's class narrows it to a Literal.
    """

    technique: str


StepT = TypeVar("StepT", bound=Step)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all steps of all recipes share.

    Attributes:
      features: The configured features; None where no technique asks for them.
      splits: Data to train and validate on.
      training: The settings that the float model was trained with.
      teachers: Float models to distil from.
      control: Whether controls are trained, in a technique that has one.
    """

    features: FeatureSet | None
    splits: Splits
    training: TrainingConfig
    teachers: Sequence[Checkpoint] = ()
    control: bool = True


@dataclasses.dataclass(frozen=True)
class Compressed:
    """What a technique makes.

    Attributes:
      model: The model to hand on; its metrics hold what was measured.
      control: The float model that it is to be compared with, of a technique that `has_control`.
    """

    model: Checkpoint
    control: Checkpoint | None = None


@dataclasses.dataclass(frozen=True)
class Dimension:
    """What a technique lets the default search vary.

    Attributes:
      key: Its name: `units`.
      values: Its values; the first one is the gentlest.
      label: A format of a value, for the names of trials: `units{:g}`.
      starts: Its value in each of the recipes that a search starts from, from the gentlest to the
        harshest; where there are fewer than other dimensions have, the first of `values` follows.
    """

    key: str
    values: tuple[Any, ...]
    label: str
    starts: tuple[Any, ...] = ()


class Invariant(abc.ABC):
    """Something true of a model that stays true while later steps train it on."""

    @abc.abstractmethod
    def callback(self, model: keras.Model) -> keras.callbacks.Callback:
        """Keeps it in a model that is about to be fine-tuned, after every step."""

    @abc.abstractmethod
    def broken(self, before: keras.Model, after: keras.Model) -> str:
        """What is no longer as it was, for a person; empty where it was kept."""


class Technique(abc.ABC, Generic[StepT]):
    """A compression technique with its settings.

    Args:
      config: Its settings.

    Attributes:
      settings: Class of its settings; `technique` is a Literal of its name in the registry.
      stage: Name of the models that it makes: `pruned`. It has to be unique.
      place: Where it stands in a recipe: steps go in ascending order of it, each technique at most
        once. Ours are 100 `distill`, 200 `prune_rows`, 300 `prune_units`, 400 `prune`,
        500 `cluster` and 600 `quantize`: a student is new, so it comes first; what removes weights
        comes before what zeroes them, and what rounds them last.
      component: Id of its node in the pipeline: `Pruner`. It has to be unique.
      needs_base: Whether it starts from the model of the stage before.
      needs_teachers: Whether it learns from an ensemble of float models.
      needs_features: Whether it has to know the configured features.
      has_control: Whether it hands on a float model that its own is to be compared with.
      leaves: What is true of its models and has to stay true when later steps train them on, by
        name: path of an `Invariant`, "module:Class".
      keeps: Names of the invariants that it keeps by itself. Of others, `fine_tuning` sees to it.
      dimensions: What it lets the default search vary.
      example: Settings that train within seconds, for the tests and the documentation.
    """

    settings: ClassVar[type[Step]]
    stage: ClassVar[str]
    place: ClassVar[int]
    component: ClassVar[str]
    needs_base: ClassVar[bool] = True
    needs_teachers: ClassVar[bool] = False
    needs_features: ClassVar[bool] = False
    has_control: ClassVar[bool] = False
    leaves: ClassVar[Mapping[str, str]] = {}
    keeps: ClassVar[frozenset[str]] = frozenset()
    dimensions: ClassVar[tuple[Dimension, ...]] = ()
    example: ClassVar[Mapping[str, Any]]

    def __init__(self, config: StepT) -> None:
        self.config = config

    @classmethod
    def step_at(cls, point: Mapping[str, Any]) -> dict[str, Any] | None:
        """Settings of its step, without `technique`, at a point of the default search.

        Args:
          point: A value for each of its `dimensions`, by key; others' are among them.

        Returns:
          None where the step is left out.
        """
        return None

    @classmethod
    def custom_objects(cls) -> dict[str, Any]:
        """Keras classes that loading its models needs, by registered name; ours need none."""
        return {}

    def after(self, model: FamilySettings, features: FeatureSet) -> FamilySettings:
        """The sizes of its model, from those of the model that comes in.

        Raises:
          NotCompressible: It does not fit them; the message says what is allowed.
        """
        return model

    def weights_after(self, size: WeightSize) -> WeightSize:
        """What about its model's weights take: decides which recipe is tried first."""
        return size

    def teachers(self, model: FamilySettings) -> tuple[FamilySettings, ...]:
        """Sizes of each float model that it learns from.

        Args:
          model: The configured model.
        """
        return ()

    @abc.abstractmethod
    def apply(
        self, checkpoint: Checkpoint | None, setting: Setting, log_dir: str | None = None
    ) -> Compressed:
        """Compresses a model.

        Args:
          checkpoint: The model of the stage before, which is not changed; None where it needs none.
          setting: Data, teachers and what else recipes share.
          log_dir: Folder for TensorBoard; None logs nothing.

        Raises:
          NotCompressible: It does not fit the model; nothing was trained.
          PostConditionFailed: The result is not what was asked for.
        """

    def control(self, checkpoint: Checkpoint, setting: Setting) -> Checkpoint:
        """The float model that its model is to be compared with, by default what came in.

        Args:
          checkpoint: The model that it was applied to.
          setting: As in `apply`.
        """
        return checkpoint


class FineTuned(Technique[StepT]):
    """A technique that changes a model while it is fine-tuned: check, wrap, train, strip, verify.

    Its settings have `epochs` and `learning_rate`.
    """

    def apply(
        self, checkpoint: Checkpoint | None, setting: Setting, log_dir: str | None = None
    ) -> Compressed:
        from ranklite.models.compression.fine_tuning import compress

        assert checkpoint is not None
        model = compress(self, checkpoint, setting.splits, setting.training, log_dir=log_dir)
        return Compressed(model)

    @abc.abstractmethod
    def check(self, checkpoint: Checkpoint) -> None:
        """Raises NotCompressible, before anything trains, where the technique does not fit."""

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        """The model to start from, by default the one that came in, which is left as it is."""
        return checkpoint

    @abc.abstractmethod
    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        """A model with the same weights, wrapped for fine-tuning; the old one is left alone."""

    def initialize(self, model: keras.Model, checkpoint: Checkpoint, splits: Splits) -> None:
        """Sets what a wrapped model has to know before its first step."""

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        """Keras callbacks that the fine-tuning needs."""
        return []

    def optimizer(
        self, model: keras.Model, training: TrainingConfig, rows: int
    ) -> keras.optimizers.legacy.Optimizer | None:
        """The optimizer of the fine-tuning on so many rows; None for that of every training."""
        return None

    def first_final_epoch(self) -> int:
        """The first epoch, from 0, after which the model is compressed as much as asked for."""
        return 0

    def strip(self, model: keras.Model) -> keras.Model:
        """The model to hand on, without what only training needs."""
        return model

    @abc.abstractmethod
    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        """Figures of the result.

        Raises:
          PostConditionFailed: It is not what the technique promises.
        """
