"""Sums of floating point numbers that are exact, and so the same in whichever order they are made.

A double is an integer of 53 bits times a power of two. Integers are added up by power, and only
the end is rounded.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import numpy.typing as npt

_BITS = 53
_HALF = 26
_LARGEST = 2.0**31  # of an integer, of which 2**32 add up to no more than 64 bits hold


@dataclasses.dataclass
class ExactSum:
    """A sum of numbers, and how many they are; missing and infinite ones are none.

    Attributes:
      units: By power of two: how many of it.
      count: How many numbers.

    Example:
        >>> one, other = ExactSum(), ExactSum()
        >>> one.add(np.array([1e100, 0.5]))
        >>> other.add(np.array([-1e100, np.nan]))
        >>> one.merge(other)
        >>> one.mean()
        0.16666666666666666
    """

    units: dict[int, int] = dataclasses.field(default_factory=dict)
    count: int = 0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Adds numbers, as few as an array of their like has."""
        values = values[np.isfinite(values)]
        self.count += len(values)
        if not len(values):
            return
        if np.abs(values).max() < _LARGEST and (values == np.rint(values)).all():
            self._add(0, int(values.astype(np.int64).sum()))
            return
        fractions, powers = np.frexp(values)
        integers = np.ldexp(fractions, _BITS).astype(np.int64)
        least = int(powers.min())
        sums = np.zeros((2, int(powers.max()) - least + 1), np.int64)
        np.add.at(sums[0], powers - least, integers >> _HALF)
        np.add.at(sums[1], powers - least, integers & ((1 << _HALF) - 1))
        for power, (high, low) in enumerate(sums.T.tolist(), least - _BITS):
            self._add(power, (high << _HALF) + low)

    def _add(self, power: int, units: int) -> None:
        if units:
            self.units[power] = self.units.get(power, 0) + units

    def merge(self, other: ExactSum) -> None:
        """Adds another sum."""
        self.count += other.count
        for power, units in other.units.items():
            self._add(power, units)

    def mean(self) -> float:
        """The double that is nearest to the mean; 0 of no numbers."""
        if not self.count:
            return 0.0
        total = sum((units * Fraction(2) ** power for power, units in self.units.items()))
        return float(Fraction(total) / self.count)
