"""Where things lie: the folders of a pipeline's runs."""

from __future__ import annotations

import dataclasses
import os

DEFAULT_RUNS = "runs"
_PATTERNS = "*?["


@dataclasses.dataclass(frozen=True)
class Folders:
    """Where a pipeline's runs put things: `<runs>/<name>/...`.

    Attributes:
      runs: Folder of all pipelines' runs.
      name: The pipeline's name.
    """

    runs: str
    name: str

    def check(self) -> None:
        """Raises ValueError where TFX and Beam would take a path for a pattern of paths."""
        wrong = sorted(set(_PATTERNS) & set(self.root))
        if wrong:
            raise ValueError(
                f"{self.root}: TFX and Beam take {' '.join(wrong)} in a path for a pattern, and "
                "would find nothing there: give runs another folder with --runs"
            )

    @property
    def root(self) -> str:
        """Folder of this pipeline."""
        return os.path.join(os.path.abspath(self.runs), self.name)

    @property
    def artifacts(self) -> str:
        """TFX's pipeline root; TensorBoard's logs are in there too."""
        return os.path.join(self.root, "artifacts")

    @property
    def metadata(self) -> str:
        """The SQLite file of ML Metadata."""
        return os.path.join(self.root, "metadata.sqlite")

    @property
    def rejects(self) -> str:
        """Rows of the log that could not be read."""
        return os.path.join(self.root, "rejects")

    @property
    def pushed(self) -> str:
        """Pushed versions, unless the configuration names another folder."""
        return os.path.join(self.root, "pushed")

    @property
    def synthetic(self) -> str:
        """Generated data, where the configuration asks for them."""
        return os.path.join(self.root, "synthetic-data")

    @property
    def logs(self) -> str:
        """What TFX, Beam and TensorFlow logged: a folder a run, in it a file a stage."""
        return os.path.join(self.root, "logs")

    @property
    def standing(self) -> str:
        """What the last run that came to its end was made from."""
        return os.path.join(self.root, "standing.json")

    def stopped_page(self, number: int) -> str:
        """The page of a run that failed; one that came to its end has it among its artifacts."""
        return os.path.join(self.root, "reports", f"{number}.html")
