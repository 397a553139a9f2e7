"""A feature kind from outside of RankLite, in one file: parts of a day.

[project.entry-points."ranklite.kinds"]
day_part = "toy_kind:DayPart"
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from ranklite.models.config import Name
from ranklite.models.features.kind import ComputedIds, Example, Number
from ranklite.models.features.layout import MISSING, OOV, RESERVED_ROWS
from ranklite.models.features.raw_column import RawColumn

if TYPE_CHECKING:
    import tensorflow as tf

    from ranklite.models.features.kind import Raw

PARTS = 4


class DayPart(ComputedIds):
    """Night, morning, afternoon or evening, of a weekday or of a weekend, and how late it is.

    Attributes:
      name: Of the feature.
      hour: Column of the hour, 0 to 23; None takes the feature's name.
      weekend: Column that is 1 on a weekend; None does not tell days apart.
    """

    kind: Literal["day_part"]
    hour: Name | None = None
    weekend: Name | None = None

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        hours = (0, 23, 12, None, 6, 5, 24, 18, -1)
        return (
            Example({"name": "clock"}, tuple({"clock": hour} for hour in hours)),
            Example(
                {"name": "part", "hour": "clock", "weekend": "weekend"},
                tuple(
                    {"clock": hour, "weekend": (0, 1, None)[k % 3]} for k, hour in enumerate(hours)
                ),
            ),
        )

    @property
    def _hour(self) -> str:
        return self.hour or self.name

    def raw_columns(self) -> tuple[RawColumn, ...]:
        names = [self._hour, *([self.weekend] if self.weekend else [])]
        return tuple(RawColumn(name, "int64", kind=self.kind) for name in names)

    @property
    def num_values(self) -> int:
        return 2 * PARTS if self.weekend else PARTS

    def id_rows(self, raw: Raw) -> tf.Tensor:
        import tensorflow as tf

        from ranklite.models.features.columns import MISSING_OF

        hour = raw[self._hour]
        part = sum(tf.cast(hour >= start, tf.int32) for start in (6, 12, 18))
        if self.weekend:
            part += PARTS * tf.cast(tf.equal(raw[self.weekend], 1), tf.int32)
        rows = tf.where((hour >= 0) & (hour < 24), part + RESERVED_ROWS, OOV)
        return tf.where(tf.equal(hour, MISSING_OF[hour.dtype]), MISSING, rows)

    @property
    def numbers(self) -> tuple[Number, ...]:
        return (Number(f"{self.name}_of_day", standardized=False, missing_indicator=True),)

    def to_numbers(self, raw: Raw) -> list[tf.Tensor]:
        import tensorflow as tf

        hour = raw[self._hour]
        share = tf.cast(hour, tf.float32) / 24
        return [tf.where((hour >= 0) & (hour < 24), share, tf.constant(math.nan))]
