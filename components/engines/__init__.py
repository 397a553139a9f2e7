"""Where the parts of a log are worked on: processes of this machine, or a cluster.

A new engine is one file with a class that is a `components.engines.engine.Engine`, and a line here,
or an entry point of another package:

    [project.entry-points."ranklite.engines"]
    slurm = "cluster.ranklite_engine:Slurm"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranklite.models.registry import Registry

if TYPE_CHECKING:
    from ranklite.components.engines.engine import Engine

ENGINES: Registry[type[Engine]] = Registry(
    "engine",
    "ranklite.engines",
    {
        "local": "ranklite.components.engines.local:Local",
        "spark": "ranklite.components.engines.spark:Spark",
        "ray": "ranklite.components.engines.ray:Ray",
    },
)
