"""DeepFM (Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction",
IJCAI 2017, https://arxiv.org/abs/1703.04247) as a functional Keras model over a fused layout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from ranklite.models.config import Strict
from ranklite.models.features.layout import IDS, NUMERIC, FeatureLayout
from ranklite.models.layers.table_config import ByFrequencyTable, FullTable, LowRankTable, Table

if TYPE_CHECKING:
    import tf_keras as keras

TOWER = "tower"
LOGIT = "logit"
FLATTEN = "flatten"

# Keras's 0.99 needs hundreds of steps to follow the weights; an epoch here may have fifty.
BATCH_NORM_MOMENTUM = 0.9


class DeepFMConfig(Strict):
    """Hyperparameters of the DeepFM (Guo et al. 2017).

    Attributes:
      embedding_dim: D, size of the shared embedding of a field.
      hidden_units: Width of each hidden layer of the deep tower.
      dropout: Rate after each hidden layer while training.
      batch_norm: Normalize before each ReLU; folded into the Dense layer before quantization.
      embedding_stddev: Standard deviation of the tables' initial values.
      table: How the rows of the tables are stored.
    """

    embedding_dim: int = Field(16, ge=1, le=1024)
    hidden_units: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        (256, 128), min_length=1
    )
    dropout: float = Field(0.2, ge=0.0, lt=1.0)
    batch_norm: bool = True
    embedding_stddev: float = Field(0.01, gt=0.0)
    table: Table = FullTable()

    @model_validator(mode="after")
    def _table_saves_columns(self) -> DeepFMConfig:
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


def _glorot_uniform(inputs: int, units: int) -> keras.initializers.Initializer:
    """Glorot & Bengio 2010 for a kernel that is a part of one of `inputs` rows."""
    import tf_keras as keras

    limit = math.sqrt(6 / (inputs + units))
    return keras.initializers.RandomUniform(-limit, limit)


def build_deepfm(layout: FeatureLayout, config: DeepFMConfig) -> keras.Model:
    """Builds a DeepFM:  logit = w_0 + <w, x> + FM(x) + tower(x).

    The linear part, the factorization machine and the tower read the same fused ids; FM and tower
    share one embedding table. The first hidden layer adds two products instead of concatenating its
    inputs, which is the same function and leaves each input its own int8 range later.

    Args:
      layout: Where the features live in the inputs.
      config: Sizes and rates.

    Returns:
      A functional model from {`ids`: [B, S] int64, `numeric`: [B, N] float32 (where N > 0)} to the
      logit [B, 1] float32. Its layers are named `embedding`, `linear`, `fm`, `tower_<k>`,
      `tower_<k>_bn`, `tower_out` and `logit`; a table that is not stored whole has more of them.
    """
    import tensorflow as tf
    import tf_keras as keras

    from ranklite.models.layers.interactions import FactorizationMachine, FieldSum
    from ranklite.models.layers.pooling import FieldPooling
    from ranklite.models.layers.tables import EMBEDDING, LINEAR, build_lookup

    ids = keras.Input((layout.num_ids,), dtype=tf.int64, name=IDS)
    inputs = {IDS: ids}
    stored = build_lookup(ids, layout, config.table, config.embedding_stddev)
    lengths = tuple(field.length for field in layout.fields)

    def lookup(name: str, dim: int) -> tf.Tensor:
        table = stored(name, dim)
        if max(lengths) == 1:
            return table
        return FieldPooling(lengths, name=f"{name}_pooled", dtype=tf.float32)((ids, table))

    # The terms of the logit are float32 under mixed precision too: 8 bits of mantissa would leave a
    # few hundred distinct scores, and squares of sums minus sums of squares cancel.
    embeddings = lookup(EMBEDDING, config.embedding_dim)  # [B, F, D]
    terms = [FieldSum(name="linear_sum", dtype=tf.float32)(lookup(LINEAR, 1))]  # <w, x>
    flat = keras.layers.Flatten(name=FLATTEN)(embeddings)  # [B, F * D]; Reshape is slow in TFLite
    fm_inputs: Any = embeddings
    numeric = None
    if layout.num_numeric:
        numeric = inputs[NUMERIC] = keras.Input((layout.num_numeric,), name=NUMERIC)
        fm_inputs = (embeddings, numeric)
        terms.append(
            keras.layers.Dense(1, use_bias=False, dtype=tf.float32, name="linear_numeric")(numeric)
        )
    terms.append(
        FactorizationMachine(config.embedding_stddev, dtype=tf.float32, name="fm")(fm_inputs)
    )

    hidden = flat
    for k, units in enumerate(config.hidden_units):
        name = f"{TOWER}_{k}"
        # The two kernels of the first layer start as the one of a concatenation would.
        width = hidden.shape[1] + (layout.num_numeric if k == 0 else 0)
        hidden = keras.layers.Dense(
            units, kernel_initializer=_glorot_uniform(width, units), name=name
        )(hidden)
        if k == 0 and numeric is not None:
            branch = keras.layers.Dense(
                units,
                use_bias=False,
                kernel_initializer=_glorot_uniform(width, units),
                name=f"{name}_numeric",
            )(numeric)
            hidden = keras.layers.Add(name=f"{name}_add")([hidden, branch])
        if config.batch_norm:
            hidden = keras.layers.BatchNormalization(
                momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn"
            )(hidden)
        hidden = keras.layers.ReLU(name=f"{name}_relu")(hidden)
        if config.dropout:
            hidden = keras.layers.Dropout(config.dropout, name=f"{name}_dropout")(hidden)
    terms.append(keras.layers.Dense(1, dtype=tf.float32, name=f"{TOWER}_out")(hidden))
    logit = keras.layers.Add(name=LOGIT, dtype=tf.float32)(terms)
    return keras.Model(inputs, logit, name="deepfm")
