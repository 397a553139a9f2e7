"""Lets TensorFlow Transform trace and load once what it would trace and load again, the same."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from tensorflow_transform import impl_helper
from tensorflow_transform.beam import impl


@contextlib.contextmanager
def traced_and_loaded_once() -> Iterator[None]:
    """Within, equal calls share one result.

    TFX's executor looks at the preprocessing function four times before it analyzes, each time in a
    trace of its own of the same function: for the columns that are analyzed, twice, for those that
    are transformed, and for the keys of a cache. Then each split loads the saved graph anew. With
    few rows these are a third of the stage. TFT has no public way to say so; the results are only
    read, and the loaded graph is what TFT shares between threads anyhow. Workers in other processes
    do as they always did.
    """
    maker: Any = impl._RunMetaGraphDoFn
    trace, load = impl_helper.trace_preprocessing_function, maker._make_graph_state
    traces, graphs = _Made(), _Made()

    def traced(
        preprocessing_fn: Callable[..., Any],
        input_specs: Mapping[str, Any],
        use_tf_compat_v1: bool,
        base_temp_dir: str | None = None,
    ) -> Any:
        arguments = (preprocessing_fn, input_specs, use_tf_compat_v1, base_temp_dir)
        key = (preprocessing_fn, tuple(input_specs.items()), use_tf_compat_v1, base_temp_dir)
        return traces.get(key, lambda: trace(*arguments))

    def loaded(self: Any, saved_model_dir: str) -> Any:
        inputs, excluded = self._get_input_tensor_names(), self._exclude_outputs
        key = (saved_model_dir, frozenset(inputs), frozenset(excluded), self._use_tf_compat_v1)
        return graphs.get(key, lambda: load(self, saved_model_dir))

    impl_helper.trace_preprocessing_function, maker._make_graph_state = traced, loaded
    try:
        yield
    finally:
        impl_helper.trace_preprocessing_function, maker._make_graph_state = trace, load


class _Made:
    """Results by key, made one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._results:
                self._results[key] = make()
            return self._results[key]
