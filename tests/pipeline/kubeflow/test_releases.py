"""Tasks take what each release of KFP hands them, and leave what it takes back."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
import yaml

from ranklite.components.schema_from_config.statistics import statistics_options
from ranklite.pipeline.config.run_config import load_config
from ranklite.pipeline.kubeflow import entrypoint, storage
from ranklite.pipeline.kubeflow.compiler import compile_pipeline
from ranklite.pipeline.local.synthetic import LOG_FILE
from tests import kubeflow_driver as driver
from tests import nightly
from tests.kubeflow_backend import Backend, load
from tests.object_store import ObjectStore, object_store

pytestmark = pytest.mark.slow

STATISTICS = "minio://bucket/statistics"
HISTORY = "minio://bucket/root/nightly/history"


class InProcess(Backend):
    """A backend whose pods are this process: the entry point and TFX are those of a pod."""

    def _execute(self, name: str, command: list[str], disk: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(storage.MOUNTS_ENV, disk)
            entrypoint.main(command[len(("python", "-m", "module")) :])


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as made, pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        storage._store.cache_clear()
        yield made
    storage._store.cache_clear()


@pytest.fixture(scope="module")
def document(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The compiled pipeline; the statistics of its train split are in the store."""
    folder = tmp_path_factory.mktemp("releases")
    settings = nightly.settings(
        image="ranklite:test", pipeline_root="minio://bucket/root", data="minio://bucket/logs"
    )
    # The statistics are those of the log as it stands, which has no column of the past.
    past = ("history", "aggregate")
    settings["features"] = [f for f in settings["features"] if f["kind"] not in past]
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    config = load_config(str(folder / "config.yaml"))
    nightly.log(folder / "all", 0)
    rows = pd.read_csv(folder / "all" / LOG_FILE).rename(columns={config.label: "label"})
    rows["label"] = rows["label"].astype(float)
    made = tfdv.generate_statistics_from_dataframe(rows, statistics_options(config.feature_set))
    for split in ("train", "eval"):
        key = f"bucket/statistics/Split-{split}/FeatureStats.pb"
        store.objects[key] = made.SerializeToString()
    compile_pipeline(config, str(folder / "pipeline.yaml"))
    return load(str(folder / "pipeline.yaml"))


@pytest.mark.parametrize("release", driver.RELEASES, ids=lambda release: release.version)
def test_tasks_hand_on_recall_and_repeat(
    release: driver.Release,
    document: dict[str, Any],
    store: ObjectStore,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in [key for key in store.objects if key.startswith("bucket/root/")]:
        del store.objects[name]
    backend = InProcess(store, tmp_path, release=release)
    metadata = {"split_names": json.dumps(["train", "eval"])}
    written = {"uri": STATISTICS, "metadata": metadata}
    kind = {"schemaTitle": "tfx.ExampleStatistics"}
    statistics = driver.recorded(release, "statistics", {"type": kind}, written, 99)
    done = {"StatisticsGen": {"statistics": statistics}}
    done["SchemaFromConfig"] = backend.run_task(document, "SchemaFromConfig", done, {})
    schema = storage.read(f"{done['SchemaFromConfig']['schema']['uri']}/schema.pbtxt")
    assert schema is not None
    assert b'name: "user"' in schema
    again = backend.run_task(document, "SchemaFromConfig", done, {})  # as a retry does
    assert storage.read(f"{again['schema']['uri']}/schema.pbtxt") == schema

    backend.run_task(document, "ValidationGate", done, {})
    kept = storage.read(f"{HISTORY}/LastAcceptedStatistics.json")
    assert kept is not None
    assert json.loads(kept)["uri"] == STATISTICS
    with caplog.at_level("INFO"):
        backend.run_task(document, "ValidationGate", done, {})
    assert f"baseline_statistics is {STATISTICS}" in caplog.text
