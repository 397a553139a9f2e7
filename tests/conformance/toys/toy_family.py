"""A model family from outside of RankLite, in one file: Wide & Deep (Cheng et al. 2016).

[project.entry-points."ranklite.families"]
wide_and_deep = "toy_family:WideAndDeep"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ranklite.models.architectures.family import Family, FamilySettings
from ranklite.models.architectures.inputs import FLATTEN, Inputs
from ranklite.models.architectures.parts import Parts
from ranklite.models.architectures.tower import build_tower, tower_parts
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.sequence_sizes import encoder_weights
from ranklite.models.layers.table_config import EMBEDDING, LINEAR

if TYPE_CHECKING:
    import tf_keras as keras


class WideAndDeepSettings(FamilySettings):
    """Hyperparameters of Wide & Deep.

    Attributes:
      family: `wide_and_deep`.
      wide: Whether the linear part takes part; without it the model is a deep one alone.
    """

    family: Literal["wide_and_deep"] = "wide_and_deep"
    wide: bool = True


class WideAndDeep(Family[WideAndDeepSettings]):
    """logit = <w, x> + tower(x), without crossed features."""

    Settings = WideAndDeepSettings

    def build(self, layout: FeatureLayout) -> keras.Model:
        import tf_keras as keras

        inputs = Inputs(layout, self.settings.table, self.settings.embedding_stddev)
        flat = inputs.flat(inputs.lookup(EMBEDDING, self.settings.embedding_dim))
        terms = [build_tower(flat, inputs.numeric, self.settings)]
        if self.settings.wide:
            weights = keras.layers.Flatten(name="weights")(inputs.lookup(LINEAR, 1))  # [B, F]
            terms.append(
                keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="wide")(
                    weights
                )
            )
        logit = keras.layers.Add(name="logit")(terms) if self.settings.wide else terms[0]
        return inputs.model(logit, "wide_and_deep")

    def parts(self, layout: FeatureLayout) -> Parts:
        width = layout.num_vectors * self.settings.embedding_dim
        tower = tower_parts(width, layout.num_numbers, self.settings)
        heads = ("wide",) if self.settings.wide else ()
        return Parts(
            tables=(EMBEDDING, LINEAR) if self.settings.wide else (EMBEDDING,),
            embeddings=FLATTEN,
            inputs=(FLATTEN,),
            encoders=encoder_weights(layout, self.settings.embedding_dim),
            **{**tower, "heads": (*tower["heads"], *heads)},
        )
