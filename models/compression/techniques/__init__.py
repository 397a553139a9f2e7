"""Compression techniques. A new one is a file here with a line in TECHNIQUES, its settings and its
place in the order in `compression_config`, and what it does to sizes in `recipe_rules`."""

from __future__ import annotations

from typing import Any

from ranklite.models.compression.clustering import Cluster
from ranklite.models.compression.config import CompressionStep
from ranklite.models.compression.pruning import Prune
from ranklite.models.compression.quantization import Quantize
from ranklite.models.compression.rounding import quantize
from ranklite.models.compression.rows import PruneRows
from ranklite.models.compression.rules import NotCompressible
from ranklite.models.compression.technique import PostConditionFailed, Splits, Technique, compress
from ranklite.models.compression.units import RemoveUnits

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
