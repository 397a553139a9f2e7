"""Transforms splits of Examples, here or on an engine: TFT's analyzers and graph, without Beam."""

from __future__ import annotations

import dataclasses
import functools
import os
import tempfile
from collections.abc import Sequence

from ranklite.components.engines import handed_over
from ranklite.components.engines.engine import Engine
from ranklite.components.transform import tasks
from ranklite.components.transform.recipe import Recipe, write_transformed
from ranklite.models import progress
from ranklite.models.features.analysis import Analysis, Summary
from ranklite.models.features.transform_graph import TransformGraph, write_raw_metadata

_SUFFIX = ".gz"


@dataclasses.dataclass(frozen=True)
class Split:
    """Files of Examples to transform.

    Attributes:
      files: Gzipped TFRecords, or plain ones where a name does not end in `.gz`.
      prefix: Of the files that are written, one for each that is read, in its order.
    """

    files: Sequence[str]
    prefix: str

    @property
    def written(self) -> list[tuple[str, str]]:
        """Each file, and the one that is written of it."""
        return [
            (file, f"{self.prefix}-{number:05}-of-{len(self.files):05}{_SUFFIX}")
            for number, file in enumerate(self.files)
        ]


class InProcess:
    """Learns from the files of a split and transforms those of several.

    A file is summarized by itself, and summaries are merged in the order of the files: what is
    learned is the same, whoever summarized them.

    Args:
      recipe: What is done to them.
      rows: How many are read, those that are analyzed and those that are transformed; None where it
        is not known.
      engine: Works on files, each of them a task; None works on them here.

    Raises:
      NotInProcess: An analyzer of the function needs Beam.
    """

    def __init__(
        self, recipe: Recipe, rows: int | None = None, engine: Engine | None = None
    ) -> None:
        self._recipe, self._engine = recipe, engine
        self._analysis = Analysis(recipe.preprocess, recipe.specs)
        self._rows = progress.Rows("read", rows)

    def run(self, analyze: Sequence[str], splits: Sequence[Split], folder: str) -> None:
        """Writes the transform graph and the transformed Examples.

        Args:
          analyze: Files of the split that is learned from.
          splits: What is transformed.
          folder: Receives the graph.
        """
        recipe = self._recipe
        with tempfile.TemporaryDirectory(prefix="ranklite-") as work:
            learned = self._analysis.learned(self._summaries(analyze, folder), work)
            write_raw_metadata(recipe.schema, folder)
            graph = TransformGraph(recipe.preprocess, recipe.specs, learned, folder)
        written = [pair for split in splits for pair in split.written]
        if self._engine is not None:
            given = [tasks.Transform(recipe, folder, file, to) for file, to in written]
            told = progress.Tasks("transformed", "file", len(given)).add
            self._engine.map(tasks.transform, given, told)
            return
        reader = recipe.reader(graph)
        for file, to in written:
            write_transformed(to, graph.schema, recipe.batches(file, reader, self._rows.add))

    def _summaries(self, files: Sequence[str], near: str) -> list[Summary]:
        """Of all rows of some files."""
        if self._engine is None:
            reader = self._recipe.reader(self._analysis.inputs)
            rows = (self._recipe.batches(file, reader, self._rows.add) for file in files)
            return functools.reduce(_merged, map(self._analysis.of, rows))
        with handed_over.folder(near) as folder:
            given = [
                tasks.Analyze(self._recipe, file, os.path.join(folder, str(number)))
                for number, file in enumerate(files)
            ]
            told = progress.Tasks("analyzed", "file", len(given)).add
            self._engine.map(tasks.analyze, given, told)
            return functools.reduce(
                _merged, (self._analysis.restored(handed_over.read(task.to)) for task in given)
            )


def _merged(summaries: list[Summary], more: list[Summary]) -> list[Summary]:
    for summary, other in zip(summaries, more, strict=True):
        summary.merge(other)
    return summaries
