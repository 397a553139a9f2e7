"""Runs TensorFlow Transform's analyzers over batches in this process: the same values, no Beam.

TFT describes what a preprocessing function learns as a graph of nodes, which its Beam code turns
into stages. On one machine a stage costs more than the rows that go through it. Here the nodes are
read as summaries instead: each takes batches, and two of parts of the rows make one of all rows.

    vocabularies          counts, which add up (`models.features.vocabulary_files`)
    moments, quantiles    what TFT's own combiner keeps: with n, mean m and sum of squares s of
                          deviations,  m = (n_1 m_1 + n_2 m_2) / n,
                          s = s_1 + s_2 + (m_1 - m_2)^2 n_1 n_2 / n;  a sketch of quantiles
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf
from tensorflow_transform import analyzer_nodes, annotators, impl_helper, nodes
from tensorflow_transform.graph_context import TFGraphContext
from tensorflow_transform.saved import saved_transform_io_v2

Preprocess = Callable[[dict[str, Any]], dict[str, tf.Tensor]]
Specs = Mapping[str, tf.TypeSpec]


class NotInProcess(ValueError):
    """An analyzer needs Beam: it is none of those that become a summary."""


class Summary(Protocol):
    """What an analyzer has to know of rows.

    Attributes:
      state: The same to be pickled; a new summary of the same analyzer takes it over.
    """

    state: Any

    def add(self, values: Sequence[Any]) -> None:
        """Takes a batch: an array for each tensor that the analyzer was given."""

    def merge(self, other: Any) -> None:
        """Takes what a summary of the same analyzer knows of other rows."""

    def outputs(self, folder: str) -> Sequence[Any]:
        """The analyzer's outputs.

        Args:
          folder: Receives files, where outputs are paths of them.
        """


class Combined:
    """The accumulator of a combiner of TFT's.

    Args:
      combiner: Of the analyzer.

    Attributes:
      state: The accumulator.
    """

    def __init__(self, combiner: analyzer_nodes.Combiner) -> None:
        self._combiner = combiner
        self.state: Any = combiner.create_accumulator()

    def add(self, values: Sequence[Any]) -> None:
        """Takes a batch."""
        self.state = self._combiner.add_input(self.state, values)

    def merge(self, other: Combined) -> None:
        """Takes over what the other has seen."""
        self.state = self._combiner.merge_accumulators([self.state, other.state])

    def outputs(self, folder: str) -> Sequence[Any]:
        """The combiner's outputs."""
        # TFT merges even a single accumulator, which is where some of them are brought into form.
        merged = self._combiner.merge_accumulators([self.state])
        result: Sequence[Any] = self._combiner.extract_output(merged)
        return result


@dataclasses.dataclass(frozen=True)
class _Analyzer:
    tensors: tuple[tf.Tensor, ...]  # what it looks at
    make: Callable[[], Summary]
    sinks: list[tuple[tf.Tensor, int]] = dataclasses.field(default_factory=list)  # its outputs


class Analysis:
    """The analyzers of a preprocessing function, after one trace of it.

    Args:
      preprocess: The preprocessing function.
      specs: Of its inputs.

    Raises:
      NotInProcess: One of them needs Beam, or looks at what another one has learned.
    """

    def __init__(self, preprocess: Preprocess, specs: Specs) -> None:
        self._analyzers: list[_Analyzer] = []

        def looked_at(inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
            preprocess(inputs)
            self._analyzers = _analyzers(tf.compat.v1.get_default_graph())
            tensors = (tensor for one in self._analyzers for tensor in one.tensors)
            return {str(place): tensor for place, tensor in enumerate(tensors)}

        with annotators.object_tracker_scope(annotators.ObjectTracker()):
            traced = traced_function(looked_at, specs, tf.Module(), None).get_concrete_function()
        # Without the rest of the graph, which would run with what stands in for learned values.
        self._function = saved_transform_io_v2.optimize_concrete_function(
            traced, strip_control_dependencies=True
        )

    def inputs(self, batch: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """What the analyzers look at in a batch; it may be mapped over a dataset."""
        flat = tf.nest.flatten(dict(batch), expand_composites=True)
        result: dict[str, tf.Tensor] = self._function(*flat)
        return result

    def summaries(self) -> list[Summary]:
        """New summaries, of no rows."""
        return [analyzer.make() for analyzer in self._analyzers]

    def add(self, summaries: Sequence[Summary], inputs: Mapping[str, Any]) -> None:
        """Adds a batch to summaries.

        Args:
          summaries: From `summaries`.
          inputs: Arrays, what `inputs` made of the batch.
        """
        place = 0
        for analyzer, summary in zip(self._analyzers, summaries, strict=True):
            after = place + len(analyzer.tensors)
            summary.add(tuple(inputs[str(k)] for k in range(place, after)))
            place = after

    def learned(self, summaries: Sequence[Summary], folder: str) -> dict[str, tf.Tensor]:
        """What the analyzers' outputs are, by the names under which TFT looks for them.

        Args:
          summaries: Of all rows.
          folder: Receives files of vocabularies.
        """
        values = {}
        for analyzer, summary in zip(self._analyzers, summaries, strict=True):
            outputs = summary.outputs(folder)
            for tensor, index in analyzer.sinks:
                values[tensor.name] = tf.constant(outputs[index], tensor.dtype)
        return values

    def of(self, batches: Iterable[Mapping[str, Any]]) -> list[Summary]:
        """Summaries of batches.

        Args:
          batches: Made of `inputs`, in their order.
        """
        summaries = self.summaries()
        for batch in batches:
            self.add(summaries, batch)
        return summaries

    def restored(self, states: Sequence[Any]) -> list[Summary]:
        """Summaries that another process has made.

        Args:
          states: Of each.
        """
        summaries = self.summaries()
        for summary, state in zip(summaries, states, strict=True):
            summary.state = state
        return summaries

    def run(self, batches: Iterable[Mapping[str, Any]], folder: str) -> dict[str, tf.Tensor]:
        """What the analyzers learn of batches, as `learned` gives it.

        Args:
          batches: Of the train split, made of `inputs`, in their order.
          folder: Receives files of vocabularies.
        """
        return self.learned(self.of(batches), folder)


def traced_function(
    preprocess: Preprocess,
    specs: Specs,
    module: tf.Module,
    learned: Mapping[str, tf.Tensor] | None,
) -> Any:
    """A preprocessing function as TFT traces it.

    Args:
      preprocess: The preprocessing function.
      specs: Of its inputs.
      module: Receives what has to be saved with it.
      learned: What analyzers have learned, by `Analysis.learned`; None before that.
    """
    return impl_helper.get_traced_transform_fn(preprocess, specs, context(module, learned))


def context(module: tf.Module, learned: Mapping[str, tf.Tensor] | None) -> TFGraphContext:
    """Where TFT's analyzers look for what they have learned; the arguments are as above."""
    return TFGraphContext(module, temp_dir=None, evaluated_replacements=learned)


def _analyzers(graph: tf.Graph) -> list[_Analyzer]:
    """The analyzers of a graph, in the order in which they were called."""
    sinks = graph.get_collection(analyzer_nodes.TENSOR_REPLACEMENTS)
    found: dict[nodes.OperationNode, _Analyzer] = {}
    for sink in sinks:
        operation = sink.future.parent_operation
        if operation not in found:
            found[operation] = _analyzer(operation)
        found[operation].sinks.append((sink.tensor, sink.future.value_index))
    _refuse_phases(found.values(), {sink.tensor.op for sink in sinks})
    return list(found.values())


def _analyzer(operation: nodes.OperationNode) -> _Analyzer:
    kind = operation.operation_def
    steps = [kind]
    while operation.inputs:
        if len(operation.inputs) > 1:
            raise NotInProcess(f"{kind.label} has several inputs")
        operation = operation.inputs[0].parent_operation
        steps.append(operation.operation_def)
    source = steps.pop()
    if not isinstance(source, analyzer_nodes.TensorSource):
        raise NotInProcess(f"{kind.label} starts with {source.label}")
    if isinstance(kind, analyzer_nodes.PTransform) and len(steps) == 1:
        make = getattr(kind.ptransform, "summary", None)
        if make is not None:
            return _Analyzer(source.tensors, make)
    combined = [
        analyzer_nodes.ExtractCombineMergeOutputs,
        analyzer_nodes.CacheableCombineMerge,
        analyzer_nodes.CacheableCombineAccumulate,
    ]
    if [type(step) for step in steps] == combined:
        combiner = steps[-1].combiner
        return _Analyzer(source.tensors, lambda: Combined(combiner))
    raise NotInProcess(f"{kind.label} has no summary")


def _refuse_phases(analyzers: Iterable[_Analyzer], outputs: set[tf.Operation]) -> None:
    """Raises NotInProcess where an analyzer looks at the output of another one."""
    seen: set[tf.Operation] = set()
    waiting = [tensor.op for analyzer in analyzers for tensor in analyzer.tensors]
    while waiting:
        operation = waiting.pop()
        if operation in outputs:
            raise NotInProcess("an analyzer looks at what another one has learned")
        if operation not in seen:
            seen.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
