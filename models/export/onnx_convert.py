"""Exports a model to one ONNX file with both signatures over the same weights.

The TFLite file is translated operator by operator: what it computes in integers, with which scales,
and how its tables are stored are the same in both, and nothing is calibrated a second time. An ONNX
file has one graph, which is that of raw features. The other signature is a function of the file
beside it, as ONNX calls a named list of nodes, over the same initializers: `onnx_runtime.graph_of`
makes a graph of it.
"""

from __future__ import annotations

import json
from typing import Any

import onnx
from onnx import helper

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.export.onnx_lookups import ML
from ranklite.models.export.onnx_operators import translate
from ranklite.models.export.onnx_writer import DTYPES, Constants, Writer
from ranklite.models.export.target import ENCODER, SCORE, SERVING_DEFAULT, SERVING_RAW
from ranklite.models.export.tflite_convert import to_tflite
from ranklite.models.export.tflite_graph import File, Graph, read
from ranklite.models.features.raw_signature import RawFeatures

DOMAIN = "ranklite"
SIGNATURES = "signatures"  # of the metadata: JSON of what each signature takes
PRODUCER = "RankLite"
# The least that a runtime has to know: ONNX Runtime 1.14, and 1.18 for integers of 4 or 16 bits.
OPSET, IR_VERSION = 18, 8
WIDE_OPSET, WIDE_IR_VERSION = 21, 10
_WIDE = {onnx.TensorProto.INT4, onnx.TensorProto.INT16}
_ML_OPSET = 3


def to_onnx(checkpoint: Checkpoint, raw: RawFeatures | None = None) -> bytes:
    """Converts a model to ONNX's operators.

    Args:
      checkpoint: The model; its `format` says how its weights are stored.
      raw: Adds the signature on raw features.

    Returns:
      The file. Its metadata say what each signature takes.

    Raises:
      NotExportable: An operator has no translation.
    """
    return from_tflite(to_tflite(checkpoint, raw))


def from_tflite(content: bytes) -> bytes:
    """Translates a TFLite file.

    Raises:
      NotExportable: An operator has no translation.
    """
    file, constants = read(content), Constants()
    # The model's own constants come first, by their names.
    writers = {
        name: Writer(file.graphs[name], constants, name.removeprefix("serving_"))
        for name in (SERVING_DEFAULT, SERVING_RAW)
        if name in file.graphs
    }
    for name, writer in writers.items():
        translate(writer, file.tables)
        _name_score(writer, file.graphs[name])
    main = SERVING_RAW if SERVING_RAW in writers else SERVING_DEFAULT
    used = _used(writers[main])
    graph = helper.make_graph(
        writers[main].nodes,
        main,
        _inputs(file, main),
        [
            helper.make_tensor_value_info(
                _output(file.graphs[main]), onnx.TensorProto.FLOAT, ["scores", 1]
            )
        ],
        [tensor for name, tensor in constants.tensors.items() if name in used],
    )
    opset, ir_version = _versions(constants, writers[main].nodes)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, _ML_OPSET)]
    functions = []
    if main != SERVING_DEFAULT:
        functions = [_function(writers[SERVING_DEFAULT], constants, used, opsets)]
        opsets = [*opsets, helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(
        graph,
        functions=functions,
        opset_imports=opsets,
        ir_version=ir_version,
        producer_name=PRODUCER,
    )
    signatures = {name: _described(file, name) for name in writers}
    notes = {SIGNATURES: json.dumps(signatures), "opset": str(opset)}
    helper.set_model_props(model, notes | ({ENCODER: file.encoder} if file.encoder else {}))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _name_score(writer: Writer, graph: Graph) -> None:
    """Gives the score its name."""
    last = writer.name(graph.outputs[SCORE])
    (node,) = (node for node in writer.nodes if last in node.output)
    node.output[list(node.output).index(last)] = _output(graph)


def _output(graph: Graph) -> str:
    """An input of the same name goes first: an ONNX graph calls nothing by the same name twice."""
    return SCORE if SCORE not in graph.inputs else f"{SCORE}:"


def _inputs(file: File, signature: str) -> list[onnx.ValueInfoProto]:
    """What the graph takes; each input may have its own number of rows, the user's own one."""
    graph, shapes = file.graphs[signature], file.shapes[signature]
    return [
        helper.make_tensor_value_info(
            name,
            DTYPES[graph.tensors[number].dtype],
            ["rows" if signature == SERVING_DEFAULT else f"rows of {name}", *shapes[name][1:]],
        )
        for name, number in graph.inputs.items()
    ]


def _described(file: File, signature: str) -> dict[str, dict[str, Any]]:
    graph, shapes = file.graphs[signature], file.shapes[signature]
    return {
        name: {"shape": shapes[name], "dtype": graph.tensors[number].dtype}
        for name, number in graph.inputs.items()
    }


def _used(writer: Writer) -> set[str]:
    return {name for node in writer.nodes for name in node.input}


def _function(
    writer: Writer, constants: Constants, shared: set[str], opsets: list[Any]
) -> onnx.FunctionProto:
    """The nodes of a signature; the graph's initializers that it reads are among its inputs."""
    read = [name for name in constants.tensors if name in _used(writer)]
    own = [
        helper.make_node("Constant", [], [name], value=constants.tensors[name])
        for name in read
        if name not in shared
    ]
    return helper.make_function(
        DOMAIN,
        SERVING_DEFAULT,
        [*writer.graph.inputs, *(name for name in read if name in shared)],
        [_output(writer.graph)],
        [*own, *writer.nodes],
        opsets,
    )


def _versions(constants: Constants, nodes: list[onnx.NodeProto]) -> tuple[int, int]:
    """Of the operators and of the format."""
    read = {name for node in nodes if node.op_type.endswith("Linear") for name in node.input}
    is_wide = any(
        tensor.data_type == onnx.TensorProto.INT4
        or (tensor.data_type in _WIDE and tensor.name in read)
        for tensor in constants.tensors.values()
    )
    return (WIDE_OPSET, WIDE_IR_VERSION) if is_wide else (OPSET, IR_VERSION)
