"""The pipeline for TFX's own command line, which runs a file that builds one:

    export RANKLITE_CONFIG=configs/movielens.yaml RANKLITE_DATA_FOLDER=<folder of the logs>
    tfx pipeline create --engine=local --pipeline_path=local_runner.py
    tfx run create --engine=local --pipeline_name=movielens

RANKLITE_RUNS and RANKLITE_SPAN are `--runs` and `--span` of `ranklite run`. What a run made, and
what it pushed, is where `ranklite run` puts it, and the two share their cache.
"""

from __future__ import annotations

import os

from tfx.orchestration.local.local_dag_runner import LocalDagRunner

from ranklite.pipeline.cli.parser import DEFAULT_CONFIG
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.local.runner import build, checked_data
from ranklite.pipeline.runs.folders import DEFAULT_RUNS, Folders


def main() -> None:
    """Builds the pipeline and hands it to the runner, which the command line listens to."""
    config = load_config(os.environ.get("RANKLITE_CONFIG", DEFAULT_CONFIG))
    folders = Folders(os.environ.get("RANKLITE_RUNS", DEFAULT_RUNS), config.name)
    os.makedirs(folders.root, exist_ok=True)
    span = os.environ.get("RANKLITE_SPAN", "")
    data = checked_data(config, folders, os.environ.get("RANKLITE_DATA_FOLDER"), span)
    LocalDagRunner().run(build(config, folders, data, span))


if __name__ == "__main__":
    main()
