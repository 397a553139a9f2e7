"""What a search may vary about settings; no TensorFlow.

A class of settings declares it in its `searched`, beside the settings themselves: a model family
of another package declares its own.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, TypeAdapter, model_validator

from ranklite.models.config import Strict


class Choice(Strict):
    """One of some values.

    Attributes:
      values: As JSON has them: a list, not a tuple.
    """

    values: tuple[Any, ...] = Field(min_length=1)

    def including(self, value: Any) -> Choice:
        """This with a value among the others, at the front if it is new.

        Example:
            >>> Choice(values=(8, 16)).including(24).values
            (24, 8, 16)
        """
        return self if value in self.values else Choice(values=(value, *self.values))


class Range(Strict):
    """A number between two others.

    Attributes:
      low: The least.
      high: The most.
      log: Whether twice as much is as far everywhere.
    """

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _holds_numbers(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"no range: low {self.low}, high {self.high}, log {self.log}")
        return self

    def nearest(self, value: float) -> float:
        """The number of the range that is nearest to another one.

        Example:
            >>> Range(low=0.5, high=100, log=True).nearest(0.0)
            0.5
        """
        return min(self.high, max(self.low, value))


Values = Choice | Range
Space = dict[str, Values]
Point = dict[str, Any]  # a value for each key of a space, as JSON has it

SPACE: TypeAdapter[Space] = TypeAdapter(Space)
