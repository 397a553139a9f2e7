"""Quantization: calibrated, trained on with tfmot (Jacob et al. 2018), or after training only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from ranklite.models.compression.sizes import (
    NotCompressible,
    WeightSize,
    check_four_bits,
    check_kernels,
    check_single_valued,
    kernel_shapes,
)
from ranklite.models.compression.technique import (
    Compressed,
    Dimension,
    FineTuned,
    PostConditionFailed,
    Setting,
    Splits,
    Step,
)
from ranklite.models.config import Bytes

if TYPE_CHECKING:
    import tf_keras as keras

    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.compression.fake_quantization import Bits
    from ranklite.models.features.feature_set import FeatureSet
    from ranklite.models.training.config import TrainingConfig

# What the default search varies, from the largest file to the smallest.
ROUNDING: dict[str, dict[str, Any]] = {
    "int8": {},
    "int8_rows": {"table": "int8_per_row"},
    "int4_rows": {"table": "int4_per_row"},
    "int4": {"table": "int4_per_row", "bits": 4},
}


FOUR_BITS, BY_UNIT = "`bits: 4` is for kernels", "`granularity: per_channel` is for kernels"


class Quantization(Step):
    """Stores the weights in fewer bits, and computes with them where the format says so.

    Attributes:
      format: `int8`: weights and activations, calibrated and trained on; `int16x8`: int8 weights
        and 16-bit activations, trained likewise; `dynamic_range`: int8 weights, activations
        rounded while running; `float16`: weights only. The last two need no training.
      epochs: Passes over the train split after calibration; 0 only calibrates, which is
        post-training quantization. By default 1, or 0 where the format needs no training.
      learning_rate: Of Adam.
      calibration_batches: Train batches that set the ranges before the first step.
      bits: Of the tower's kernels: 8, 4, or `mixed`, which takes 4 for the layers (the embedding
        table among them) where it costs least, until the weights fit into `max_weight_bytes`.
      table: The embedding table: `int8` with one scale (in int16x8 one a row), or
        `int8_per_row`, `int4_per_row`.
      granularity: Of the scales of the tower's kernels: `per_tensor`, after cross-layer
        equalization, or `per_channel`, one a unit, with 8 bits in the format int8.
      max_weight_bytes: For `bits: mixed`.
      control: Also train the float model for as long, from the same weights and on the same
        batches, so that the cost of rounding is told apart from the effect of more training.
    """

    technique: Literal["quantize"]
    format: Literal["int8", "int16x8", "dynamic_range", "float16"] = "int8"
    epochs: int = Field(1, ge=0)
    learning_rate: float = Field(1e-4, gt=0.0, le=1.0)
    calibration_batches: int = Field(32, ge=1)
    bits: Literal[8, 4, "mixed"] = 8
    table: Literal["int8", "int8_per_row", "int4_per_row"] = "int8"
    granularity: Literal["per_tensor", "per_channel"] = "per_tensor"
    max_weight_bytes: Bytes | None = None
    control: bool = True

    @model_validator(mode="before")
    @classmethod
    def _untrained_formats(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("format") in ("dynamic_range", "float16"):
            return {"epochs": 0, **data}
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> Quantization:
        if self.format in ("dynamic_range", "float16") and self.epochs:
            raise ValueError(
                f"format {self.format} with epochs {self.epochs}: it rounds after training, so "
                "there is nothing to train: leave epochs out, or choose int8"
            )
        if self.format != "int8" and self.bits != 8:
            raise ValueError(f"format {self.format} with bits {self.bits}: it takes 8, as int8 may")
        if self.format in ("dynamic_range", "float16") and self.table != "int8":
            raise ValueError(
                f"format {self.format} with table {self.table}: rows have scales of their own in "
                "the formats int8 and int16x8 only"
            )
        if (self.bits == "mixed") != (self.max_weight_bytes is not None):
            raise ValueError("`bits: mixed` and `max_weight_bytes` go together")
        if self.bits == 4 and self.table == "int8":
            raise ValueError(
                "bits 4 with table int8: the converter cannot store both; choose table "
                "int8_per_row or int4_per_row"
            )
        if self.granularity == "per_channel" and (self.format != "int8" or self.bits != 8):
            raise ValueError(
                f"granularity: per_channel with format {self.format} and bits {self.bits}: it goes "
                "with format int8 and bits 8"
            )
        if self.bits == "mixed" and self.table != "int8":
            raise ValueError("`bits: mixed` chooses the table's format itself: leave `table` out")
        return self


class Quantize(FineTuned[Quantization]):
    """Calibrates the ranges of a model without batch normalization; trains with fake-quantization.

    tfmot starts its ranges at +-6, those of kernels until the first training step, and moves those
    of activations by a thousandth a step, which a short fine-tuning never recovers from: the ranges
    are measured first, over some batches of the float model. Zeros that pruning left stay zeros.
    The model that is handed on is trained, or only calibrated where that has a lower log loss on
    the validation split by more than noise (`chosen` among its metrics says which).

    Args:
      config: Its settings.
      bits: How many bits each layer gets; None takes what the settings say.
    """

    settings = Quantization
    stage = "quantized"
    place = 600
    component = "Quantizer"
    has_control = True
    keeps = frozenset({"zeros", "clusters"})
    dimensions = (
        Dimension(
            "rounding", tuple(ROUNDING), "{}", ("int8", "int8", "int8", "int4_rows", "int4_rows")
        ),
    )
    example = {"epochs": 1, "calibration_batches": 2}

    def __init__(self, config: Quantization, bits: Bits | None = None) -> None:
        super().__init__(config)
        self._bits = bits

    @classmethod
    def step_at(cls, point: Mapping[str, Any]) -> dict[str, Any] | None:
        return {"epochs": 1, **ROUNDING[point["rounding"]]}

    def after(self, model: FamilySettings, features: FeatureSet) -> FamilySettings:
        if self.config.format == "int16x8":
            check_single_valued([f.name for f in features.id_features if not f.is_single_valued])
        if self.config.bits in (4, "mixed"):
            check_four_bits(model)
        kernels = kernel_shapes(model, features)
        self._check_kernels(kernels)
        if self.config.max_weight_bytes is not None:
            least = sum(a * b for a, b in kernels.values()) // 2
            if self.config.max_weight_bytes < least:
                raise NotCompressible(
                    f"max_weight_bytes is {self.config.max_weight_bytes:,}, but the kernels alone "
                    f"take {least:,} with 4 bits everywhere: raise it, or remove units first"
                )
        return model

    def weights_after(self, size: WeightSize) -> WeightSize:
        per_value = per_weight = 2.0 if self.config.format == "float16" else 1.0
        per_row = size.per_row
        if self.config.bits == 4:
            per_weight = 0.5
        if self.config.table.endswith("per_row"):
            per_value, per_row = (0.5 if self.config.table.startswith("int4") else 1.0), 1.0
        return dataclasses.replace(
            size, per_weight=per_weight, per_value=per_value, per_row=per_row
        )

    def check(self, checkpoint: Checkpoint) -> None:
        if self.config.format == "int16x8":
            check_single_valued([f.name for f in checkpoint.layout.fields if f.length > 1])
        if self.config.bits != 8:
            check_four_bits(checkpoint.config)
        self._check_kernels(checkpoint.parts.kernels)

    def _check_kernels(self, kernels: Mapping[str, tuple[int, int]]) -> None:
        """Raises NotCompressible where a setting is for kernels that the model does not have."""
        if self.config.bits == 4:
            check_kernels(kernels, FOUR_BITS)
        if self.config.granularity == "per_channel":
            check_kernels(kernels, BY_UNIT)

    def bits(self, checkpoint: Checkpoint) -> Bits:
        """How many bits each layer of a model gets."""
        from ranklite.models.compression.fake_quantization import Bits

        if self._bits:
            return self._bits
        config = self.config
        bits = 8 if config.bits == "mixed" else int(config.bits)
        kernels = dict.fromkeys(checkpoint.parts.kernels, bits)
        if config.format == "int16x8":  # a table with one scale would be stored in 16 bits
            table = config.table if config.table != "int8" else "int8_per_row"
            return Bits(kernels, table, activations=16)
        return Bits(kernels, config.table, per_channel=config.granularity == "per_channel")

    def prepare(
        self, checkpoint: Checkpoint, splits: Splits, training: TrainingConfig
    ) -> Checkpoint:
        from ranklite.models.architectures.fold_batch_norm import fold_batch_norm

        return fold_batch_norm(checkpoint)

    def wrap(self, checkpoint: Checkpoint, steps_per_epoch: int) -> keras.Model:
        from ranklite.models.compression.fake_quantization import fake_quantized

        return fake_quantized(checkpoint, self.bits(checkpoint))

    def initialize(self, model: keras.Model, checkpoint: Checkpoint, splits: Splits) -> None:
        from ranklite.models.compression.calibration import start_ranges

        batches = self.config.calibration_batches
        start_ranges(model, checkpoint, self.bits(checkpoint), splits, batches)

    def callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        from ranklite.models.compression.invariants import KeepClusters, KeepZeros, masks

        return [KeepClusters(model), KeepZeros(model, masks(model))]

    def verify(self, before: Checkpoint, model: keras.Model) -> dict[str, Any]:
        from ranklite.models.compression.invariants import Clusters, Zeros
        from ranklite.models.compression.sparsity import sparsity, total_sparsity

        for invariant in (Zeros(), Clusters()):
            if broken := invariant.broken(before.model, model):
                raise PostConditionFailed(broken)
        return {"sparsity": total_sparsity(model), "sparsity_by_layer": sparsity(model)}

    def with_bits(self, bits: Bits | None) -> Quantize:
        """The same settings with other bits for each layer."""
        return Quantize(self.config, bits)

    def apply(
        self, checkpoint: Checkpoint | None, setting: Setting, log_dir: str | None = None
    ) -> Compressed:
        from ranklite.models.compression.qat import quantize

        assert checkpoint is not None
        return quantize(self, checkpoint, setting, log_dir=log_dir)

    def control(self, checkpoint: Checkpoint, setting: Setting) -> Checkpoint:
        from ranklite.models.compression.qat import calibrated, train_control

        start = checkpoint
        if self.config.epochs and self.config.format in ("int8", "int16x8"):
            start = calibrated(self, start, setting.splits).form  # what it started from
        return train_control(self, start, setting)
