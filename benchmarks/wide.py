"""Runs of many columns, and files of many ids: seconds and peak memory, stage by stage.

    python -m benchmarks.wide [--columns 2000] [--rows 20000] [--json FILE]
    python -m benchmarks.wide --ids 2000000 [--json FILE]

Three quarters of the columns are numbers and a quarter are categories, a twentieth of these lists;
seven of them tell something of the label. The run has a process a stage. With `--ids`, a model of
so many users and as many items, untrained, becomes a file in a process of its own; what is told is
that process's memory after each step, and the most that it and the converter had (ru_maxrss).
"""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import tempfile
import time
from typing import Any

import numpy as np
import yaml

from benchmarks.report import Figure, show, write
from benchmarks.whole_run import SOURCE, timed

LISTS = 20  # a categorical column in so many is a list
CATEGORIES = 200  # of a column at most
EXPORT = "import benchmarks.wide; benchmarks.wide.export({ids})"


def wide_log(folder: pathlib.Path, rows: int, columns: int) -> pathlib.Path:
    """Writes a log with many columns, and its configuration."""
    rng = np.random.default_rng(7)
    categories = columns // 4
    numbers = np.round(rng.normal(0, 1, (rows, columns - categories)), 3)
    sizes = rng.integers(3, CATEGORIES, categories)
    ids = [rng.integers(0, size, rows) for size in sizes]
    logit = 0.9 * numbers[:, 0] + 0.7 * numbers[:, 1] + np.maximum(numbers[:, 2], 0) - 0.7
    for size, values in list(zip(sizes, ids, strict=True))[:4]:
        logit += rng.normal(0, 0.7, size)[values]
    table: dict[str, Any] = {"label": (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)}
    features: list[dict[str, Any]] = []
    for k in range(numbers.shape[1]):
        table[f"n{k}"] = numbers[:, k]
        features.append({"name": f"n{k}", "kind": "numeric"})
    for k, (size, values) in enumerate(zip(sizes, ids, strict=True)):
        text = np.char.add("v", values.astype(str))
        feature: dict[str, Any] = {"name": f"c{k}", "kind": "categorical"}
        if k % LISTS == LISTS - 1:
            second = np.char.add("|v", rng.integers(0, size, rows).astype(str))
            text = np.char.add(text, second)
            feature |= {"kind": "multi_categorical", "separator": "|", "max_length": 3}
        table[f"c{k}"] = text
        features.append(feature)
    table["time"] = np.sort(rng.integers(1_767_225_600, 1_770_000_000, rows))
    lines = map(",".join, zip(*(np.asarray(c).astype(str) for c in table.values()), strict=True))
    with open(folder / "log.csv", "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in (",".join(table), *lines))
    settings = {
        "name": "wide",
        "source": {"files": "log.csv"},
        "label": "label",
        "timestamp": "time",
        "split": {"by": "time", "eval": 0.1, "test": 0.1},
        "features": features,
        "compression": [{"technique": "quantize", "epochs": 1}],
        "gates": {"min_auc": 0.5},
    }
    path = folder / "wide.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def run_figures(rows: int, columns: int) -> list[Figure]:
    """Those of a run: `validate`, the whole, and every stage that takes a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        path = wide_log(folder, rows, columns)
        checked, _ = timed(
            "-m", "ranklite", "validate", "--config", str(path), "--data", str(folder)
        )
        took, printed = timed("-c", SOURCE, str(path), str(folder), str(folder / "runs"))
    made = json.loads(printed.splitlines()[-1])
    what = f"{columns:,} columns by {rows:,} rows"
    result = [
        Figure(f"validate, {columns:,} columns", checked, None, None, "s"),
        Figure(what, took, None, None, "s", "<= 300 s"),
    ]
    for stage, seconds in made["seconds"].items():
        if stage != "total" and seconds >= 1:
            result.append(Figure(stage, seconds, None, None, "s"))
            result.append(Figure(f"{stage}, memory", made["peaks"][stage] / 1e9, None, None, "GB"))
    return result


def export(ids: int) -> None:
    """Makes the file of a model of so many users and items; prints seconds and memory as JSON."""
    from ranklite.pipeline.stack import import_tensorflow

    import_tensorflow()
    from ranklite.models.architectures import family, file_limit
    from ranklite.models.architectures.checkpoint import Checkpoint
    from ranklite.models.architectures.deepfm import DeepFMConfig
    from ranklite.models.export import export_target
    from ranklite.models.features.constants import PreprocessingConstants
    from ranklite.models.features.feature_set import FeatureSet
    from ranklite.models.features.layout import FeatureLayout
    from ranklite.models.features.raw_signature import RawFeatures

    steps: dict[str, tuple[float, float]] = {}
    last = time.perf_counter()

    def note(step: str) -> None:
        nonlocal last
        now = time.perf_counter()
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        steps[step] = now - last, pages * resource.getpagesize() / 1e9
        last = now

    features = FeatureSet.model_validate(
        {"features": [{"kind": "categorical", "name": name} for name in ("user", "item")]}
    )
    layout = FeatureLayout.build([(f.name, 1, ids) for f in features.id_features])
    config = DeepFMConfig(embedding_dim=16, hidden_units=(64, 32))
    checkpoint = Checkpoint(family.build(layout, config), layout, config)
    note("a model")
    words = {name: [f"{name}{k}" for k in range(ids)] for name in ("user", "item")}
    constants = PreprocessingConstants(words, {}, {}, {})
    note("its vocabularies")
    raw = RawFeatures(features, constants, layout)
    note("arrays of them")
    target = export_target("tflite")
    convert = target.begin(checkpoint, raw)
    del checkpoint, raw, constants, words
    content = convert()
    note("the file")
    target.load(content).try_out()
    note("loaded and tried")
    sizes = len(content) / 1e6, file_limit.float_bytes(layout, config) / 1e6
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)  # the converter has its own process
    peaks = [resource.getrusage(who).ru_maxrss * 1024 / 1e9 for who in whose]
    print(json.dumps({"steps": steps, "sizes": sizes, "peaks": peaks}))


def id_figures(ids: int) -> list[Figure]:
    """Those of the export of so many users and items."""
    took, printed = timed("-c", EXPORT.format(ids=ids))
    made = json.loads(printed.splitlines()[-1])
    size, expected = made["sizes"]
    result = [
        Figure("the process", took, None, None, "s"),
        Figure("its most memory", made["peaks"][0], None, None, "GB", "<= 4 GB"),
        Figure("the converter's most memory", made["peaks"][1], None, None, "GB", "<= 4 GB"),
        Figure("the file, and as it was foretold", size, expected, size / expected, "MB"),
    ]
    for step, (seconds, gigabytes) in made["steps"].items():
        result.append(Figure(step, seconds, None, None, "s"))
        result.append(Figure(f"{step}, memory then", gigabytes, None, None, "GB"))
    return result


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--columns", type=int, default=2_000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--ids", type=int, metavar="N", help="export N users and N items instead")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args()
    if arguments.ids:
        figures = id_figures(arguments.ids)
    else:
        figures = run_figures(arguments.rows, arguments.columns)
    print(show(figures))
    if arguments.json:
        write(arguments.json, "wide", figures)


if __name__ == "__main__":
    main()
