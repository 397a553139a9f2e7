"""Keys and values of earlier versions, which keep working for one minor version.

The names are replaced in the YAML tree before anything is validated, so that an error further in
still names its line.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml


from ranklite.pipeline.runs import nodes

ANY = "*"  # any key, any entry of a list


class RenamedKey(FutureWarning):
    """A configuration uses a name of an earlier version; the message says what to write."""


@dataclasses.dataclass(frozen=True)
class Renamed:
    """A key that got another name.

    Attributes:
      under: Keys from the top to the mapping that holds it; `*` is any key or entry.
      old: Its name in earlier versions.
      new: Its name.
      values: New names of its values, by their old ones.
    """

    under: tuple[str, ...]
    old: str
    new: str
    values: Mapping[str, str] = dataclasses.field(default_factory=dict)


RENAMED = (  # in 0.2.0, to be removed in 0.3.0
    Renamed((), "target", "targets"),
    Renamed(("compression", "budget"), "latency_us", "latency_1_us"),
    *(Renamed(("kubeflow", "tasks"), old, new) for old, new in nodes.RENAMED.items()),
    *(
        Renamed(step, "scales", "granularity", {"kernel": "per_tensor", "unit": "per_channel"})
        for step in (("compression", ANY), ("compression", "recipes", ANY, ANY))
    ),
)


@dataclasses.dataclass(frozen=True)
class Dropped:
    """A key that is no more.

    Attributes:
      under: Keys from the top to the mapping that held it.
      key: Its name.
      usual: Its value that changes nothing where it is left out.
      instead: What is to be done where it has another one.
    """

    under: tuple[str, ...]
    key: str
    usual: str
    instead: str

    @property
    def path(self) -> str:
        """As a person writes it."""
        return ".".join((*self.under, self.key))


DROPPED = (  # in 0.2.0, to be unknown in 0.3.0
    Dropped(
        ("source",),
        "engine",
        "duckdb",
        "write `engine: {kind: spark, master: ...}` at the top of the file, which takes every "
        "format and key, or leave it out to work on one machine",
    ),
)


class OldName(ValueError):
    """A name of an earlier version that cannot be taken.

    Attributes:
      line: Where it stands, counted from 1.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class GivenTwice(OldName):
    """A key is given by its old and by its new name."""

    def __init__(self, old: str, new: str, line: int) -> None:
        super().__init__(f"{old} was renamed to {new}, which is given too: leave {old} out", line)


class NoMore(OldName):
    """A key that was dropped has a value that meant something."""


def rename(root: yaml.Node | None, file_name: str, renamed: Sequence[Renamed] = RENAMED) -> None:
    """Replaces old names in a YAML tree, with a `RenamedKey` warning for each.

    Args:
      root: The composed document; changed in place.
      file_name: Named in the warnings.
      renamed: What was renamed.

    Raises:
      GivenTwice: Both names of a key are given.
      NoMore: A key that was dropped has a value that cannot be left out.
    """
    for gone in DROPPED:
        for mapping in _mappings(root, gone.under):
            _drop_from(mapping, gone, file_name)
    for entry in renamed:
        for mapping in _mappings(root, entry.under):
            _rename_in(mapping, entry, file_name)


def _rename_in(mapping: yaml.MappingNode, entry: Renamed, file_name: str) -> None:
    import yaml

    keys = {key.value: key for key, _ in mapping.value}
    for key, value in mapping.value:
        if key.value != entry.old:
            continue
        line = key.start_mark.line + 1
        if entry.new in keys:
            raise GivenTwice(entry.old, entry.new, line)
        message = f"{file_name}:{line}: {entry.old} is now called {entry.new}"
        key.value = entry.new
        if isinstance(value, yaml.ScalarNode) and value.value in entry.values:
            message += f", and its value {value.value!r} is {entry.values[value.value]!r}"
            value.value = entry.values[value.value]
        warnings.warn(f"{message}; the old name works until 0.3.0", RenamedKey, stacklevel=2)


def _drop_from(mapping: yaml.MappingNode, gone: Dropped, file_name: str) -> None:
    for pair in list(mapping.value):
        key, value = pair
        if key.value != gone.key:
            continue
        line = key.start_mark.line + 1
        if value.value != gone.usual:
            raise NoMore(f"{gone.path}: {value.value} is no more: {gone.instead}", line)
        message = f"{file_name}:{line}: {gone.path} is no more: leave it out"
        warnings.warn(f"{message}; it is ignored until 0.3.0", RenamedKey, stacklevel=2)
        mapping.value.remove(pair)


def _mappings(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[yaml.MappingNode]:
    """The mappings that a path leads to."""
    import yaml

    if not path:
        if isinstance(node, yaml.MappingNode):
            yield node
        return
    first, *rest = path
    if isinstance(node, yaml.MappingNode):
        children = [value for key, value in node.value if first in (ANY, key.value)]
    elif isinstance(node, yaml.SequenceNode) and first == ANY:
        children = node.value
    else:
        return
    for child in children:
        yield from _mappings(child, tuple(rest))
