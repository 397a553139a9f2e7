"""pyarrow, made safe for files that others wrote.

Below 14.0.1 it takes Python objects out of the schema of a Parquet or Arrow file, unpickles them,
and so runs whatever code the file brings (CVE-2023-47248). The package pyarrow-hotfix takes that
away; Beam, which asks for it, imports it, but not every process of ours imports Beam.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

_SAFE = (14, 0, 1)


def safe_arrow() -> Any:
    """The module `pyarrow`, which runs no code that a file brings.

    Returns:
      The module.

    Raises:
      ImportError: There is no pyarrow, or one that is not safe and cannot be made so.

    Example:
      >>> schema = safe_arrow().schema([])
      >>> len(schema)
      0
    """
    pa = importlib.import_module("pyarrow")
    if tuple(map(int, re.findall(r"\d+", pa.__version__)[:3])) < _SAFE:
        try:
            importlib.import_module("pyarrow_hotfix")  # importing it is all that it takes
        except ImportError:
            raise ImportError(
                f"pyarrow {pa.__version__} runs code that a file brings: "
                "pip install pyarrow-hotfix, or a pyarrow from 14.0.1 on"
            ) from None
    return pa


def safe_parquet() -> Any:
    """The module `pyarrow.parquet`, made safe by `safe_arrow`; raises what that does."""
    safe_arrow()
    return importlib.import_module("pyarrow.parquet")
