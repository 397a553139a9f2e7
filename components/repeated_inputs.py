"""Inputs of a component that come in any number: `teacher_0`, `teacher_1`, ...

Kubeflow takes one channel for an input and no union of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfx.types import channel
from tfx.types.component_spec import ChannelParameter


def parameters(name: str, artifact_type: Any, most: int) -> dict[str, ChannelParameter]:
    """Entries of a specification's INPUTS for up to `most` channels."""
    return {f"{name}_{k}": ChannelParameter(type=artifact_type, optional=True) for k in range(most)}


def channels(name: str, given: Sequence[channel.BaseChannel]) -> dict[str, channel.BaseChannel]:
    """Arguments for a specification."""
    return {f"{name}_{k}": one for k, one in enumerate(given)}


def artifacts(name: str, input_dict: dict[str, list[Any]]) -> list[Any]:
    """What an executor was given, in order."""
    result: list[Any] = []
    while given := input_dict.get(f"{name}_{len(result)}"):
        result += given
    return result
