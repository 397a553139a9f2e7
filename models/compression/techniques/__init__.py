"""The registry of compression techniques: a new one is a file here and its line below.

>>> from ranklite.models.compression.techniques import TECHNIQUES, from_json
>>> TECHNIQUES.get("prune").stage
'pruned'
>>> from_json('{"technique": "distill", "teachers": 2}').config.temperature
1.0
"""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ranklite.models.registry import Registry, UnknownEntry

if TYPE_CHECKING:
    from ranklite.models.compression.technique import Step, Technique

# In the order in which the default search varies them, which its sampler depends on. Where a
# technique stands in a recipe is its own `place`.
TECHNIQUES: Registry[type[Technique[Any]]] = Registry(
    "compression technique",
    "ranklite.techniques",
    {
        "distill": "ranklite.models.compression.techniques.distill:Distill",
        "prune_units": "ranklite.models.compression.techniques.prune_units:RemoveUnits",
        "prune_rows": "ranklite.models.compression.techniques.prune_rows:PruneRows",
        "prune": "ranklite.models.compression.techniques.prune:Prune",
        "cluster": "ranklite.models.compression.techniques.cluster:Cluster",
        "quantize": "ranklite.models.compression.techniques.quantize:Quantize",
    },
)


def technique(step: Step) -> Technique[Any]:
    """The technique that a step of the configuration asks for.

    Raises:
      UnknownEntry: There is none of that name; the message lists what is registered.
    """
    return TECHNIQUES.get(step.technique)(step)


def from_json(text: str) -> Technique[Any]:
    """The technique that the JSON of a step asks for; no other one is imported.

    Args:
      text: Its `technique`, and those of its settings that are not the defaults.

    Raises:
      UnknownEntry: There is none of that name; the message lists what is registered.
      pydantic.ValidationError: Its settings are wrong.
    """
    name = json.loads(text).get("technique")
    if not isinstance(name, str):
        raise UnknownEntry(
            f"a step has no `technique`; registered are {', '.join(TECHNIQUES.names)}"
        )
    entry = TECHNIQUES.get(name)
    return entry(entry.settings.model_validate_json(text))


@functools.cache
def in_order() -> dict[str, type[Technique[Any]]]:
    """Every entry, in the only order that steps can follow each other in.

    Raises:
      ValueError: Two entries make models of one name or have one node; an entry's settings are of
        another name than its own.
    """
    entries = TECHNIQUES.all()
    for what in ("stage", "component"):
        taken: dict[str, str] = {}
        for name, entry in entries.items():
            other = taken.setdefault(getattr(entry, what), name)
            if other != name:
                raise ValueError(
                    f"the techniques {other} and {name} have one {what}, {getattr(entry, what)!r}"
                )
    for name, entry in entries.items():
        names = typing.get_args(entry.settings.model_fields["technique"].annotation)
        if names != (name,):
            raise ValueError(
                f"{entry.settings.__name__}.technique has to be Literal[{name!r}], which is the "
                "name that the technique is registered by"
            )
    return dict(sorted(entries.items(), key=lambda item: (item[1].place, item[0])))


def modules(names: Iterable[str]) -> list[str]:
    """Modules of some entries, in order: for a digest of the code that a stage runs."""
    return sorted({TECHNIQUES.module(name) for name in names})
