"""Every registered engine, those of clusters on real clusters, one of each in a session."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pytest

from ranklite.components.engines.engine import Engine
from ranklite.components.engines.local import Local
from ranklite.components.engines.ray import Ray
from ranklite.components.engines.spark import Spark
from tests import engine_clusters


@contextlib.contextmanager
def _local(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield Local(workers=2)


@contextlib.contextmanager
def _spark(request: pytest.FixtureRequest) -> Iterator[Engine]:
    master = request.getfixturevalue("spark_master")
    with engine_clusters.spark_driver():
        yield Spark(master=master, options=engine_clusters.SPARK_OPTIONS)


@contextlib.contextmanager
def _spark_threads(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if why := engine_clusters.lacks_spark():
        pytest.skip(why)
    with engine_clusters.spark_driver():
        yield Spark(master="local[2]", options=engine_clusters.SPARK_OPTIONS)


@contextlib.contextmanager
def _ray(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with engine_clusters.ray_driver():
        yield Ray(address=request.getfixturevalue("ray_address"))


# Where each registered engine is tested.
ON = {
    "local": {"local": _local},
    "spark": {"spark": _spark, "spark-threads": _spark_threads},
    "ray": {"ray": _ray},
}
PLACES = {name: place for places in ON.values() for name, place in places.items()}


@pytest.fixture(scope="session", autouse=True)
def _our_tests_are_found() -> Iterator[None]:
    """IPython, which TFX imports, puts a folder with a package `tests` on the path of workers."""
    before = list(sys.path)
    sys.path[:] = [path for path in before if not path.endswith("IPython/extensions")]
    yield
    sys.path[:] = before


@pytest.fixture(scope="session")
def spark_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if why := engine_clusters.lacks_spark():
        pytest.skip(why)
    with engine_clusters.spark_cluster(tmp_path_factory.mktemp("spark")) as master:
        yield master


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    if why := engine_clusters.lacks_ray():
        pytest.skip(why)
    with engine_clusters.ray_cluster() as address:
        yield address


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name == "local" else pytest.mark.slow) for name in PLACES
    ],
)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with PLACES[request.param](request) as made:
        yield made
