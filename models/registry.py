"""The doors of RankLite: tables from a name to the code that it stands for.

An entry is a class in a file of its own: settings and behaviour together, TensorFlow imported
inside of its methods, so that reading a configuration loads none. An entry is imported when it is
asked for. Other packages add entries through entry points, and nothing else changes:

    [project.entry-points."ranklite.kinds"]
    geohash = "geo.ranklite_kind:Geohash"
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, Generic, TypeVar

EntryT = TypeVar("EntryT")


class UnknownEntry(ValueError):
    """A name is not registered."""


class Registry(Generic[EntryT]):
    """Named entries of one kind.

    Args:
      what: What an entry is, for messages: `compression technique`.
      group: Of the entry points by which other packages add entries: `ranklite.techniques`.
      entries: Our own, `name -> "module:Class"`, in an order that means something to a reader.

    Example:
        >>> shapes = Registry("shape", "geometry.shapes", {"half": "fractions:Fraction"})
        >>> shapes.names
        ['half']
        >>> shapes.get("half")(1, 2)
        Fraction(1, 2)
        >>> shapes.get("third")
        Traceback (most recent call last):
        ...
        ranklite.models.registry.UnknownEntry: no shape 'third'; registered are half
    """

    def __init__(self, what: str, group: str, entries: dict[str, str]) -> None:
        self.what, self.group = what, group
        self._own = entries

    @functools.cached_property
    def paths(self) -> dict[str, str]:
        """`name -> "module:Class"` of all entries, ours first; others cannot replace ours.

        Raises:
          ValueError: Another package takes a name that is taken.
        """
        from importlib import metadata  # it takes a tenth of what loading a scorer does

        result = dict(self._own)
        for point in sorted(metadata.entry_points(group=self.group), key=lambda p: p.name):
            if result.setdefault(point.name, point.value) != point.value:
                raise ValueError(
                    f"the entry point {point.name!r} of {self.group} ({point.value}) takes the "
                    f"name of {result[point.name]}: give it another name"
                )
        return result

    @property
    def names(self) -> list[str]:
        """All names."""
        return list(self.paths)

    def get(self, name: str) -> EntryT:
        """The entry of a name, imported now.

        Raises:
          UnknownEntry: There is none; the message lists what is registered.
        """
        target: Any = importlib.import_module(self.module(name))
        for part in self._path(name).partition(":")[2].split("."):
            target = getattr(target, part)
        result: EntryT = target
        return result

    def module(self, name: str) -> str:
        """Name of the module of an entry, which is not imported: for digests of its code.

        Raises:
          UnknownEntry: There is none.
        """
        return self._path(name).partition(":")[0]

    def _path(self, name: str) -> str:
        if name in self._own:  # entry points are looked for on the whole disk: not to score a row
            return self._own[name]
        if name not in self.paths:
            raise UnknownEntry(f"no {self.what} {name!r}; registered are {', '.join(self.names)}")
        return self.paths[name]

    def all(self) -> dict[str, EntryT]:
        """Every entry by name, imported now."""
        return {name: self.get(name) for name in self.names}
