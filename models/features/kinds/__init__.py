"""The kinds of features: a name in a configuration, and the file that says all about it.

A new kind is one file with a class that is a `models.features.kind.FeatureKind`, and a line here,
or an entry point of another package:

    [project.entry-points."ranklite.kinds"]
    geohash = "geo.ranklite_kind:Geohash"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranklite.models.registry import Registry

if TYPE_CHECKING:
    from ranklite.models.features.kind import FeatureKind

KINDS: Registry[type[FeatureKind]] = Registry(
    "feature kind",
    "ranklite.kinds",
    {
        name: f"ranklite.models.features.kinds.{path}"
        for name, path in {
            "categorical": "categorical:CategoricalFeature",
            "multi_categorical": "multi_categorical:MultiCategoricalFeature",
            "numeric": "numeric:NumericFeature",
            "history": "history:HistoryFeature",
            "aggregate": "aggregate:AggregateFeature",
        }.items()
    },
)
