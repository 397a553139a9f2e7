"""Which earlier model can be judged on the rows of today, by what artifacts say of their inputs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ranklite.models.features.feature_set import FeatureSet

DIGEST = "features_digest"  # custom properties of an exported file's Model artifact
INPUTS = "raw_inputs"


def properties(features: FeatureSet) -> dict[str, str]:
    """What a file takes on raw rows: a digest of it, and the columns with their types."""
    inputs = [column.digest_entry() for column in features.raw_columns]
    digest = hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]
    return {DIGEST: digest, INPUTS: json.dumps({name: kind for name, *kind in inputs})}


def can_score(earlier: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a file can score the rows of another one: they hold all that it takes.

    Args:
      earlier: Custom properties of the file; a version before these had `raw_inputs` has the digest
        alone.
      now: Of the file whose rows they are.

    Example:
        >>> can_score({"raw_inputs": '{"a": []}'}, {"raw_inputs": '{"a": [], "b": []}'})
        True
        >>> can_score({"raw_inputs": '{"a": [], "b": []}'}, {"raw_inputs": '{"a": []}'})
        False
    """
    if earlier.get(DIGEST) and earlier.get(DIGEST) == now.get(DIGEST):
        return True
    if not (earlier.get(INPUTS) and now.get(INPUTS)):
        return False
    taken, there = json.loads(earlier[INPUTS]), json.loads(now[INPUTS])
    return all(there.get(name) == kind for name, kind in taken.items())
