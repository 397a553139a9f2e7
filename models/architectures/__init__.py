"""Model families, their parts, and the checkpoint that one stage hands to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ranklite.models.registry import Registry

if TYPE_CHECKING:
    from ranklite.models.architectures.family import Family

FAMILIES: Registry[type[Family[Any]]] = Registry(
    "model family",
    "ranklite.families",
    {
        "deepfm": "ranklite.models.architectures.deepfm:DeepFM",
        "dcn_v2": "ranklite.models.architectures.dcn_v2:DCNv2",
        "gru4rec": "ranklite.models.architectures.gru4rec:GRU4Rec",
    },
)
DEFAULT_FAMILY = "deepfm"  # of settings that name none
