"""What differs between the stacks, TFX 1.16 and TFX 1.21, with the reason; nothing else asks.

Where both have a way, the code takes that one: DuckDB's `to_arrow_reader`, kfp's own health check,
scikit-learn's `auc` instead of NumPy's `trapz`. docs/stacks.md lists what is tested where.
"""

from __future__ import annotations

import os
import sys


def import_tensorflow() -> None:
    """Imports TensorFlow without its words on what is absent, CUDA above all.

    TF 2.16 keeps them back where TF_CPP_MIN_LOG_LEVEL says so; TF 2.21 says them while it is
    loaded, before it looks at that variable.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
