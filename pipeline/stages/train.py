"""Transformed examples -> [a search for settings] -> a float model, and teachers beside it."""

from __future__ import annotations

import dataclasses

from tfx.components.trainer.component import Trainer
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.proto import trainer_pb2
from tfx.types.channel import BaseChannel

from ranklite.components.settings_search.component import SettingsSearch
from ranklite.models.architectures import FAMILIES
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.search_space import SPACE
from ranklite.models.training.config import TrainingConfig
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.digest import code_digest, executor_digest
from ranklite.pipeline.history import CHECKPOINT, History
from ranklite.pipeline.stages.data import Transformed

TRAINER_MODULE = "ranklite.components.trainer.module"


@dataclasses.dataclass(frozen=True)
class Trained:
    """Float models.

    Attributes:
      components: SettingsSearch where one runs, the Trainer of the model, then those of its
        teachers.
      model: Channel of the Model.
      teachers: Channels of the teachers' Models.
      trials: Channel of the Trials of settings, where a search ran.
    """

    components: tuple[BaseComponent, ...]
    model: BaseChannel
    teachers: list[BaseChannel]
    trials: BaseChannel | None = None

    @property
    def curves(self) -> list[BaseChannel]:
        """TensorBoard's logs of the Trainers; trials of settings have no curves worth a page."""
        trainers = [one for one in self.components if isinstance(one, Trainer)]
        return [trainer.outputs["model_run"] for trainer in trainers]


def train(config: RunConfig, transformed: Transformed, history: History, work_dir: str) -> Trained:
    """Trainers of the model, from the one pushed last where it starts warm, and of its teachers.

    The model's has the settings that a search chose, where one runs; teachers are not tuned.
    """
    search = _search(config, transformed, work_dir) if config.tune else None
    warm = config.training.warm_start
    trainer = _trainer(
        config,
        transformed,
        config.model,
        config.fitting,
        base_model=history.recall(CHECKPOINT, transformed.examples) if warm else None,
        hyperparameters=search.outputs["best_hyperparameters"] if search else None,
    )
    if warm:
        history.attach(trainer, recalls={"base_model": CHECKPOINT})
    teachers = [
        _trainer(config, transformed, model, settings).with_id(f"Trainer.teacher_{k}")
        for k, (model, settings) in enumerate(config.teachers)
    ]
    return Trained(
        (*([search] if search else []), trainer, *teachers),
        trainer.outputs["model"],
        [teacher.outputs["model"] for teacher in teachers],
        search.outputs["trials"] if search else None,
    )


def _search(config: RunConfig, transformed: Transformed, work_dir: str) -> SettingsSearch:
    assert config.tune is not None
    return SettingsSearch(
        transformed_examples=transformed.examples,
        transform_graph=transformed.graph,
        config=config.tune.model_dump_json(),
        space=SPACE.dump_json(config.search_space).decode(),
        features=config.feature_set.model_dump_json(),
        model=config.model.model_dump_json(),
        training=config.fitting.model_dump_json(),
        work_dir=f"{work_dir}-settings",  # BudgetSearch keeps nothing of others in its own
        code_digest=executor_digest(
            SettingsSearch, FAMILIES.module(config.model.family), *config.feature_set.modules
        ),
    )


def _trainer(
    config: RunConfig,
    transformed: Transformed,
    model: FamilySettings,
    training: TrainingConfig,
    base_model: BaseChannel | None = None,
    hyperparameters: BaseChannel | None = None,
) -> Trainer:
    """TFX's Trainer of a float model."""
    return Trainer(
        run_fn=f"{TRAINER_MODULE}.run_fn",
        examples=transformed.examples,
        transform_graph=transformed.graph,
        base_model=base_model,
        hyperparameters=hyperparameters,
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
