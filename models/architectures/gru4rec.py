"""GRU4Rec (Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR
2016, https://arxiv.org/abs/1511.06939) over a fused layout: what follows in a session?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from ranklite.models.architectures.family import Family, FamilySettings
from ranklite.models.architectures.inputs import FLATTEN, Inputs
from ranklite.models.architectures.parts import Parts
from ranklite.models.architectures.tower import build_hidden, build_out, tower_parts
from ranklite.models.features.layout import FeatureLayout, Field
from ranklite.models.layers.sequence_sizes import encoder_weights
from ranklite.models.layers.table_config import EMBEDDING, LINEAR

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

CONTEXT = "context"
SESSION = "session"


class GRU4RecSettings(FamilySettings):
    """Hyperparameters of GRU4Rec: those that every family has.

    Attributes:
      family: `gru4rec`.
    """

    family: Literal["gru4rec"] = "gru4rec"


def sequence_of(layout: FeatureLayout) -> Field:
    """The list of a session's events: it shares the rows of the items that it lists.

    Args:
      layout: Of the features.

    Returns:
      The one list that shares the rows of a feature; of several, the one with `encoder: gru`.

    Raises:
      ValueError: There is none, or several might be meant.
    """
    lists = [field for field in layout.fields if field.owner and field.length > 1]
    if not lists:
        raise ValueError(
            "model.family gru4rec reads the events of a session, and no feature lists them: add "
            "one of kind history, such as {name: recent, kind: history, of: <item>, by: <session>, "
            "outcome: null, as_of: second}, or a multi_categorical one that `shares` the item's "
            f"rows; id features are {', '.join(field.name for field in layout.fields)}"
        )
    chosen = [field for field in lists if field.encoder == "gru"] if len(lists) > 1 else lists
    if len(chosen) != 1:
        raise ValueError(
            f"model.family gru4rec reads one list of events, and {len(chosen) or len(lists)} might "
            f"be meant: {', '.join(field.name for field in chosen or lists)}; give one of them "
            "`encoder: gru`"
        )
    return chosen[0]


def build_gru4rec(layout: FeatureLayout, settings: GRU4RecSettings) -> keras.Model:
    r"""Builds a GRU4Rec: a session becomes a vector that candidates are multiplied with.

        s = GRU(e_1, ..., e_L)                     the state after the last event
        h = tower(s, c)                            feed-forward layers, c what else is known
        logit_i = <h W + b, e_i> + b_i + <w, h> + w_0

    e are embeddings of items, the same ones for events and for the candidate i, as in the authors'
    later versions (Hidasi & Karatzoglou 2018, https://arxiv.org/abs/1706.03847); b_i is the
    candidate's bias. <w, h> + w_0 shifts all candidates of a session alike: it leaves their order
    and lets the score be a probability.

    **What is read.** The list of events is the feature that shares the rows of another, and that
    other is the candidate. Whatever its encoder is set to, it goes through the GRU. All other
    features are read by the tower beside the state: the time, the device, the number of events. One
    that describes the candidate may be among them; the vector of a session is then another for each
    candidate. A session's or user's own id need not be a feature: in the paper there is none.

    **What it is trained on.** The paper ranks the next item above sampled ones (TOP1, BPR). Here
    each sampled item is a row of its own, a negative with the history of its positive, and the loss
    is the cross entropy of every row: noise-contrastive in the sense of Mikolov et al. 2013
    (https://arxiv.org/abs/1310.4546). With negatives drawn by popularity, as the paper's mini-batch
    does, logit_i estimates  log p(i | session) / p(i)  up to a constant; with uniform ones
    log p(i | session), which is what ranks candidates. `negatives: {redraw: epoch}` draws
    others in every epoch; the candidate changes, its history stays.

    Args:
      layout: Where the features live in the inputs.
      settings: Sizes and rates.

    Returns:
      A functional model from {`ids`: [B, S] int32, `numeric`: [B, N] float32 (where N > 0)} to the
      logit [B, 1] float32. Its layers are named `embedding`, `linear`, `embedding_<list>_gru`,
      `tower_<k>`, `session` (W and b), `tower_out` (w and w_0) and `logit`.

    Raises:
      ValueError: No feature is a list of events, or several might be.
    """
    import tensorflow as tf
    import tf_keras as keras

    from ranklite.models.layers.interactions import InnerProduct
    from ranklite.models.layers.sequences import FieldColumn, OtherColumns

    candidate = layout.field(sequence_of(layout).owner)
    inputs = Inputs(_through_gru(layout), settings.table, settings.embedding_stddev)

    def of_candidate(table: str, dim: int, name: str) -> tf.Tensor:
        # As the table stores it: what is put beside other vectors gets their common int8 range.
        column = FieldColumn(candidate.start, name=name, dtype=tf.float32)
        return column(inputs.rows(table, dim))

    item = of_candidate(EMBEDDING, settings.embedding_dim, "candidate")
    bias = of_candidate(LINEAR, 1, "candidate_bias")
    vectors = inputs.lookup(EMBEDDING, settings.embedding_dim)  # [B, F, D], fields in order
    known = OtherColumns(candidate.start, name=CONTEXT, dtype=tf.float32)(vectors)
    hidden = build_hidden(inputs.flat(known), inputs.numeric, settings)
    session = keras.layers.Dense(settings.embedding_dim, name=SESSION)(hidden)
    match = InnerProduct(name="match", dtype=tf.float32)((session, item))
    terms = [match, bias, build_out(hidden)]
    return inputs.model(keras.layers.Add(name="logit", dtype=tf.float32)(terms), "gru4rec")


def _through_gru(layout: FeatureLayout) -> FeatureLayout:
    """The layout with the GRU as the encoder of the events."""
    name = sequence_of(layout).name
    fields = [
        dataclasses.replace(field, encoder="gru") if field.name == name else field
        for field in layout.fields
    ]
    return dataclasses.replace(layout, fields=tuple(fields))


class GRU4Rec(Family[GRU4RecSettings]):
    """A recurrent network over a session's events, multiplied with the candidate."""

    Settings = GRU4RecSettings
    kernels = rf"tower_\d+|{SESSION}"

    def build(self, layout: FeatureLayout) -> keras.Model:
        return build_gru4rec(layout, self.settings)

    def parts(self, layout: FeatureLayout) -> Parts:
        encoded, dim = _through_gru(layout), self.settings.embedding_dim
        width = (encoded.num_vectors - 1) * dim  # without the candidate
        tower = tower_parts(width, layout.num_numbers, self.settings, (SESSION, "tower_out"))
        return Parts(
            tables=(EMBEDDING, LINEAR),
            embeddings=CONTEXT,
            hidden=tower["hidden"],
            kernels={**tower["kernels"], SESSION: (self.settings.hidden_units[-1], dim)},
            small_kernels=tower["small_kernels"],
            ranges=(*tower["ranges"], SESSION),
            inputs=(FLATTEN,),
            heads=tower["heads"],
            encoders=encoder_weights(encoded, dim),
        )

    @staticmethod
    def layers() -> dict[str, type[keras.layers.Layer]]:
        from ranklite.models.layers.interactions import InnerProduct

        return {InnerProduct.__name__: InnerProduct}
