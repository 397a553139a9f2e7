"""Nodes of the pipeline that are called otherwise now than when an earlier run was made."""

from __future__ import annotations

import re

# In stores of earlier runs, in what their Pushers said of refusals, and in `kubeflow.tasks`, whose
# keys `ranklite.pipeline.config.renamed` replaces.
RENAMED = {"LiteConverter": "Exporter", "LiteValidator": "FileValidator"}
_COMPONENT = re.compile(r"\w+")


def current_name(node: str) -> str:
    """What a node is called now: `Exporter.float` for `LiteConverter.float`.

    Args:
      node: The id of a node, as a store of whatever age names it.

    Returns:
      The id that the node has today; of one that was not renamed, its own.
    """
    return _COMPONENT.sub(lambda match: RENAMED.get(match[0], match[0]), node, count=1)
