"""Transform."""

from __future__ import annotations

from tfx.components.transform import component
from tfx.dsl.components.base import executor_spec

from ranklite.components.transform.executor import Executor


class Transform(component.Transform):
    """TFX's Transform, made repeatable.

    Its arguments are the same. `preprocessing_fn` is the dotted name of
    `ranklite.components.transform.module.preprocessing_fn`, and `custom_config` holds:

      features: JSON of a FeatureSet.
      code_digest: Digest of the module and of the executor, which only keys the cache.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
