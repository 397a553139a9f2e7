"""What Transform does to rows, and what it learned, read from its artifact when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_transform as tft
from tfx.types import artifact_utils

from ranklite.components import artifact_io
from ranklite.models.features.constants import read_constants
from ranklite.models.features.examples import as_sparse
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import IDS, NUMERIC
from ranklite.models.features.raw_signature import words_by_column
from ranklite.models.memory import give_back


def transformed(
    input_dict: dict[str, list[Any]], features: FeatureSet, given: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What Transform makes of some rows, all of them as one batch.

    Args:
      input_dict: `transform_graph`.
      features: The configured features.
      given: Raw columns of some rows, several times.
    """
    graph = artifact_utils.get_single_uri(input_dict["transform_graph"])
    layer = tft.TFTransformOutput(graph).transform_features_layer()
    together = {name: np.concatenate([rows[name] for rows in given]) for name in given[0]}
    made = layer(as_sparse(together, features.raw_columns))
    ends = np.cumsum([len(next(iter(rows.values()))) for rows in given])[:-1]
    parts = {n: np.split(made[n].numpy(), ends) for n in (IDS, NUMERIC) if n in made}
    result = [dict(zip(parts, each, strict=True)) for each in zip(*parts.values(), strict=True)]
    del layer, made
    give_back()  # its tables of texts
    return result


def words(input_dict: dict[str, list[Any]], features: FeatureSet) -> dict[str, list[str]]:
    """The values that are looked up, by raw column.

    Args:
      input_dict: `transform_graph`, and `ingest_report` where a file stores the past.
      features: The configured features.
    """
    graph = artifact_utils.get_single_uri(input_dict["transform_graph"])
    state = artifact_io.folder_of(input_dict.get("ingest_report"))
    return words_by_column(features, read_constants(graph, features, state))
