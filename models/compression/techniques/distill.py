"""Distils an ensemble of models into one (Hinton et al. 2015, https://arxiv.org/abs/1503.02531)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ranklite.models import progress
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.architectures.settings import ModelSettings
from ranklite.models.compression.sizes import (
    NotCompressible,
    WeightSize,
    check_hidden,
    check_item_columns,
    check_trainable,
    check_user_and_item,
)
from ranklite.models.compression.technique import (
    MAX_TEACHERS,
    Compressed,
    Setting,
    Step,
    Technique,
)
from ranklite.models.config import Name, Strict
from ranklite.models.training.config import RedrawnNegatives

if TYPE_CHECKING:
    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.features.feature_set import FeatureSet


HIDDEN = "hidden_weight draws last hidden layers together"


class UnlabelledPairs(Strict):
    """Rows of the train split with another item, which the teachers label.

    Attributes:
      per_row: How many for each labelled row.
      by_popularity: Share of the items that are drawn by popularity; the others are uniform.
      item_columns: Features that belong to the item and change with it.
    """

    per_row: float = Field(1.0, gt=0.0, le=100.0)
    by_popularity: float = Field(0.3, ge=0.0, le=1.0)
    item_columns: tuple[Name, ...] = ()


class Distillation(Step):
    """An ensemble of float models teaches one student.

    Attributes:
      teachers: How many, trained alike from different seeds.
      teacher: Their sizes; None takes the configured model's.
      student: Its sizes; None takes the teachers'.
      temperature: T of the soft labels.
      hard_weight: Weight of the true labels; the soft ones have the rest.
      hidden_weight: Weight of the distance between the last hidden layers; 0 leaves them alone.
      unlabelled: More pairs of user and item, with soft labels only.
      epochs: Passes over the train split.
      batch_size: Labelled rows a step; None takes the training's.
      learning_rate: Of Adam at the start; it falls along a cosine.
      ridge: As in the training; soft labels need none.
      embedding_l2: As in the training; soft labels need less of it.
    """

    technique: Literal["distill"]
    teachers: int = Field(3, ge=1, le=MAX_TEACHERS)
    teacher: ModelSettings | None = None
    student: ModelSettings | None = None
    temperature: float = Field(1.0, gt=0.0, le=100.0)
    hard_weight: float = Field(0.5, ge=0.0, le=1.0)
    hidden_weight: float = Field(0.0, ge=0.0)
    unlabelled: UnlabelledPairs | None = None
    epochs: int = Field(20, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float = Field(2e-3, gt=0.0, le=1.0)
    ridge: float = Field(0.0, ge=0.0)
    embedding_l2: float = Field(0.01, ge=0.0)


class Distill(Technique[Distillation]):
    """Trains a student on the labels and on what its teachers say.

    The model that comes in plays no part: the student is new. Its metrics hold the teachers'
    figures too.
    """

    settings = Distillation
    stage = "distilled"
    place = 100
    component = "Distiller"
    needs_base = False
    needs_teachers = True
    needs_features = True
    example = {"teachers": 1, "epochs": 1}

    def after(self, model: FamilySettings, features: FeatureSet) -> FamilySettings:
        for role, sizes in (("teacher", self.config.teacher), ("student", self.config.student)):
            try:
                check_trainable(sizes or model)
                if self.config.hidden_weight:
                    check_hidden(sizes or model, HIDDEN)
            except NotCompressible as error:
                raise NotCompressible(f"{role}: {error}") from None
        if self.config.unlabelled is not None:
            check_user_and_item("unlabelled", features)
            check_item_columns(self.config.unlabelled.item_columns, features)
        return self.config.student or self.config.teacher or model

    def weights_after(self, size: WeightSize) -> WeightSize:
        return dataclasses.replace(size, model=self.config.student or size.model)

    def teachers(self, model: FamilySettings) -> tuple[FamilySettings, ...]:
        return (self.config.teacher or model,) * self.config.teachers

    def apply(
        self, checkpoint: Checkpoint | None, setting: Setting, log_dir: str | None = None
    ) -> Compressed:
        """Trains the student.

        Args:
          checkpoint: None: a student starts from nothing.
          setting: With the teachers, trained over one layout, which are not changed; what its
            `training` says is replaced by what the settings say themselves.
          log_dir: Folder for TensorBoard; None logs nothing.

        Raises:
          NotCompressible: There is no teacher, the teachers' layouts differ, or unlabelled pairs
            are asked for and the features name no user and item.
        """
        import tf_keras as keras

        from ranklite.models.architectures.checkpoint import Checkpoint
        from ranklite.models.compression.distillation import (
            DistillationModel,
            teaching,
            with_unlabelled,
        )
        from ranklite.models.compression.fine_tuning import fine_tuning
        from ranklite.models.training import fit as training
        from ranklite.models.training.negatives import Catalogue, redrawn_negatives

        config, splits, settings = self.config, setting.splits, setting.training
        teachers, features = setting.teachers, setting.features
        if not teachers:
            raise NotCompressible("distill needs a teacher: give `teachers` a count of at least 1")
        layout = teachers[0].layout
        if any(teacher.layout != layout for teacher in teachers):
            raise NotCompressible("the teachers come from different Transform runs")
        fitting = fine_tuning(
            settings, epochs=config.epochs, learning_rate=config.learning_rate
        ).model_copy(
            update={
                "batch_size": config.batch_size or settings.batch_size,
                "embedding_l2": config.embedding_l2,
                "ridge": config.ridge,
                "ema": settings.ema,
                "strategy": "none",
            }
        )
        augment = (
            redrawn_negatives(splits.train, layout, fitting.negatives)
            if fitting.negatives
            else None
        )
        if config.unlabelled is not None:
            if features is None or not (features.user and features.item):
                raise NotCompressible("distill.unlabelled needs the keys `user` and `item`")
            columns = RedrawnNegatives(
                user=features.user,
                item=features.item,
                item_columns=features.changing_with_item(config.unlabelled.item_columns),
            )
            catalogue = Catalogue.read(splits.train, layout, columns)
            augment = with_unlabelled(catalogue, config.unlabelled, augment)
        student_config = config.student or teachers[0].config
        student = training.build(layout, student_config, fitting)
        models = [teacher.model for teacher in teachers]
        ensemble = keras.Model(
            (inputs := {tensor.name: tensor for tensor in student.inputs}),
            teaching(models, with_hidden=False)({name: inputs[name] for name in inputs})[0],
        )
        progress.report("measuring the teachers")
        taught = training.evaluate(ensemble, layout, splits.eval)
        measured = training.fit(
            student,
            layout,
            splits.train,
            splits.eval,
            fitting,
            log_dir=log_dir,
            task=lambda model, average: DistillationModel(model, models, config, average),
            augment=augment,
        )
        figures = {f"teachers_{name}": value for name, value in taught.items()}
        metrics = {**figures, **measured}
        return Compressed(Checkpoint(student, layout, student_config, metrics))
