"""The pipeline on one page: interaction logs in, a blessed model file out."""

from __future__ import annotations

from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline

from ranklite.components.log_example_gen.component import Span
from ranklite.components.log_example_gen.config import NEWEST
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.history import History
from ranklite.pipeline.stages.compress import compress
from ranklite.pipeline.stages.data import ingest, transform, validate
from ranklite.pipeline.stages.judge import export, judge
from ranklite.pipeline.stages.release import push, report
from ranklite.pipeline.stages.repeat import repeat
from ranklite.pipeline.stages.train import train


def create_pipeline(
    config: RunConfig,
    *,
    data_root: str,
    pipeline_root: str,
    push_dir: str,
    rejects_dir: str,
    work_dir: str,
    history: History,
    span: Span = NEWEST,
    metadata_path: str | None = None,
    enable_cache: bool = True,
) -> Pipeline:
    """Builds the DAG of a configuration.

    Args:
      config: The validated configuration.
      data_root: Folder that the source's file names are relative to.
      pipeline_root: Folder of TFX's artifacts.
      push_dir: Folder that receives the blessed versions.
      rejects_dir: Folder for the rows of the log that could not be read.
      work_dir: Folder that keeps the finished trials of searches, and what other seeds came to.
      history: Where the artifacts of earlier runs come from.
      span: The newest span of the log to read.
      metadata_path: SQLite file of ML Metadata, for the local runner.
      enable_cache: Serve stages with nothing new from the cache.

    Returns:
      The pipeline, for LocalDagRunner or KubeflowV2DagRunner.
    """
    # LogExampleGen, StatisticsGen -> schema, ValidationGate -> Transform
    examples = ingest(config, data_root, rejects_dir, span)
    valid = validate(config, examples, history)
    transformed = transform(config, examples, valid)
    # SettingsSearch -> Trainer -> Pruner, Clusterer, ..., or BudgetSearch -> Exporter
    trained = train(config, transformed, history, work_dir)
    compressed = compress(config, examples, transformed, trained, work_dir)
    exported = export(config, examples, compressed, transformed)
    # SeedRepeats, where other seeds are asked for
    repeated = repeat(config, examples, transformed, trained, compressed, work_dir)
    # Evaluator, FileValidator -> RunReport -> Pusher
    judged = judge(config, examples, transformed, compressed, exported, history)
    page = report(config, examples, valid, transformed, trained, compressed, repeated, judged)
    pusher = push(config, transformed, trained, exported, judged, page, push_dir, history)
    stages = (examples, valid, transformed, trained, compressed, exported, repeated, judged)
    store = sqlite_metadata_connection_config(metadata_path) if metadata_path else None
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=pipeline_root,
        components=[*(c for s in stages for c in s.components), page, pusher, *history.nodes],
        enable_cache=enable_cache,
        metadata_connection_config=store,
        beam_pipeline_args=list(config.beam.pipeline_args),
    )
