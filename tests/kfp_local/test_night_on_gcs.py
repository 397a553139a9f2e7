"""A night by kfp's own code in the image, on a server that speaks as Google's storage does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ranklite.pipeline.kubeflow import storage
from tests.kfp_local import machine
from tests.kfp_local.place import Place, place
from tests.nightly import SPANS

pytestmark = [
    pytest.mark.kubeflow,
    pytest.mark.skipif(bool(machine.lacks()), reason=machine.lacks()),
]


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place("gs", tmp_path_factory) as made:
        yield made


def test_a_night_pushes_what_a_local_run_pushes(gcs: Place) -> None:
    gcs.arrives(0)
    gcs.arrives(1)
    night = gcs.night(SPANS[1])
    assert night.code == 0, night.text[-6000:]
    assert night.artifact("Pusher", "pushed_model")["metadata"]["pushed"] == 1
    assert len(gcs.recalled()) == 3
    gcs.run_locally(SPANS[1])
    assert gcs.pushed(1) == gcs.pushed_locally(1)


def test_a_refused_log_leaves_its_rejects(gcs: Place) -> None:
    before = gcs.recalled()
    assert gcs.night_of_a_broken_log().code != 0
    assert gcs.recalled() == before
    rejects = storage.read(f"{gcs.home}/rejects/rejects.csv")
    assert rejects is not None
    assert f"clicks-{SPANS[2]}.csv" in rejects.decode()
