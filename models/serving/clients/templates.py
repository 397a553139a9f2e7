"""Templates of the clients' files: `templates/<language>/<name>`, with `$placeholders`."""

from __future__ import annotations

from importlib.resources import files
from string import Template


def filled(language: str, name: str, **values: object) -> str:
    """A file of a client.

    Args:
      language: Folder of its template.
      name: Of the template.
      **values: What stands for its placeholders.

    Raises:
      KeyError: A placeholder has no value.
    """
    path = files(__package__) / "templates" / language / name
    return Template(path.read_text("utf-8")).substitute(values)
