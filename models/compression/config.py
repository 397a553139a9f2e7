"""Compression as data: the steps, their legal order, and the search within a budget.

The steps are those of the registry, others' entries included; they hold no TensorFlow, as
`ranklite.models.config` does not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
)

from ranklite.models.compression.technique import Step
from ranklite.models.compression.techniques import in_order
from ranklite.models.config import Bytes, Name, Strict

# What each technique makes, in the only order that they can follow each other in.
STAGES = {name: entry.stage for name, entry in in_order().items()}

if TYPE_CHECKING:
    from ranklite.models.evaluation.gates import GatesConfig

    CompressionStep = Step
else:
    CompressionStep = Annotated[
        Union[tuple(entry.settings for entry in in_order().values())],  # noqa: UP007
        Field(discriminator="technique"),
    ]
_STEP: TypeAdapter[CompressionStep] = TypeAdapter(CompressionStep)


def parse_step(text: str) -> CompressionStep:
    """Reads a step from JSON."""
    return _STEP.validate_json(text)


def _legal_order(steps: tuple[CompressionStep, ...]) -> tuple[CompressionStep, ...]:
    order = [step.technique for step in steps]
    if order != sorted(set(order), key=list(STAGES).index):
        raise ValueError(
            f"the steps are {', '.join(order)}; each goes at most once, in the order "
            f"{', '.join(STAGES)}; any may be left out"
        )
    return steps


Recipe = Annotated[tuple[CompressionStep, ...], AfterValidator(_legal_order)]


class Budget(Strict):
    """What a file may cost; None sets no limit.

    Attributes:
      bytes: Its size, the tables of the raw signature included.
      gzip_bytes: Its size, gzipped.
      latency_1_us: Microseconds for one row.
      latency_512_us: Microseconds a row in a batch of 512.
    """

    bytes: Bytes | None = None
    gzip_bytes: Bytes | None = None
    latency_1_us: float | None = Field(None, gt=0.0)
    latency_512_us: float | None = Field(None, gt=0.0)

    @property
    def limits(self) -> dict[str, float]:
        """What is limited, by the name of a file's figure; `max_` before it names the gate."""
        return {name: limit for name, limit in self if limit is not None}

    def tightened(self, gates: GatesConfig) -> GatesConfig:
        """Gates that refuse what breaks a limit as well."""
        limits = {f"max_{figure}": limit for figure, limit in self.limits.items()}
        tighter = {
            key: limit for key, limit in limits.items() if limit < (getattr(gates, key) or math.inf)
        }
        return gates.model_copy(update=tighter)


class Search(Strict):
    """Several recipes, of which the most accurate one within a budget ships.

    Attributes:
      budget: What the file may cost.
      recipes: Lists of steps by name; None searches over pruned units, sparsity, table rows and
        the table's format.
      trials: How many recipes to try where none are given.
    """

    budget: Budget = Budget()
    recipes: dict[Name, Recipe] | None = Field(None, min_length=1)
    trials: int = Field(10, ge=1, le=1000)


def _steps_or_search(value: Any) -> str:
    return "search" if isinstance(value, (dict, Search)) else "steps"


Compression = Annotated[
    Annotated[Recipe, Tag("steps")] | Annotated[Search, Tag("search")],
    Discriminator(_steps_or_search),
]
