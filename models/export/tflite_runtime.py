"""Runs and inspects a TFLite file in ai-edge-litert, the runtime that ships it; no TensorFlow."""

from __future__ import annotations

import collections
import functools
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from ranklite.models.export.batches import in_batches
from ranklite.models.export.mapped import MappedFile
from ranklite.models.export.quiet import without_runtime_log
from ranklite.models.export.target import (
    BATCH,
    ENCODER,
    SCORE,
    SERVING_DEFAULT,
    SERVING_RAW,
    Array,
    LoadedModel,
    UnreadableModel,
)
from ranklite.models.features.fingerprints import Encoder

if TYPE_CHECKING:
    from ranklite.models.export.tflite_halves import LiteHalves

# What a runner of the runtime is made of; one that is made otherwise runs as it likes.
_PARTS = {"_interpreter_wrapper", "_subgraph_index", "_inputs", "_outputs"}
_TAKEN = (np.dtype(np.int32).char, np.dtype(np.float32).char)


class LiteModel(LoadedModel):
    """A TFLite model, loaded once and run on one thread.

    Args:
      content: The file's bytes, its path, or the file itself, which may be closed then.

    Raises:
      UnreadableModel: The runtime refuses it.
    """

    def __init__(self, content: bytes | str | MappedFile) -> None:
        if isinstance(content, str):
            with open(content, "rb") as file:
                content = file.read()
        self._bytes: Any = content if isinstance(content, bytes) else content.bytes
        if isinstance(content, MappedFile) and content.path:
            given: dict[str, Any] = {"model_path": content.path}
        else:
            given = {"model_content": self.content}
        try:
            with without_runtime_log():
                self._interpreter = Interpreter(**given, num_threads=1)
                self._interpreter.allocate_tensors()
            self.signatures: dict[str, Any] = self._interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise UnreadableModel(f"ai-edge-litert cannot load the file: {error}") from error
        self._runners: dict[str, Any] = {}
        self._calls: dict[str, _Call] = {}  # of each signature, with the shapes of the last one
        self._types: dict[str, dict[str, Any]] = {}
        self._halves: dict[tuple[frozenset[str], ...], LiteHalves | None] = {}

    @property
    def content(self) -> bytes:  # type: ignore[override]
        """Of a mapped file, a copy."""
        return bytes(self._bytes)

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
        call = self._calls.get(signature)
        if call is None:
            call = self._calls[signature] = _Call(self._runner(signature))
        try:
            return in_batches(call, self._taken(inputs, signature), batch)
        except RuntimeError as error:
            raise UnreadableModel(f"ai-edge-litert cannot run the file: {error}") from error

    def halves(self, of_items: Collection[str], once: Collection[str]) -> LiteHalves | None:
        key = (frozenset(of_items), frozenset(once))
        if key not in self._halves:
            from ranklite.models.export.tflite_halves import halves

            self._halves[key] = halves(self.content, SERVING_RAW, *key)
        return self._halves[key]

    def _taken(self, inputs: Mapping[str, Array], signature: str) -> Mapping[str, Array]:
        """Inputs in the types that a signature takes."""
        for values in inputs.values():
            if values.dtype.char not in _TAKEN:
                break
        else:
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


class _Call:
    """Runs a signature; inputs are resized where there are more or fewer rows than in the last run.

    The runtime's own runner does so in each call, which takes two thirds of one of a row.

    Args:
      runner: Of the runtime.

    Attributes:
      resized: How often that was.
    """

    def __init__(self, runner: Any) -> None:
        self._runner, self._rows, self.resized = runner, list[Any](), 0
        self._is_plain = vars(runner).keys() >= _PARTS
        if self._is_plain:
            self._wrapper, self._graph = runner._interpreter_wrapper, runner._subgraph_index
            self._inputs: dict[str, int] = runner._inputs
            self._score: int = dict(runner._outputs)[SCORE]

    def __call__(self, inputs: Mapping[str, Array], changed: Iterable[str]) -> Array:
        """Scores [B, 1].

        Args:
          inputs: All of them.
          changed: Names of those that are others than in the last call.
        """
        rows = [*inputs, *map(len, inputs.values())]
        if rows != self._rows or not self._is_plain:
            self._rows = []
            scores: Array = self._runner(**inputs)[SCORE]
            self._rows, self.resized = rows, self.resized + 1
            return scores
        set_tensor, graph = self._wrapper.SetTensor, self._graph
        for name in changed:
            set_tensor(self._inputs[name], inputs[name], graph)
        self._wrapper.Invoke(graph)
        result: Array = self._wrapper.GetTensor(self._score, graph)
        return result


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
