"""Memory of models that are not needed any more.

A Keras model is a circle of objects. Python looks for circles when there are many new objects; how
many bytes hang on them it does not know, and a few dozen tables of millions of rows are few.
"""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Frees what nothing in this process refers to, and returns it to the system where it can.

    TensorFlow with oneDNN keeps what it frees of tensors, for those to come.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)
