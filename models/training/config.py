"""How a float model is trained, as data; no TensorFlow."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ranklite.models.config import Name, Strict
from ranklite.models.search_space import Range, Space

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class RedrawnNegatives(Strict):
    """Negatives whose items are drawn anew in every epoch, within their own contexts.

    Attributes:
      user: The user, who never gets an item that he had; where he is no feature of the model, one
        that a list of items in the same row names, such as his history.
      item: Feature of the item.
      item_columns: Features that belong to the item and change with it.
      by: Items drawn `uniform`ly or by `popularity`.
    """

    user: Name
    item: Name
    item_columns: tuple[Name, ...] = ()
    by: Literal["uniform", "popularity"] = "uniform"


class TrainingConfig(Strict):
    """How the float model is trained.

    Attributes:
      batch_size: Rows a step, over all replicas; None follows the rows (`models.training.rules`).
      epochs: Most passes over the train split.
      learning_rate: Of Adam, at the start; None follows the batch size (`models.training.rules`).
      schedule: `plateau` multiplies the rate by 0.1 after an epoch without a better validation AUC,
        `cosine` lets it fall to 0 over all epochs, `constant` leaves it.
      patience: Epochs without a better validation AUC before training stops; the best weights stay.
      ridge: lambda of the penalty  lambda / 2 |W|^2  on every table and kernel, beside the summed
        loss of the train split: the weights' prior, which counts the less the more rows there are.
        A table of D columns pays sqrt(D) times as much, so that a product of two of its rows has
        the prior of a single weight.
      embedding_l2: Weight of a second penalty, which each row of a table pays in each step that
        looks it up, however many rows the log has. With batch normalization it keeps embeddings
        small and the tower reads them all the same.
      oov_rate: Share of ids sent to their field's out-of-vocabulary row while training, so that
        the row learns what to say about a new user or item: for all features, or by feature; None
        follows the validation split (`models.training.rules`).
      ema: Decay of the moving average of the weights, which is what is measured and kept; 0 keeps
        the weights themselves.
      negatives: Which negatives are redrawn in every epoch; in a RankLite YAML file this follows
        from `negatives: {redraw: epoch}`.
      warm_start: Start from the weights of the model pushed last, where its sizes and features are
        the same; new values of a vocabulary start as unknown ones were scored.
      precision: `float32`; or `bfloat16` or `float16`, which compute in 16 bits and keep weights
        and the terms of the logit in float32. `float16` scales the loss, for gradients that would
        be 0.
      strategy: `none`, `mirrored` (all local devices) or `multi_worker`: processes that train
        together, those that TF_CONFIG names, or else `workers` on this machine.
      workers: How many processes `multi_worker` starts where TF_CONFIG names none.
      shard_tables: Each of them keeps a part of the rows of the tables and their moments, in place
        of all of them.
      shuffle_rows: Rows in the shuffle buffer.
      seed: Of everything random: initial weights, order of the rows, dropout, dropped ids.
      searched: What a search for settings varies, where the configuration leaves it open.
    """

    batch_size: int | None = Field(None, ge=1)
    epochs: int = Field(60, ge=1)
    learning_rate: float | None = Field(None, gt=0.0, le=1.0)
    schedule: Literal["plateau", "cosine", "constant"] = "constant"
    patience: int = Field(6, ge=1)
    ridge: float = Field(10.0, ge=0.0)
    embedding_l2: float = Field(0.0, ge=0.0)
    oov_rate: Rate | dict[Name, Rate] | None = None
    ema: float = Field(0.0, ge=0.0, lt=1.0)
    negatives: RedrawnNegatives | None = None
    warm_start: bool = False
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    strategy: Literal["none", "mirrored", "multi_worker"] = "none"
    workers: int = Field(1, ge=1, le=64)
    shard_tables: bool = False
    shuffle_rows: int = Field(1_000_000, ge=1)
    seed: int = Field(42, ge=0, le=2**31 - 1)

    searched: ClassVar[Space] = {
        "learning_rate": Range(low=2e-4, high=2e-2, log=True),
        "ridge": Range(low=0.5, high=100.0, log=True),
    }

    @model_validator(mode="after")
    def _one_replica_averages(self) -> TrainingConfig:
        if self.ema and self.strategy != "none":
            raise ValueError(
                f"ema {self.ema} with strategy {self.strategy!r}: weights are averaged in one "
                "process only; set ema to 0 or strategy to none"
            )
        return self

    @model_validator(mode="after")
    def _workers_have_a_strategy(self) -> TrainingConfig:
        for key, value in (("workers", self.workers > 1), ("shard_tables", self.shard_tables)):
            if value and self.strategy != "multi_worker":
                raise ValueError(
                    f"{key} {getattr(self, key)!r} with strategy {self.strategy!r}: it goes with "
                    "strategy 'multi_worker' alone; set that, or leave it out"
                )
        if self.shard_tables and self.warm_start:
            raise ValueError(
                "shard_tables with warm_start: the weights of the model pushed last are copied "
                "into whole tables only; leave one of them out"
            )
        if self.shard_tables and self.precision == "float16":
            raise ValueError(
                "shard_tables with precision 'float16': rows of divided tables are updated without "
                "a scaled loss; set precision to 'bfloat16' or 'float32'"
            )
        return self
