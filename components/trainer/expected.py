"""What the run of this process means to ship, for what is told before a model is trained."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from ranklite.components.current import Current

if TYPE_CHECKING:
    from ranklite.models.architectures.family import FamilySettings
    from ranklite.models.compression.file_size import Expected
    from ranklite.models.features.layout import FeatureLayout

_files: Current[Expected] = Current()

_log = logging.getLogger(__name__)  # its lines stay on the terminal


def expected(files: Expected) -> contextlib.AbstractContextManager[None]:
    """Makes it known while the run is under way."""
    return _files.known(files)


def tell(layout: FeatureLayout, model: FamilySettings) -> None:
    """Says what its tables make of the files, where these are large; nothing where none was given.

    Args:
      layout: Where the features live in the model's inputs.
      model: Its settings.
    """
    files = _files.value
    for line in files.words(layout, model) if files is not None else ():
        _log.warning("attention: %s", line)
