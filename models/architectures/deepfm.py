"""DeepFM (Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction",
IJCAI 2017, https://arxiv.org/abs/1703.04247) as a functional Keras model over a fused layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ranklite.models.architectures.family import Family, FamilySettings
from ranklite.models.architectures.inputs import FLATTEN, Inputs
from ranklite.models.architectures.parts import Parts
from ranklite.models.architectures.tower import build_tower, tower_parts
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.sequence_sizes import encoder_weights
from ranklite.models.layers.table_config import EMBEDDING, LINEAR

if TYPE_CHECKING:
    import tf_keras as keras

LOGIT = "logit"
FM = "fm"


class DeepFMConfig(FamilySettings):
    """Hyperparameters of the DeepFM (Guo et al. 2017): those that every family has.

    `hidden_units: []` is a plain factorization machine (Rendle 2010).

    Attributes:
      family: `deepfm`, the default.
    """

    needs_tower: ClassVar[bool] = False

    family: Literal["deepfm"] = "deepfm"


def build_deepfm(layout: FeatureLayout, config: DeepFMConfig) -> keras.Model:
    """Builds a DeepFM:  logit = w_0 + <w, x> + FM(x) + tower(x).

    The linear part, the factorization machine and the tower read the same fused ids; FM and tower
    share one embedding table. w_0 is the bias of `tower_out`; without hidden layers there is no
    tower, and it is that of `linear_sum`.

    Args:
      layout: Where the features live in the inputs.
      config: Sizes and rates.

    Returns:
      A functional model from {`ids`: [B, S] int32, `numeric`: [B, N] float32 (where N > 0)} to the
      logit [B, 1] float32. Its layers are named `embedding`, `linear`, `fm`, `tower_<k>`,
      `tower_<k>_bn`, `tower_out` and `logit`; a table that is not stored whole has more of them.
    """
    import tensorflow as tf
    import tf_keras as keras

    from ranklite.models.layers.interactions import FactorizationMachine, FieldSum

    inputs = Inputs(layout, config.table, config.embedding_stddev)
    # The terms of the logit are float32 under mixed precision too: 8 bits of mantissa would leave a
    # few hundred distinct scores, and squares of sums minus sums of squares cancel.
    embeddings = inputs.lookup(EMBEDDING, config.embedding_dim)  # [B, F, D]
    first_order = FieldSum(not config.hidden_units, name="linear_sum", dtype=tf.float32)
    terms = [first_order(inputs.lookup(LINEAR, 1))]  # <w, x>
    fm_inputs: Any = embeddings
    if inputs.numeric is not None:
        fm_inputs = (embeddings, inputs.numeric)
        weighted = keras.layers.Dense(1, use_bias=False, dtype=tf.float32, name="linear_numeric")
        terms.append(weighted(inputs.numeric))
    terms.append(
        FactorizationMachine(config.embedding_stddev, dtype=tf.float32, name=FM)(fm_inputs)
    )
    if config.hidden_units:
        terms.append(build_tower(inputs.flat(embeddings), inputs.numeric, config))
    logit = keras.layers.Add(name=LOGIT, dtype=tf.float32)(terms)
    return inputs.model(logit, "deepfm")


class DeepFM(Family[DeepFMConfig]):
    """A factorization machine and a deep tower, or none, over one embedding table."""

    Settings = DeepFMConfig

    def build(self, layout: FeatureLayout) -> keras.Model:
        return build_deepfm(layout, self.settings)

    def parts(self, layout: FeatureLayout) -> Parts:
        width = layout.num_vectors * self.settings.embedding_dim
        read = (FLATTEN,) if self.settings.hidden_units else ()
        return Parts(
            tables=(EMBEDDING, LINEAR),
            embeddings=FM,
            inputs=read,
            encoders=encoder_weights(layout, self.settings.embedding_dim),
            **tower_parts(width, layout.num_numbers, self.settings),
        )

    @staticmethod
    def layers() -> dict[str, type[keras.layers.Layer]]:
        from ranklite.models.layers.interactions import FactorizationMachine, FieldSum

        return {layer.__name__: layer for layer in (FactorizationMachine, FieldSum)}
