"""The configuration of a run: one YAML file, typed and validated."""

from __future__ import annotations

import functools
import pathlib

from pydantic import Field, field_serializer, field_validator, model_validator

from ranklite.components.engines.engine import AnyEngine
from ranklite.components.log_example_gen.config import (
    NEWEST,
    IngestConfig,
    NegativesConfig,
    SourceConfig,
    SplitConfig,
)
from ranklite.components.validation_gate.config import ValidationConfig
from ranklite.models.architectures import FAMILIES
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.architectures.settings import ModelSettings, check_batch, default_settings
from ranklite.models.compression.config import Compression, CompressionStep, Search
from ranklite.models.compression.recipe import check_recipe
from ranklite.models.compression.sizes import (
    NotCompressible,
    check_item_columns,
    check_least,
    check_trainable,
    check_user_and_item,
)
from ranklite.models.compression.techniques import technique
from ranklite.models.config import Column, Name, Strict
from ranklite.models.evaluation.gates import GatesConfig
from ranklite.models.evaluation.score_calibration import Method
from ranklite.models.export import DEFAULT_TARGET
from ranklite.models.features.feature_set import Feature, FeatureSet
from ranklite.models.features.past import SESSION_GAP
from ranklite.models.features.slices import evaluation_slices
from ranklite.models.search_space import Space
from ranklite.models.training.config import RedrawnNegatives, TrainingConfig
from ranklite.models.training.tuning_config import Tune
from ranklite.pipeline.config import running
from ranklite.pipeline.config.errors import ConfigError, parse
from ranklite.pipeline.config.seeds import check_seeds
from ranklite.pipeline.config.summary import summary
from ranklite.pipeline.config.tuned import search_space
from ranklite.pipeline.config.yaml_text import NotYaml, read_text
from ranklite.pipeline.kubeflow.config import KubeflowConfig

__all__ = ["ConfigError", "RunConfig", "load_config"]


class RunConfig(Strict):
    """Everything about a run but the folder of the logs.

    Attributes:
      name: The pipeline's name, also of its folder of runs.
      synthetic: The log is generated where no data folder is given.
      source: Where the log is.
      engine: What works on the parts of the log; None is one process. No cache knows of it.
      label: Column of 0 and 1, or an SQL expression such as `rating >= 4`.
      timestamp: Column of the time: numbers since 1970, ISO 8601 text, a date or timestamp.
      timestamp_format: How it is written otherwise, such as `%d/%m/%Y %H:%M` or `seconds`.
      split: How rows are divided into train, eval and test.
      negatives: How negatives are sampled, for a log of positives only.
      features: The model's inputs.
      user: Column of the user, for per-user metrics and the cold-start slice.
      item: Column of the item, for the popularity and cold-start slices.
      item_label: Column that names an item for a person, such as a title: for TensorBoard.
      slices: Columns by whose values the evaluation is sliced as well.
      session_gap: Minutes without an event after which the user's next one starts a session.
      schema_file: A schema (text proto) for the data; on Kubeflow a URI, or a path in the image.
      validation: What makes data unfit.
      model: Its family, DeepFM where none is named, and its sizes.
      training: How it is trained.
      tune: A search for the settings of `model` and `training` that are left open.
      compression: Steps in order, or a search for the best ones within a budget.
      repeat: How many seeds float model and compression are trained with, the shipped one included.
      targets: What kinds of files ship: names of export targets; stages are compared in the first.
      calibration: What makes scores probabilities, learned on the validation split: `platt`,
        `isotonic`, `none`, or `auto`, the best one of them in cross validation.
      gates: What a model must be to be pushed.
      push: Where it is pushed.
      beam: How Beam-based stages run.
      kubeflow: How the pipeline runs on Kubeflow; nothing else reads it.
    """

    name: str = Field(min_length=1, max_length=60, pattern=r"^[a-z][a-z0-9-]*$")
    synthetic: bool = False
    source: SourceConfig = SourceConfig()
    engine: AnyEngine | None = Field(None, exclude=True)
    label: str | None = None
    timestamp: Column | None = None
    timestamp_format: str | tuple[str, ...] = ()
    split: SplitConfig
    negatives: NegativesConfig | None = None
    features: tuple[Feature, ...] = Field(min_length=1)
    user: Name | None = None
    item: Name | None = None
    item_label: Column | None = None
    slices: tuple[Name, ...] = ()
    session_gap: float = Field(SESSION_GAP, gt=0.0)
    schema_file: str | None = None
    validation: ValidationConfig = ValidationConfig()
    model: ModelSettings = default_settings()
    training: TrainingConfig = TrainingConfig()
    tune: Tune | None = None
    compression: Compression = ()
    repeat: int = Field(1, ge=1, le=20)
    targets: running.TargetNames = (DEFAULT_TARGET,)
    calibration: Method = "auto"
    gates: GatesConfig = GatesConfig()
    push: running.PushConfig = running.PushConfig()
    beam: running.BeamConfig = running.BeamConfig()
    kubeflow: KubeflowConfig = KubeflowConfig()

    _earlier = model_validator(mode="before")(running.of_earlier_version)

    @field_validator("model")
    @classmethod
    def _trainable_table(cls, model: ModelSettings) -> ModelSettings:
        check_trainable(model)
        return model

    @model_validator(mode="after")
    def _fits_together(self) -> RunConfig:
        _ = self.ingest  # its own rules over several keys
        if self.training.negatives is not None:
            raise ValueError("training.negatives: say `negatives: {redraw: epoch}` instead")
        check_batch(self.model, self.training.batch_size)
        check_seeds(self.repeat, self.training)
        self.gates.check_user(self.user)
        self.gates.check_slices(evaluation_slices(self.feature_set) if self.gates.slices else ())
        for model in self._models:
            check_least(model, self.feature_set)
        if len(self._ensembles) > 1:
            raise ValueError(
                "compression: all recipes that distil share one ensemble: give the same `teachers` "
                "and `teacher`"
            )
        for name, steps in self._recipes.items():
            try:
                check_recipe(steps, self.model, self.feature_set)
            except NotCompressible as error:
                raise ValueError(f"compression{name}: {error}") from None
        if self.training.warm_start and self.model.table.kind != "full":
            raise ValueError(
                f"training.warm_start with model.table {self.model.table.kind!r}: only tables of "
                "kind 'full' have a row for each value, which the next night can take over"
            )
        if self.negatives and self.negatives.redraw == "epoch":
            check_user_and_item("negatives.redraw: epoch", self.feature_set)
            self.feature_set.changing_with_item(self.negatives.item_columns)
            if self.label:  # where negatives are sampled, ingest looks for the columns in the log
                try:
                    check_item_columns(self.negatives.item_columns, self.feature_set)
                except NotCompressible as error:
                    raise ValueError(f"negatives: {error}") from None
        _ = self.search_space
        return self

    @functools.cached_property
    def search_space(self) -> Space:
        """The settings that a search varies, with their values; empty where none runs."""
        return search_space(self, self._recipes)

    @field_serializer("tune")
    def _with_keys(self, tune: Tune | None) -> Tune | None:
        """With the keys that are left open: what is written has a value for every one."""
        return tune and tune.model_copy(update={"keys": tuple(self.search_space)})

    @functools.cached_property
    def fitting(self) -> TrainingConfig:
        """The training with what it has to know of the log."""
        if self.negatives is None or self.negatives.redraw == "never":
            return self.training
        redrawn = RedrawnNegatives(
            user=str(self.user),
            item=str(self.item),
            item_columns=self.feature_set.changing_with_item(self.negatives.item_columns),
            by=self.negatives.by,
        )
        return self.training.model_copy(update={"negatives": redrawn})

    @functools.cached_property
    def feature_set(self) -> FeatureSet:
        """The features with the columns that have a role."""
        return FeatureSet(
            user=self.user,
            features=self.features,
            item=self.item,
            slices=self.slices,
            session_gap=self.session_gap,
        )

    @functools.cached_property
    def ingest(self) -> IngestConfig:
        """The part that LogExampleGen has to know."""
        return IngestConfig(
            source=self.source,
            label=self.label,
            timestamp=self.timestamp,
            timestamp_format=self.timestamp_format,
            split=self.split,
            negatives=self.negatives,
            features=self.feature_set,
            item_label=self.item_label,
            seed=self.training.seed,
        )

    @functools.cached_property
    def judged_by(self) -> GatesConfig:
        """The gates, tightened to the budget of a search."""
        if not isinstance(self.compression, Search):
            return self.gates
        return self.compression.budget.tightened(self.gates)

    @property
    def _recipes(self) -> dict[str, tuple[CompressionStep, ...]]:
        """All recipes, by what comes after `compression` in their key."""
        if not isinstance(self.compression, Search):
            return {"": self.compression}
        return {f".recipes.{k}": steps for k, steps in (self.compression.recipes or {}).items()}

    @property
    def _ensembles(self) -> list[tuple[ModelSettings, ...]]:
        """Sizes of the teachers that steps ask for, each ensemble once."""
        asked = [technique(s).teachers(self.model) for r in self._recipes.values() for s in r]
        return [sizes for k, sizes in enumerate(asked) if sizes and sizes not in asked[:k]]

    @functools.cached_property
    def teachers(self) -> list[tuple[ModelSettings, TrainingConfig]]:
        """Model and training of each teacher that a recipe asks for, seed by seed."""
        return [
            (
                sizes,
                self.fitting.model_copy(
                    update={"seed": self.training.seed + 1 + k, "warm_start": False}
                ),
            )
            for ensemble in self._ensembles
            for k, sizes in enumerate(ensemble)
        ]

    @functools.cached_property
    def family_modules(self) -> list[str]:
        """Modules of the families of all models of the run."""
        return sorted({FAMILIES.module(model.family) for model in self._models})

    @property
    def _models(self) -> list[FamilySettings]:
        """Settings of all models of the run: its own, teachers, students."""
        chosen = [
            value for recipe in self._recipes.values() for step in recipe for _, value in step
        ]
        return [self.model, *(value for value in chosen if isinstance(value, FamilySettings))]

    @property
    def modules(self) -> list[str]:
        """Modules of the registered families and kinds that the run uses: digests cover them."""
        return [*self.family_modules, *self.feature_set.modules]

    def check_files(self, data_root: str, span: str = NEWEST) -> None:
        """Raises FileNotFoundError where a file name of the configuration matches nothing.

        Raises:
          ValueError: A span is asked for, but file names have none.
        """
        self.ingest.at(span).matching_files(data_root)

    def summary(self) -> str:
        """One line for a person."""
        return summary(self)


def load_config(path: str) -> RunConfig:
    """Reads and validates a YAML file.

    Raises:
      FileNotFoundError: There is no such file.
      ConfigError: It is wrong; every mistake is listed with its line.

    Example:
        >>> config = load_config("configs/synthetic.yaml")
        >>> config.name, config.model.hidden_units
        ('synthetic', (64, 32))
        >>> [step.technique for step in config.compression]
        ['prune', 'quantize']
    """
    file = pathlib.Path(path)
    if not file.is_file():
        known = sorted(str(p) for p in pathlib.Path("configs").glob("*.yaml"))
        raise FileNotFoundError(
            f"no configuration {path!r}; there are {', '.join(known) or 'none'}"
        )
    try:
        text = read_text(path)
    except NotYaml as error:
        raise ConfigError(f"{path}:{error.line}: {error}") from None
    return parse(text, path, RunConfig)
