"""Transform."""

from __future__ import annotations

from tfx.components.transform import component
from tfx.dsl.components.base import executor_spec

from ranklite.components.transform.executor import Executor


class Transform(component.Transform):
    """TFX's Transform, made repeatable; its arguments are the same."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
