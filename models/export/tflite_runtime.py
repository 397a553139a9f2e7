"""Runs and inspects a TFLite file in ai-edge-litert, the runtime that ships it; no TensorFlow."""

from __future__ import annotations

import collections
import gzip
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

Array = npt.NDArray[Any]

SERVING_DEFAULT = "serving_default"
SERVING_RAW = "serving_raw"
SCORE = "score"
BATCH = 512
PATIENCE = 10  # how many times longer a file is measured that seems too slow
TFLITE_FILE = "tflite"  # where TFMA looks for a TFLite model, in its folder

# Operators that only other runtimes have, or that hide a fallback to TensorFlow.
FOREIGN_PREFIXES = ("Flex", "CUSTOM", "DELEGATE")


class UnreadableModel(ValueError):
    """A file is not a TFLite model that this runtime can load."""


class LiteModel:
    """A TFLite model, loaded once and run on one thread.

    Args:
      content: The file's bytes, or its path.

    Raises:
      UnreadableModel: The runtime refuses it.
    """

    def __init__(self, content: bytes | str) -> None:
        if isinstance(content, str):
            with open(content, "rb") as file:
                content = file.read()
        self.content = content
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
            self.signatures: dict[str, Any] = self._interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise UnreadableModel(f"ai-edge-litert cannot load the file: {error}") from error
        self._runners: dict[str, Any] = {}

    def try_out(self) -> None:
        """Runs each signature on a row of nothing: some files load that no kernel can be made for.

        Raises:
          UnreadableModel: One of them cannot be run.
        """
        for signature in self.signatures:
            row = {
                name: np.full(
                    [1, *about["shape"][1:]],
                    b"" if about["dtype"] == "string" else np.dtype(about["dtype"]).type(0),
                )
                for name, about in self.inputs(signature).items()
            }
            self.score(row, signature)

    def _runner(self, signature: str) -> Any:
        if signature not in self.signatures:
            raise ValueError(f"no signature {signature!r}; the file has {sorted(self.signatures)}")
        if signature not in self._runners:
            self._runners[signature] = self._interpreter.get_signature_runner(signature)
        return self._runners[signature]

    def inputs(self, signature: str = SERVING_DEFAULT) -> dict[str, dict[str, Any]]:
        """Name -> `shape` (-1: batch) and `dtype` of a signature's inputs."""
        return {
            name: {
                "shape": [int(n) for n in detail["shape_signature"]],
                "dtype": "string" if detail["dtype"] == np.bytes_ else detail["dtype"].__name__,
            }
            for name, detail in self._runner(signature).get_input_details().items()
        }

    def score(
        self, inputs: dict[str, Array], signature: str = SERVING_DEFAULT, batch: int = BATCH
    ) -> npt.NDArray[np.float32]:
        """Probabilities [R] of R rows.

        Args:
          inputs: Arrays by input name, R rows each.
          signature: Which signature to run.
          batch: Rows at a time.

        Raises:
          UnreadableModel: The runtime fails on an operator.
        """
        run = self._runner(signature)
        rows = len(next(iter(inputs.values())))
        try:
            parts = [
                run(**{name: value[start : start + batch] for name, value in inputs.items()})[SCORE]
                for start in range(0, rows, batch)
            ]
        except RuntimeError as error:
            raise UnreadableModel(f"ai-edge-litert cannot run the file: {error}") from error
        return np.concatenate(parts)[:, 0] if parts else np.zeros(0, np.float32)

    def operators(self) -> dict[str, int]:
        """How often each operator occurs, over all subgraphs; `DELEGATE` nodes are left out."""
        plain = Interpreter(
            model_content=self.content, experimental_op_resolver_type=_no_delegates()
        )
        plain.allocate_tensors()
        return dict(collections.Counter(op["op_name"] for op in plain._get_ops_details()))

    def constants(self) -> list[dict[str, Any]]:
        """Name, dtype, shape and bytes of each constant of the main graph, the largest first."""
        fresh = Interpreter(
            model_content=self.content, experimental_op_resolver_type=_no_delegates()
        )
        found = []
        for detail in fresh.get_tensor_details():
            try:
                tensor = fresh.get_tensor(detail["index"])
            except ValueError:
                continue  # not a constant: it has no value before memory is given out
            if detail["name"].startswith(SERVING_DEFAULT) or tensor.size < 16:
                continue
            found.append(
                {
                    "name": detail["name"].split(";")[0],
                    "dtype": str(tensor.dtype),
                    "shape": [int(n) for n in tensor.shape],
                    "bytes": int(tensor.nbytes),
                }
            )
        return sorted(found, key=lambda constant: -constant["bytes"])

    def integer_share(self) -> float:
        """Share of the constant bytes in the main graph that are 8-bit or packed, or row scales."""
        found = self.constants()
        integers = sum(c["bytes"] for c in found if c["dtype"] in ("int8", "uint8", "int16"))
        return integers / sum(c["bytes"] for c in found) if found else 0.0

    @property
    def gzip_bytes(self) -> int:
        """Size of the file once compressed, as an app store or a download would."""
        return len(gzip.compress(self.content, 9, mtime=0))

    def latency(
        self,
        inputs: dict[str, Array],
        batch: int,
        limit: float | None = None,
        seconds: float = 0.3,
    ) -> float:
        """Microseconds a row of `serving_default`, one thread, Python's call included.

        The fastest of several rounds: what else the machine does only ever adds time.

        Args:
          inputs: At least one row; repeated to fill the batch.
          batch: Rows a call.
          limit: Measuring goes on, for up to ten times as long, while it takes longer than this: a
            busy machine is no reason to refuse a file.
          seconds: How long to measure.
        """
        interpreter = Interpreter(model_content=self.content, num_threads=1)
        details = interpreter.get_input_details()
        feeds = []
        for detail in details:
            name = detail["name"].removeprefix(f"{SERVING_DEFAULT}_").split(":")[0]
            rows = np.resize(inputs[name], (batch, *inputs[name].shape[1:]))
            interpreter.resize_tensor_input(detail["index"], rows.shape)
            feeds.append((detail["index"], rows))
        interpreter.allocate_tensors()
        output = interpreter.get_output_details()[0]["index"]

        def call() -> None:
            for index, rows in feeds:
                interpreter.set_tensor(index, rows)
            interpreter.invoke()
            interpreter.get_tensor(output)

        for _ in range(20):
            call()
        fastest, begin = float("inf"), time.perf_counter()
        while True:
            start = time.perf_counter()
            for _ in range(10):
                call()
            now = time.perf_counter()
            fastest = min(fastest, (now - start) / 10 / batch * 1e6)
            is_slow = limit is not None and fastest > limit
            if now - begin > (PATIENCE if is_slow else 1) * seconds:
                return fastest


def _no_delegates() -> Any:
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
