"""Transformed examples -> a float model, and the teachers of a distillation."""

from __future__ import annotations

import dataclasses

from tfx.components.trainer.component import Trainer
from tfx.proto import trainer_pb2
from tfx.types.channel import BaseChannel

from ranklite.models.architectures import FAMILIES
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.training.config import TrainingConfig
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import code_digest
from ranklite.pipeline.history import CHECKPOINT, History
from ranklite.pipeline.stages.data import Transformed

TRAINER_MODULE = "ranklite.components.trainer.module"


@dataclasses.dataclass(frozen=True)
class Trained:
    """Float models.

    Attributes:
      components: The Trainer of the model, then those of its teachers.
      model: Channel of the Model.
      teachers: Channels of the teachers' Models.
    """

    components: tuple[Trainer, ...]
    model: BaseChannel
    teachers: list[BaseChannel]


def train(config: RunConfig, transformed: Transformed, history: History) -> Trained:
    """Trainers of the model, from the one pushed last where it starts warm, and of its teachers."""
    warm = config.training.warm_start
    trainer = _trainer(
        config,
        transformed,
        config.model,
        config.fitting,
        base_model=history.recall(CHECKPOINT, transformed.examples) if warm else None,
    )
    if warm:
        history.attach(trainer, recalls={"base_model": CHECKPOINT})
    teachers = [
        _trainer(config, transformed, model, settings).with_id(f"Trainer.teacher_{k}")
        for k, (model, settings) in enumerate(config.teachers)
    ]
    return Trained(
        (trainer, *teachers),
        trainer.outputs["model"],
        [teacher.outputs["model"] for teacher in teachers],
    )


def _trainer(
    config: RunConfig,
    transformed: Transformed,
    model: FamilySettings,
    training: TrainingConfig,
    base_model: BaseChannel | None = None,
) -> Trainer:
    """TFX's Trainer of a float model."""
    return Trainer(
        run_fn=f"{TRAINER_MODULE}.run_fn",
        examples=transformed.examples,
        transform_graph=transformed.graph,
        base_model=base_model,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config={
            "features": config.feature_set.model_dump_json(),
            "model": model.model_dump_json(),
            "training": training.model_dump_json(),
            "code_digest": code_digest(
                TRAINER_MODULE, FAMILIES.module(model.family), *config.feature_set.modules
            ),
        },
    )
