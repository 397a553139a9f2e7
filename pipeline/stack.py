"""What differs between the stacks, TFX 1.16 and TFX 1.21, with the reason; nothing else asks.

Where both have a way, the code takes that one: DuckDB's `to_arrow_reader`, kfp's own health check,
scikit-learn's `auc` instead of NumPy's `trapz`. docs/stacks.md lists what is tested where.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


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


@contextlib.contextmanager
def beam_in_process() -> Iterator[None]:
    """Beam's DirectRunner stays in this process.

    TFX 1.21's fetches Prism from the internet, if it can, and has that program run the pipeline;
    if it cannot, it goes on as TFX 1.16's does. A run should not depend on which of them it was.

    Raises (inside):
      RuntimeError: Prism was asked for by name.
    """
    try:
        from apache_beam.runners.portability import prism_runner
    except ImportError:  # before Beam 2.6x
        yield
        return

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Beam's PrismRunner fetches and runs a program: choose another runner")

    runner: Any = prism_runner.PrismRunner
    run_pipeline, runner.run_pipeline = runner.run_pipeline, refuse
    try:
        yield
    finally:
        runner.run_pipeline = run_pipeline
