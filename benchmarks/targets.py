"""One model as TFLite and as ONNX: how far scores differ, and what a row takes in each runtime.

    python benchmarks/targets.py VERSION [--rows 10000] [--rounds 15] [--json <file>]

VERSION is a pushed version with both files (`targets: [tflite, onnx]`), or the folder of all.

Rows are made up from `model.json` and `preprocessing.json`: values of the vocabularies, and
missing, unseen and Unicode ones, the least and greatest integers, lists that are too long. Both
files score them through both signatures. Then both are timed in turns on one thread, Python's
call included; `serving_raw` takes what is encoded already. Figures are medians over the rounds;
behind the ratio are the least and the greatest one of a round.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.export import export_target
from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW, LoadedModel
from ranklite.models.features import raw_values
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.reporting.tables import table
from ranklite.models.serving.versions import METADATA_FILE, latest_version, model_files

BATCHES = (1, 512)
MANY = 2048  # rows that are timed together
HOSTILE: dict[str, list[Any]] = {
    "string": [None, "", "?", "ü", "日本", "\U0001f600", " ", "a" * 300],
    "int64": [None, -1, -(2**31), 2**31 - 1, 2**31, -(2**63) + 1, 2**63 - 1],
    "float32": [None, 0.0, -1e6, 1e6, 1e30, float("nan")],
}

Rows = dict[str, npt.NDArray[Any]]


def made_up(column: RawColumn, words: list[str], count: int) -> npt.NDArray[Any]:
    """Values of a column as a log may have them; half are in its vocabulary, where it has one."""
    random = np.random.default_rng(zlib.crc32(column.name.encode()))
    known: list[Any] = words
    if column.dtype == "int64":
        known = [int(word) for word in words if word.lstrip("-").isdigit()]
    known = known or list(random.normal(scale=3, size=1000).astype(np.float32).tolist())
    if column.dtype == "int64" and not words:
        known = list(range(100))

    def value() -> Any:
        of = known if random.random() < 0.5 else HOSTILE[column.dtype]
        return of[random.integers(len(of))]

    def listed() -> list[Any]:
        return [value() for _ in range(random.integers(2 * (column.length or 0) + 1))]

    values = [listed() if column.is_list else value() for _ in range(count)]
    return raw_values.array(column, [raw_values.convert(column, each) for each in values])


def inputs_of(layout: FeatureLayout, count: int) -> Rows:
    """What `serving_default` takes: any row of each field, and numbers."""
    random = np.random.default_rng(0)
    ids = [
        random.integers(field.offset, field.offset + field.rows, (count, field.length))
        for field in layout.fields
    ]
    rows: Rows = {"ids": np.hstack(ids).astype(np.int32)}
    if layout.num_numeric:
        rows["numeric"] = random.normal(size=(count, layout.num_numeric)).astype(np.float32)
    return rows


def compared(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """Microseconds of a call of each file, timed in turns, and the second over the first."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(-2, rounds):  # two more to warm up
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number >= 0:
                times[name].append(1e6 * (time.perf_counter() - start))
    first, second = times.values()
    ratios = [b / a for a, b in zip(first, second, strict=True)]
    medians = {name: float(np.median(each)) for name, each in times.items()}
    return {**medians, "ratio": float(np.median(ratios)), "range": [min(ratios), max(ratios)]}


def timed(model: LoadedModel, inputs: Rows, signature: str, batch: int) -> Callable[[], object]:
    """A call that scores MANY rows, so many at a time."""
    taken = model.encoder.encode(inputs) if signature == SERVING_RAW and model.encoder else inputs
    rows = {name: np.resize(values, (MANY, *values.shape[1:])) for name, values in taken.items()}
    if signature == SERVING_DEFAULT:
        call = model.prepared({name: values[:batch] for name, values in rows.items()})
        return lambda: [call() for _ in range(MANY // batch)]
    return lambda: model.score(rows, signature, batch)


def main() -> int:
    """Compares, measures, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("version", help="a pushed version with both files, or the folder of all")
    parser.add_argument("--rows", type=int, default=10_000, help="rows that both files score")
    parser.add_argument("--rounds", type=int, default=15, help="times each is measured")
    parser.add_argument("--json", help="file for the figures")
    arguments = parser.parse_args()
    given = arguments.version
    version = pathlib.Path(given if model_files(given) else latest_version(given) or given)
    metadata = json.loads((version / METADATA_FILE).read_text(encoding="utf-8"))
    made_with = json.loads((version / "preprocessing.json").read_text(encoding="utf-8"))
    words = made_with["constants"]["vocabularies"]
    targets = [export_target(name) for name in ("tflite", "onnx")]
    models = {target.title: target.read(str(version / target.file)) for target in targets}
    first, second = models.values()
    columns = [RawColumn.of_entry(entry) for entry in metadata["features"]]
    raw = {each.name: made_up(each, words.get(each.name, []), arguments.rows) for each in columns}
    report = json.loads((version / "report.json").read_text(encoding="utf-8"))
    fused = inputs_of(FeatureLayout.from_dict(report["layout"]), arguments.rows)
    figures: dict[str, Any] = {}
    for signature, inputs in ((SERVING_DEFAULT, fused), (SERVING_RAW, raw)):
        apart = np.abs(first.score(inputs, signature) - second.score(inputs, signature))
        figures[signature] = {
            "rows": arguments.rows,
            "largest_difference": float(apart.max()),
            "over_1e-3": int((apart > 1e-3).sum()),
            "over_1e-5": int((apart > 1e-5).sum()),
        }
        for batch in BATCHES:
            calls = {title: timed(m, inputs, signature, batch) for title, m in models.items()}
            figures[signature][f"batch_{batch}"] = compared(calls, arguments.rounds)
    rows = [
        [signature, f"batch {batch}"]
        + [f"{of[title] / MANY:.2f}" for title in models]
        + [f"{of['ratio']:.2f}", "{:.2f} to {:.2f}".format(*of["range"])]
        for signature, measured in figures.items()
        for batch in BATCHES
        for of in [measured[f"batch_{batch}"]]
    ]
    head = ["signature", "", *(f"{title}, us/row" for title in models), "ratio", "by round"]
    print(table(head, rows))
    for signature, measured in figures.items():
        print(
            f"{signature}: {measured['rows']:,} rows, largest difference "
            f"{measured['largest_difference']:.2g}; {measured['over_1e-5']} rows over 1e-5, "
            f"{measured['over_1e-3']} over 1e-3"
        )
    sizes = {title: len(model.content) for title, model in models.items()}
    print(", ".join(f"{title} {size:,} bytes" for title, size in sizes.items()))
    if arguments.json:
        written = json.dumps({**figures, "bytes": sizes}, indent=1)
        pathlib.Path(arguments.json).write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
