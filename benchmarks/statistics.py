"""StatisticsGen in this process against TFX's on Beam, on the same Examples.

    python -m benchmarks.statistics [--rows 1000000] [--users 1000000] [--items 300000]
                                    [--history 0] [--repeat 1] [--only ours|peer] [--json FILE]

Both run the executor of the stage on one machine, in turns and in a process of their own each:
what is told is the time of the stage alone, without imports, its processor seconds, which others on
the machine change less, and the most memory that the process had. The last lines say what differs:
columns whose most frequent values or number of different values are not the same, the largest
relative difference of a mean or deviation, and the largest distance of a quantile in shares of the
rows.
"""

from __future__ import annotations

import argparse
import shutil
from typing import Any

import numpy as np

from benchmarks.beam_comparison import SPLITS, WAYS, Measured, features, main, measured


def _run(folder: str, way: str, arguments: argparse.Namespace) -> Measured:
    """Runs the stage; seconds, processor seconds and the peak of memory in MB."""
    from tfx.components.statistics_gen import executor
    from tfx.types import artifact_utils, standard_artifacts

    from ranklite.components.schema_from_config.statistics import statistics_options
    from ranklite.components.statistics_gen.executor import Executor
    from ranklite.models.features.feature_set import FeatureSet

    examples, statistics = standard_artifacts.Examples(), standard_artifacts.ExampleStatistics()
    examples.uri, statistics.uri = f"{folder}/examples", f"{folder}/{way}"
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    of = FeatureSet.model_validate(features(arguments.history))
    shutil.rmtree(f"{folder}/{way}", ignore_errors=True)  # of an earlier repeat
    stage = (Executor if way == "ours" else executor.Executor)()
    properties = {"stats_options_json": statistics_options(of).to_json()}
    inputs, outputs = {"examples": [examples]}, {"statistics": [statistics]}
    return measured(lambda: stage.Do(inputs, outputs, properties))


def _differences(folder: str, _: argparse.Namespace) -> dict[str, float]:
    """What differs between both, by what it is."""
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0 import statistics_pb2

    found = {"columns of values": 0.0, "relative, moments": 0.0, "shares, quantiles": 0.0}
    for split in SPLITS:
        ours, peer = (
            {
                feature.path.step[0]: feature
                for feature in tfdv.load_stats_binary(
                    f"{folder}/{way}/Split-{split}/FeatureStats.pb"
                )
                .datasets[0]
                .features
            }
            for way in WAYS
        )
        for name, other in peer.items():
            one = ours[name]
            if other.HasField("string_stats"):
                found["columns of values"] += one.string_stats != other.string_stats
                continue
            a, b = one.num_stats, other.num_stats
            found["columns of values"] += any(
                getattr(a, field) != getattr(b, field) for field in ("min", "max", "num_zeros")
            )
            for x, y in ((a.mean, b.mean), (a.std_dev, b.std_dev)):
                found["relative, moments"] = max(found["relative, moments"], abs(x / y - 1))
            edges: list[Any] = []
            for numbers in (a, b):
                (histogram,) = (
                    each
                    for each in numbers.histograms
                    if each.type == statistics_pb2.Histogram.QUANTILES
                )
                edges.append([bucket.high_value for bucket in histogram.buckets])
            share = np.linspace(0, 1, len(edges[0]) + 1)[1:]
            if len(set(edges[1])) == len(edges[1]):  # else an edge has no share of its own
                apart = np.abs(np.interp(edges[0], edges[1], share) - share).max()
                found["shares, quantiles"] = max(found["shares, quantiles"], float(apart))
    return {f"differences: {what}": value for what, value in found.items()}


if __name__ == "__main__":
    main("statistics", "StatisticsGen", _run, _differences, "1M rows in 15 s")
