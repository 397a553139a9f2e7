"""What workers of an engine do in Transform: a file a task."""

from __future__ import annotations

import dataclasses
import functools

from ranklite.components.engines import handed_over
from ranklite.components.transform.recipe import Reader, Recipe, write_transformed
from ranklite.models.features.analysis import Analysis
from ranklite.models.features.transform_graph import LoadedGraph


@dataclasses.dataclass(frozen=True)
class Analyze:
    """A file to learn from.

    Attributes:
      recipe: What is done to it.
      file: TFRecords of Examples.
      to: File that receives what its summaries know.
    """

    recipe: Recipe
    file: str
    to: str


@dataclasses.dataclass(frozen=True)
class Transform:
    """A file to transform.

    Attributes:
      recipe: How it is read.
      graph: Folder of the transform graph.
      file: TFRecords of Examples.
      to: The file to write.
    """

    recipe: Recipe
    graph: str
    file: str
    to: str


# A worker has one recipe and one graph; tracing the former and loading the latter take seconds.
@functools.lru_cache(maxsize=1)
def _analysis(recipe: Recipe) -> tuple[Analysis, Reader]:
    analysis = Analysis(recipe.preprocess, recipe.specs)
    return analysis, recipe.reader(analysis.inputs)


@functools.lru_cache(maxsize=1)
def _graph(recipe: Recipe, folder: str) -> tuple[LoadedGraph, Reader]:
    graph = LoadedGraph(folder)
    return graph, recipe.reader(graph)


def analyze(task: Analyze) -> None:
    """Writes what the analyzers have to know of a file."""
    analysis, reader = _analysis(task.recipe)
    batches = task.recipe.batches(task.file, reader, _unheard)
    handed_over.write(task.to, [summary.state for summary in analysis.of(batches)])


def transform(task: Transform) -> None:
    """Writes the rows of a file as the graph transforms them."""
    graph, reader = _graph(task.recipe, task.graph)
    write_transformed(task.to, graph.schema, task.recipe.batches(task.file, reader, _unheard))


def _unheard(rows: int) -> None:
    """Progress is told by files."""
