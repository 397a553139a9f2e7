"""Loads the file of a version: digested while its runtime is imported, and never before."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Mapping
from typing import Any

from ranklite.models.export.mapped import MappedFile
from ranklite.models.export.target import LoadedModel, Target
from ranklite.models.serving.versions import check_model, read_model


def loaded(
    target: Target, version: str, metadata: Mapping[str, Any], *, trusted: bool
) -> LoadedModel:
    """The file of a target in its runtime.

    Args:
      target: Which of the version's files.
      version: The folder.
      metadata: `model.json`.
      trusted: Whether the folder's writer is: then the file is mapped and not copied.

    Raises:
      DamagedFile: The file is not the one that was pushed.
      OSError: It cannot be read.
      UnreadableModel: The runtime cannot load it.
    """
    if not trusted:
        from ranklite.models.serving import trial

        content = read_model(version, target.file, metadata)
        trial.check(target.name, content)
        return target.load(content)
    # To digest a large file takes longer than to import its runtime. A damaged one would end the
    # process, so it is loaded only behind.
    with MappedFile(os.path.join(version, target.file)) as file:
        wrong: list[Exception] = []

        def check() -> None:
            try:
                check_model(version, target.file, file.bytes, metadata)
            except Exception as error:  # raised below, in the thread that waits for it
                wrong.append(error)

        beside = threading.Thread(target=check)
        beside.start()
        try:
            target.prepare()
            importlib.import_module("ranklite.models.serving.ranking")  # a scorer needs it next
        finally:
            beside.join()
        if wrong:
            raise wrong[0]
        return target.load_mapped(file)
