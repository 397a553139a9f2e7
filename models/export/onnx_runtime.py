"""Runs and inspects an ONNX file in ONNX Runtime; no TensorFlow, and no TFLite.

Raw features need `onnxruntime` alone. The other signature, operators and constants are for those
who judge a file: they need `onnx` too.
"""

from __future__ import annotations

import collections
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from ranklite.models.export.batches import in_batches
from ranklite.models.export.target import (
    BATCH,
    ENCODER,
    SERVING_DEFAULT,
    SERVING_RAW,
    Array,
    LoadedModel,
    UnreadableModel,
)
from ranklite.models.features.fingerprints import Encoder

if TYPE_CHECKING:
    import onnx

_NAMED = 16  # elements of a constant that a report names
_QUIET = 4  # of ONNX Runtime's log: what is wrong is raised as well


class OnnxModel(LoadedModel):
    """An ONNX model, loaded once and run on one thread.

    Args:
      content: The file's bytes.

    Raises:
      UnreadableModel: The runtime refuses it, or it does not say what it takes.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        session = _session(content)
        try:
            metadata = session.get_modelmeta().custom_metadata_map
            self.signatures: dict[str, dict[str, Any]] = json.loads(metadata["signatures"])
            self.about = {"opset": int(metadata["opset"])}
            note = metadata.get(ENCODER)
            self.encoder = Encoder.of_entry(json.loads(note)) if note else None
        except (KeyError, ValueError) as error:
            raise UnreadableModel(
                "an ONNX file of RankLite names its signatures among its metadata; this one does "
                f"not: {error}"
            ) from error
        main = SERVING_RAW if SERVING_RAW in self.signatures else SERVING_DEFAULT
        self._sessions = {main: session}

    def _run(self, signature: str, inputs: Mapping[str, Array], _: object = None) -> Array:
        about = self.inputs(signature)
        if signature not in self._sessions:
            self._sessions[signature] = _session(graph_of(self.content, signature))
        feeds = {n: _texts(v) if about[n]["dtype"] == "string" else v for n, v in inputs.items()}
        try:
            (scores,) = self._sessions[signature].run(None, feeds)
        except Exception as error:  # the runtime's errors have no class of their own in common
            raise UnreadableModel(f"ONNX Runtime cannot run the file: {error}") from error
        return np.asarray(scores)

    def inputs(self, signature: str = SERVING_DEFAULT) -> dict[str, dict[str, Any]]:
        if signature not in self.signatures:
            raise ValueError(f"no signature {signature!r}; the file has {sorted(self.signatures)}")
        return self.signatures[signature]

    def score(
        self, inputs: Mapping[str, Array], signature: str = SERVING_DEFAULT, batch: int = BATCH
    ) -> npt.NDArray[np.float32]:
        taken = self._taken(inputs, signature)
        named = {name: taken[name] for name in self.inputs(signature)}
        return in_batches(functools.partial(self._run, signature), named, batch)

    def _taken(self, inputs: Mapping[str, Array], signature: str) -> Mapping[str, Array]:
        """Inputs in the types that a signature takes."""
        about = self.inputs(signature)
        types = {name: about[name]["dtype"] for name in about if about[name]["dtype"] != "string"}
        if all(inputs[name].dtype == of for name, of in types.items()):
            return inputs
        if signature == SERVING_RAW and self.encoder:
            return self.encoder.encode(inputs)
        return {n: x.astype(types[n]) if n in types else x for n, x in inputs.items()}

    def operators(self) -> dict[str, int]:
        """How often each operator occurs, over both signatures; those of other domains than ONNX's
        main one have its name before theirs."""
        names = (f"{n.domain}.{n.op_type}".lstrip(".") for n in _nodes(_parsed(self.content)))
        return dict(collections.Counter(name for name in names if name != "Constant"))

    def constants(self) -> list[dict[str, Any]]:
        """Name, dtype, shape and bytes of each constant of the model, the largest first."""
        from onnx import TensorProto, numpy_helper

        model = _parsed(graph_of(self.content, SERVING_DEFAULT))
        result = []
        for tensor in model.graph.initializer:
            shape = list(tensor.dims)
            if np.prod(shape) < _NAMED:
                continue
            if tensor.data_type == TensorProto.INT4:  # two in a byte
                dtype, shape, size = "uint8", [len(tensor.raw_data)], len(tensor.raw_data)
            else:
                values = numpy_helper.to_array(tensor)
                dtype, size = str(values.dtype), int(values.nbytes)
            result.append({"name": tensor.name, "dtype": dtype, "shape": shape, "bytes": size})
        return sorted(result, key=lambda constant: -constant["bytes"])

    def prepared(self, rows: Mapping[str, Array]) -> Callable[[], object]:
        """A call of a session that is made already, as an app would keep it."""
        self.score(rows)
        session = self._sessions[SERVING_DEFAULT]
        taken = self._taken(rows, SERVING_DEFAULT)
        feeds = {name: np.ascontiguousarray(taken[name]) for name in self.inputs()}
        return lambda: session.run(None, feeds)


def graph_of(content: bytes, signature: str) -> bytes:
    """A file whose graph is that of a signature.

    Args:
      content: The file; its graph is that of one signature, and a function of its holds the other.
      signature: Its name.

    Raises:
      ImportError: The package `onnx` is not installed.
    """
    from onnx import helper

    model = _parsed(content)
    functions = [function for function in model.functions if function.name == signature]
    if not functions:
        return content
    about = json.loads({p.key: p.value for p in model.metadata_props}["signatures"])[signature]
    (function,) = functions
    types = {"float32": 1, "int32": 6, "int64": 7, "string": 8}  # of ONNX's TensorProto
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    graph = helper.make_graph(
        list(function.node),
        signature,
        [
            helper.make_tensor_value_info(name, types[of["dtype"]], ["rows", *of["shape"][1:]])
            for name, of in about.items()
        ],
        [helper.make_tensor_value_info(function.output[0], types["float32"], ["rows", 1])],
        [initializers[name] for name in function.input if name in initializers],
    )
    made = helper.make_model(
        graph, opset_imports=list(function.opset_import), ir_version=model.ir_version
    )
    made.metadata_props.extend(model.metadata_props)
    return bytes(made.SerializeToString())


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    # Old processors add products of 8 bits in 16, which overflow; those go a slower way.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors have no class of their own in common
        raise UnreadableModel(f"ONNX Runtime cannot load the file: {error}") from error


def _parsed(content: bytes) -> onnx.ModelProto:
    import onnx

    return onnx.load_model_from_string(content)


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from model.graph.node
    for function in model.functions:
        yield from function.node


def _texts(values: Array) -> Array:
    """Bytes as the texts that ONNX Runtime takes; what is no UTF-8 becomes an unseen value."""
    texts = np.empty(values.shape, np.object_)
    for place, value in np.ndenumerate(values):
        texts[place] = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return texts
