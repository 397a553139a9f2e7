"""The user's last events: items with their outcomes, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from ranklite.models.config import FeatureName
from ranklite.models.features import past
from ranklite.models.features.kind import Example, FeatureKind, Number
from ranklite.models.features.past import AsOf, Past
from ranklite.models.features.raw_column import RawColumn

if TYPE_CHECKING:
    import tensorflow as tf

    from ranklite.models.features.constants import Learned
    from ranklite.models.features.kind import Raw

Pool = Literal["positive", "negative", "all"]
_RECENT = 5  # events whose rate tells the user's mood
_PRIOR = 1.0  # events of each outcome that every history is taken to start with


class HistoryFeature(FeatureKind):
    """The last events of a user, or of another key: ids that share rows with the feature `of`.

    Events are the earlier rows of the log with the same value of `by`, as of a state time that says
    how stale a history is when it is served (`ranklite.models.features.past`). Each pool is the
    mean embedding of the events with one outcome; they and `numbers` are what a model reads with
    `encoder: pool`. An encoder reads the sequence in the place of the pools:

        attention   weights by the candidate: DIN (Zhou et al. 2018, arXiv:1706.06978)
        gru         a recurrent network, oldest event first: GRU4Rec (Hidasi et al. 2016,
                    arXiv:1511.06939)

    Attributes:
      name: Of the list of items in the raw signature; `<name>_outcome` is the list of outcomes.
      of: The categorical feature whose values are listed: its vocabulary and its rows of every
        table are shared.
      by: The column whose value the events share: the user's.
      length: Events kept, the newest.
      outcome: `label`: the events' labels are listed too; None where all are positives.
      pool: Outcomes that are pooled apart.
      as_of: How fresh the history is when it is served.
      delay: Seconds that it lags behind besides.
      encoder: What becomes of the sequence.
      dtype: That of the feature `of`, from which it is taken.
    """

    kind: Literal["history"]
    of: FeatureName
    by: FeatureName
    length: int = Field(20, ge=2, le=1000)
    outcome: Literal["label"] | None = "label"
    pool: tuple[Pool, ...] = ()
    as_of: AsOf = past.SESSION
    delay: float = Field(0.0, ge=0.0)
    encoder: Literal["pool", "attention", "gru"] = "pool"
    dtype: Literal["string", "int64"] = "string"

    @field_validator("pool")
    @classmethod
    def _each_once(cls, pool: tuple[Pool, ...]) -> tuple[Pool, ...]:
        if len(set(pool)) < len(pool):
            raise ValueError(f"pool names an outcome twice: {', '.join(pool)}")
        return pool

    @model_validator(mode="after")
    def _pools_have_outcomes(self) -> HistoryFeature:
        if self.column:
            raise ValueError(f"feature {self.name!r}: a history is computed, no column has it")
        if self.outcome is None and set(self.pool) - {"all"}:
            raise ValueError(
                f"feature {self.name!r}: without `outcome` there is one pool, `all`, and not "
                f"{', '.join(self.pool)}"
            )
        return self

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Histories of every encoder, by outcome and without."""
        rows = tuple({"shop": shop} for shop in ("red", "blue", None, "red", "odd", "blue"))
        shop = {"kind": "categorical", "name": "shop"}
        base = {"of": "shop", "by": "user", "length": 3}
        ways: tuple[dict[str, Any], ...] = (
            {"name": "seen"},
            {"name": "bought", "outcome": None, "as_of": "day"},
            {"name": "weighed", "pool": ["all"], "encoder": "attention", "as_of": "second"},
            {"name": "followed", "encoder": "gru", "as_of": "hour", "delay": 60},
        )
        return tuple(Example({**base, **way}, rows, beside=(shop,)) for way in ways)

    @property
    def pools(self) -> tuple[str, ...]:
        """The outcomes that are pooled apart."""
        return self.pool or (("positive", "negative") if self.outcome else ("all",))

    @property
    def outcomes(self) -> str:
        """Name of the column of outcomes."""
        return f"{self.name}_outcome"

    def raw_columns(self) -> tuple[RawColumn, ...]:
        """The list of values and, where there are outcomes, that of outcomes."""
        listed = RawColumn(
            self.name, self.dtype, self.length, kind=self.kind, past=self._past(past.LAST, self.of)
        )
        if self.outcome is None:
            return (listed,)
        outcomes = RawColumn(
            self.outcomes,
            "float32",
            self.length,
            categories=False,
            kind=self.kind,
            past=self._past(past.OUTCOME, self.outcome),
        )
        return listed, outcomes

    def _past(self, stat: str, of: str) -> Past:
        # The list says which values the events have; that of outcomes has the same events.
        return Past(self.name, (self.by,), of, stat, self.as_of, self.delay)

    @property
    def id_length(self) -> int:
        """As many ids as events are kept."""
        return self.length

    @property
    def is_single_valued(self) -> bool:
        """A list."""
        return False

    @property
    def row_owner(self) -> str:
        """The feature whose values are listed."""
        return self.of

    @property
    def sequence_encoder(self) -> str:
        """The setting."""
        return self.encoder

    def bound(self, features: Mapping[str, FeatureKind], user: str | None) -> FeatureKind:
        """With the type of the feature that it lists.

        Raises:
          ValueError: That is no categorical feature.
        """
        named = features.get(self.of)
        if named is None or not named.is_categorical:
            raise ValueError(
                f"feature {self.name!r}: of: {self.of!r} is no feature of kind categorical; a "
                "history lists values of one, whose embeddings it shares"
            )
        return self.model_copy(update={"dtype": named.raw_columns()[0].dtype})

    @property
    def numbers(self) -> tuple[Number, ...]:
        """Statistics of the outcomes: how many, what share, and what came last."""
        if self.outcome is None:
            return (Number(f"{self.name}_count"),)
        names = ("positives", "negatives", "rate", "recent_rate", "last")
        return tuple(Number(f"{self.name}_{name}") for name in names)

    def to_numbers(self, raw: Raw) -> list[tf.Tensor]:
        """log(1 + p), log(1 + n), (p + 1) / (p + n + 2), that of the last 5, and the last outcome.

        p and n are the numbers of positive and negative events; the last outcome is 1/2 where there
        is none.
        """
        import tensorflow as tf

        if self.outcome is None:
            count = tf.reduce_sum(self._listed(raw), axis=1)
            return [tf.math.log(1 + count)]
        positive, negative = self._outcomes(raw)

        def rate(first: int) -> tf.Tensor:
            p = tf.reduce_sum(positive[:, :first], axis=1)
            n = tf.reduce_sum(negative[:, :first], axis=1)
            return (p + _PRIOR) / (p + n + 2 * _PRIOR)

        p, n = tf.reduce_sum(positive, axis=1), tf.reduce_sum(negative, axis=1)
        last = (1 + positive[:, 0] - negative[:, 0]) / 2
        recent = rate(min(_RECENT, self.length))
        return [tf.math.log(1 + p), tf.math.log(1 + n), rate(self.length), recent, last]

    def weights(self, raw: Raw) -> tf.Tensor:
        """Weights [B, pools * length]:  w_l = [outcome_l] / max(1, sum_k [outcome_k])."""
        import tensorflow as tf

        if self.outcome is None:
            chosen = {"all": self._listed(raw)}
        else:
            positive, negative = self._outcomes(raw)
            chosen = {"positive": positive, "negative": negative, "all": positive + negative}
        blocks = []
        for pool in self.pools:
            mask = chosen[pool]
            blocks.append(mask / tf.maximum(tf.reduce_sum(mask, axis=1, keepdims=True), 1))
        return tf.concat(blocks, axis=1) if len(blocks) > 1 else blocks[0]

    def _outcomes(self, raw: Raw) -> tuple[tf.Tensor, tf.Tensor]:
        """Masks [B, length] of the positive and of the negative events."""
        import tensorflow as tf

        outcome = raw[self.outcomes]
        one, zero = tf.constant(1, outcome.dtype), tf.constant(0, outcome.dtype)
        # No comparison with NaN, which stands where there is no event, holds.
        return tf.where(outcome >= 0.5, one, zero), tf.where(outcome < 0.5, one, zero)

    def _listed(self, raw: Raw) -> tf.Tensor:
        """Mask [B, length] of the events."""
        import tensorflow as tf

        from ranklite.models.features.columns import MISSING_OF

        values = raw[self.name]
        present = tf.not_equal(values, tf.constant(MISSING_OF[values.dtype], values.dtype))
        return tf.cast(present, tf.float32)

    def id_values(self, learned: Learned) -> int:
        """It has no rows of its own."""
        return 0

    def constants(self, learned: Learned) -> dict[str, Any]:
        """What the feature that it shares has learned is enough."""
        return {}
