"""What a target offers whose runtime can score candidates that were computed in part before."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Prepared = Mapping[int, Array]


class Halves(abc.ABC):
    """The raw signature in two halves: `LoadedModel.halves` makes it."""

    @abc.abstractmethod
    def prepared(self, inputs: Mapping[str, Array]) -> Prepared:
        """What the first half makes of candidates.

        Args:
          inputs: Those of the signature, R rows each, the user's missing; one row of what is his
            own may stand for all. Texts and int64 as the model's encoder makes int32 of them.

        Returns:
          Arrays with R rows.
        """

    @abc.abstractmethod
    def score(
        self, items: Prepared, inputs: Mapping[str, Array], rows: int
    ) -> npt.NDArray[np.float32]:
        """Probabilities [R] of candidates for one user: those that the signature gives.

        Args:
          items: What `prepared` made of them.
          inputs: Those of the signature, one row each, the candidates' missing.
          rows: R, at least 1.

        Raises:
          UnreadableModel: The runtime fails on an operator.
        """
