"""What a person should know of the size of the files before a run trains them; no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from ranklite.models.architectures import file_limit
from ranklite.models.architectures.file_limit import LARGE, OTHERS, shown
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.compression.config import Compression, Search
from ranklite.models.compression.recipe import check_recipe
from ranklite.models.compression.sizes import NotCompressible, WeightSize
from ranklite.models.compression.technique import Step
from ranklite.models.compression.techniques import technique
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.layers.table_config import HashedTable

if TYPE_CHECKING:
    from ranklite.models.architectures.family import FamilySettings

_COMPRESSION: TypeAdapter[Any] = TypeAdapter(Compression)


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a run means to ship, as far as it matters for the size of its files.

    Attributes:
      features: The configured ones.
      steps: Of compression; None where a search chooses them.
      max_bytes: The gate on the shipped file, if any.
      warm_start: Whether the next model takes rows of this one over, which needs a row a value.
    """

    features: FeatureSet
    steps: tuple[Step, ...] | None = ()
    max_bytes: int | None = None
    warm_start: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Expected:
        """That of a run's configuration, as JSON-ready data."""
        keys = set(FeatureSet.model_fields) - {"label"}  # of the log it may be an expression
        features = FeatureSet.model_validate({k: config[k] for k in keys & set(config)})
        steps = _COMPRESSION.validate_python(config.get("compression", ()))
        return cls(
            features,
            None if isinstance(steps, Search) else steps,
            (config.get("gates") or {}).get("max_bytes"),
            bool((config.get("training") or {}).get("warm_start")),
        )

    def words(self, layout: FeatureLayout, model: FamilySettings) -> list[str]:
        """What its tables make of a file, where that is large; none where it is not.

        Args:
          layout: Where the features live in the model's inputs.
          model: Its settings, with those that a search for settings chose.
        """
        if self.steps is not None and self.max_bytes is not None:
            shipped = self._bytes(layout, model)
            if shipped > self.max_bytes:
                size = self._size(layout, model)
                row = size.row_bytes * size.rows / layout.table_rows
                layers = size.bytes - round(size.row_bytes * size.rows)
                largest = file_limit.largest(layout, model, row)
                return [
                    f"the shipped file takes about {shown(shipped)}, more than gates.max_bytes = "
                    f"{shown(self.max_bytes)}: {largest}, layers {shown(layers)}; "
                    + self._ways(layout, model, lambda m: self._bytes(layout, m), self.max_bytes)
                ]
        plain = file_limit.float_bytes(layout, model)
        if plain <= LARGE:
            return []
        return [
            f"the float file takes about {shown(plain)}: {file_limit.largest(layout, model)}; "
            + self._ways(layout, model, lambda m: file_limit.float_bytes(layout, m), LARGE)
        ]

    def of_checkpoint(self, spec: Mapping[str, Any]) -> list[str]:
        """`words` of a checkpoint that was trained, from what it says of itself."""
        layout = FeatureLayout.from_dict(spec["layout"])
        return self.words(layout, parse_settings(spec["config"]))

    def _size(self, layout: FeatureLayout, model: FamilySettings) -> WeightSize:
        size = WeightSize.of(layout, model)
        for step in self.steps or ():
            size = technique(step).weights_after(size)
        return size

    def _bytes(self, layout: FeatureLayout, model: FamilySettings) -> int:
        return self._size(layout, model).bytes + file_limit.vocabulary_bytes(layout)

    def _ways(
        self,
        layout: FeatureLayout,
        model: FamilySettings,
        size: Callable[[FamilySettings], int],
        target: int,
    ) -> str:
        others = f"it takes less with {OTHERS}"
        hashed = file_limit.hashed(layout, model, size, target)
        return f"{others}, or {hashed}" if hashed and self._may_be_hashed(model) else others

    def _may_be_hashed(self, model: FamilySettings) -> bool:
        """Whether the steps take a table that has no row for each value."""
        if self.warm_start:
            return False
        other = model.model_copy(update={"table": HashedTable(kind="hashed", rows=1)})
        try:
            check_recipe(self.steps or (), other, self.features)
        except NotCompressible:
            return False
        return True
