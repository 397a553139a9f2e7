"""Quantizer."""

from __future__ import annotations

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter

from ranklite.components.compressor.base import Compressor, CompressorSpec
from ranklite.components.quantizer.executor import Executor


class QuantizerSpec(CompressorSpec):
    """Specification of Quantizer."""

    OUTPUTS = {
        **CompressorSpec.OUTPUTS,
        "control": ChannelParameter(type=standard_artifacts.Model),
    }


class Quantizer(Compressor):
    """Quantizes a model, pruned or not, to int8; its `config` is JSON of a Quantization."""

    TECHNIQUES = ("quantize",)
    SPEC_CLASS = QuantizerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
