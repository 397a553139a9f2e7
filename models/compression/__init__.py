"""Compression techniques. A new one is a file here with a line in TECHNIQUES, its settings and its
place in the order in `compression_config`, and what it does to sizes in `recipe_rules`."""

from __future__ import annotations

from typing import Any

from models.compression.base import (
    PostConditionFailed,
    Splits,
    Technique,
    compress,
)
from models.compression.clustering import Cluster
from models.compression.pruning import Prune
from models.compression.quantization import Quantize
from models.compression.rounding import quantize
from models.compression.rows import PruneRows
from models.compression.units import RemoveUnits
from models.compression_config import CompressionStep
from models.recipe_rules import NotCompressible

TECHNIQUES: dict[str, type[Technique[Any]]] = {
    "prune": Prune,
    "cluster": Cluster,
    "prune_units": RemoveUnits,
    "prune_rows": PruneRows,
    "quantize": Quantize,
}


def technique(step: CompressionStep) -> Technique[Any]:
    """The technique that a step of the configuration asks for."""
    return TECHNIQUES[step.technique](step)


__all__ = [
    "TECHNIQUES",
    "NotCompressible",
    "PostConditionFailed",
    "Splits",
    "Technique",
    "compress",
    "quantize",
    "technique",
]
