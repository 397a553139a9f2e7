"""Names that are given more than once."""

from __future__ import annotations

import collections
from collections.abc import Iterable


def twice(names: Iterable[str]) -> list[str]:
    """Those that stand there more than once, each once, sorted.

    Args:
      names: However many: it takes one pass.

    Returns:
      Nothing where all differ.

    Example:
        >>> twice(["user", "item", "hour", "user"])
        ['user']
    """
    return sorted(name for name, count in collections.Counter(names).items() if count > 1)
