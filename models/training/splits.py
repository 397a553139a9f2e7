"""Where the rows to train and to validate on are; no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Splits:
    """Files of transformed Examples.

    Attributes:
      train: Gzipped TFRecord files of the train split.
      eval: Those of the validation split.

    Example:
      >>> Splits(train=["train.gz"], eval=["eval.gz"]).eval
      ['eval.gz']
    """

    train: Sequence[str]
    eval: Sequence[str]
