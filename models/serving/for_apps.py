"""What a version holds for apps beside the model: clients, the browser's file, preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ranklite.models.export.target import LoadedModel, Target
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving import clients
from ranklite.models.serving.clients import vectors
from ranklite.models.serving.versions import PREPROCESSING_FILE


def files(
    target: Target,
    model: LoadedModel,
    metadata: Mapping[str, Any],
    preprocessing: bytes,
) -> dict[str, bytes]:
    """Contents by path in the version's folder.

    Args:
      target: What the file is.
      model: The file, loaded.
      metadata: `model.json`, whose configuration says what is pushed (`clients.push_settings`).
      preprocessing: `RawFeatures.to_dict` as JSON, which may hold NaN; what is pushed has null
        there, since parsers of other languages know no NaN.
    """
    made, push = dict[str, bytes](), clients.push_settings(metadata)
    data = json.loads(preprocessing, parse_constant=lambda _: None)
    if push["preprocessing"]:
        made[PREPROCESSING_FILE] = json.dumps(data, allow_nan=False).encode()
    if model.encoder is None or not push["clients"]:
        return made
    # Values that are not to be pushed are not in the vectors either.
    words = data["constants"]["vocabularies"] if PREPROCESSING_FILE in made else {}
    columns = [RawColumn.of_entry(entry) for entry in metadata["features"]]
    made |= clients.generate(metadata, vectors.made(model, columns, words))
    browser = target.for_browser(model.content, push["browser_batch"])
    if browser is not None:
        made[clients.BROWSER_FILE] = browser
    return made
