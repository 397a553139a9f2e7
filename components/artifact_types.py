"""The artifact types of our components; `artifact_json` names the files that they hold.

Their `TYPE_NAME`s stand in every store of ML Metadata: renamed, older runs would be lost.
"""

from __future__ import annotations

from tfx.types import artifact


class IngestReport(artifact.Artifact):
    """What was read of a log, and what could not be: `report.json`.

    Where items have names, `item_labels.parquet` holds them: columns `item` and `label`.
    """

    TYPE_NAME = "components.IngestReport"


class DataBlessing(artifact.Artifact):
    """Statistics that were accepted: `blessed` and `statistics_uri` are custom properties."""

    TYPE_NAME = "components.DataBlessing"


class Trials(artifact.Artifact):
    """Everything that a search tried, with its figures, and the choice: `trials.json`.

    Of recipes, with the Pareto front; or of settings, with what the best one gains.
    """

    TYPE_NAME = "components.Trials"


class SeedFigures(artifact.Artifact):
    """Figures of float, control and shipped file of models of other seeds: `seeds.json`."""

    TYPE_NAME = "components.SeedFigures"


class StageReport(artifact.Artifact):
    """Figures of every stage and the verdict of every gate: `report.json`.

    Beside it `scores.npz` keeps the scores row by row (`models.evaluation.scored_rows`), so that
    two runs can be compared; it is never pushed.
    """

    TYPE_NAME = "components.StageReport"


class RunPage(artifact.Artifact):
    """A self-contained page for a browser: `report.html`."""

    TYPE_NAME = "components.RunPage"
