"""Nodes of the pipeline that are called otherwise now than when an earlier run was made."""

from __future__ import annotations

import re

# In stores of earlier runs, in what their Pushers said of refusals, and in `kubeflow.tasks`.
RENAMED = {"LiteConverter": "Exporter", "LiteValidator": "FileValidator"}
_COMPONENT = re.compile(r"\w+")


def current_name(node: str) -> str:
    """What a node is called now.

    Args:
      node: The id of a node, or the name of its task on Kubeflow (`LiteConverter-float`).

    Example:
      >>> current_name("LiteConverter.float")
      'Exporter.float'
    """
    return _COMPONENT.sub(lambda match: RENAMED.get(match[0], match[0]), node, count=1)
