"""Runs and inspects a TFLite file in ai-edge-litert, the runtime that ships it; no TensorFlow."""

from __future__ import annotations

import collections
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from ranklite.models.export.quiet import without_runtime_log
from ranklite.models.export.target import (
    BATCH,
    ENCODER,
    SCORE,
    SERVING_DEFAULT,
    Array,
    LoadedModel,
    UnreadableModel,
    in_batches,
)
from ranklite.models.features.fingerprints import Encoder

# What a runner of the runtime is made of; one that is made otherwise runs as it likes.
_PARTS = {"_interpreter_wrapper", "_subgraph_index", "_inputs", "_outputs"}


class LiteModel(LoadedModel):
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
            with without_runtime_log():
                self._interpreter = Interpreter(model_content=content, num_threads=1)
                self._interpreter.allocate_tensors()
            self.signatures: dict[str, Any] = self._interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise UnreadableModel(f"ai-edge-litert cannot load the file: {error}") from error
        self._runners: dict[str, Any] = {}
        self._shapes: dict[str, dict[str, tuple[int, ...]]] = {}  # of the last call's inputs
        self._types: dict[str, dict[str, Any]] = {}

    @functools.cached_property
    def encoder(self) -> Encoder | None:  # type: ignore[override]
        """As the file's metadata say."""
        text = note(self.content, ENCODER)
        return Encoder.of_entry(json.loads(text)) if text else None

    def _runner(self, signature: str) -> Any:
        if signature not in self.signatures:
            raise ValueError(f"no signature {signature!r}; the file has {sorted(self.signatures)}")
        if signature not in self._runners:
            self._runners[signature] = self._interpreter.get_signature_runner(signature)
        return self._runners[signature]

    def inputs(self, signature: str = SERVING_DEFAULT) -> dict[str, dict[str, Any]]:
        return {
            name: {
                # Of strings the runtime tells how many rows were scored last.
                "shape": [-1, *(int(n) for n in detail["shape_signature"][1:])],
                "dtype": "string" if detail["dtype"] == np.bytes_ else detail["dtype"].__name__,
            }
            for name, detail in self._runner(signature).get_input_details().items()
        }

    def score(
        self, inputs: Mapping[str, Array], signature: str = SERVING_DEFAULT, batch: int = BATCH
    ) -> npt.NDArray[np.float32]:
        self._runner(signature)  # raises where there is no such signature
        run = functools.partial(self._run, signature)
        try:
            return in_batches(run, self._taken(inputs, signature), batch)
        except RuntimeError as error:
            raise UnreadableModel(f"ai-edge-litert cannot run the file: {error}") from error

    def _run(self, signature: str, inputs: Mapping[str, Array]) -> Array:
        """Scores [B, 1]; inputs are resized where a shape is another than in the last call.

        The runtime's own runner does so in each call, which takes two thirds of one of a row.
        """
        runner = self._runner(signature)
        shapes = {name: values.shape for name, values in inputs.items()}
        if shapes != self._shapes.get(signature) or not vars(runner).keys() >= _PARTS:
            self._shapes.pop(signature, None)
            scores: Array = runner(**inputs)[SCORE]
            self._shapes[signature] = shapes
            return scores
        wrapper, graph = runner._interpreter_wrapper, runner._subgraph_index
        for name, values in inputs.items():
            wrapper.SetTensor(runner._inputs[name], values, graph)
        wrapper.Invoke(graph)
        result: Array = wrapper.GetTensor(dict(runner._outputs)[SCORE], graph)
        return result

    def _taken(self, inputs: Mapping[str, Array], signature: str) -> Mapping[str, Array]:
        """Inputs in the types that a signature takes."""
        if all(values.dtype in (np.int32, np.float32) for values in inputs.values()):
            return inputs
        if signature != SERVING_DEFAULT and self.encoder:
            return self.encoder.encode(inputs)
        if signature not in self._types:
            details = self._runner(signature).get_input_details()
            self._types[signature] = {name: detail["dtype"] for name, detail in details.items()}
        types = self._types[signature]
        return {n: x.astype(types[n]) if x.dtype.kind == "i" else x for n, x in inputs.items()}

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
        result = []
        for detail in fresh.get_tensor_details():
            try:
                tensor = fresh.get_tensor(detail["index"])
            except ValueError:
                continue  # not a constant: it has no value before memory is given out
            if detail["name"].startswith(SERVING_DEFAULT) or tensor.size < 16:
                continue
            result.append(
                {
                    "name": detail["name"].split(";")[0],
                    "dtype": str(tensor.dtype),
                    "shape": [int(n) for n in tensor.shape],
                    "bytes": int(tensor.nbytes),
                }
            )
        return sorted(result, key=lambda constant: -constant["bytes"])

    def prepared(self, rows: Mapping[str, Array]) -> Callable[[], object]:
        """A call that sets the rows, invokes an interpreter of its own and reads the scores."""
        interpreter = Interpreter(model_content=self.content, num_threads=1)
        details = interpreter.get_input_details()
        feeds = []
        rows = self._taken(rows, SERVING_DEFAULT)
        for detail in details:
            name = detail["name"].removeprefix(f"{SERVING_DEFAULT}_").split(":")[0]
            interpreter.resize_tensor_input(detail["index"], rows[name].shape)
            feeds.append((detail["index"], rows[name]))
        interpreter.allocate_tensors()
        output = interpreter.get_output_details()[0]["index"]

        def call() -> None:
            for index, values in feeds:
                interpreter.set_tensor(index, values)
            interpreter.invoke()
            interpreter.get_tensor(output)

        return call


def note(content: bytes, name: str) -> str | None:
    """A text in a file's metadata."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    for k in range(model.MetadataLength()):
        entry = model.Metadata(k)
        if entry.Name() == name.encode():
            data = model.Buffers(entry.Buffer()).DataAsNumpy()
            return bytes(data).decode()
    return None


def _no_delegates() -> Any:
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
