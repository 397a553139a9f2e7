"""What the past is worth: accuracy with and without it over seeds, as served, and its costs.

    python benchmarks/past.py --config configs/movielens.yaml --data <folder> --seeds 3

Reads the log once a set of features and trains, compresses and exports as the configuration says,
without the pipeline's other stages. Sets: the configured features (`configured`), those without the
past (`ids`), and with --each every feature of the past alone. Figures are those of the exported
file on the last split, through its raw signature: as configured, and with the user's state at each
request and at the start of the session. The last rows are gradient boosting (scikit-learn) on the
configured features of the past, and on the ids' numbers alone.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
import tempfile
from typing import Any

import ranklite.models  # noqa: F401  chooses Keras 2 before TensorFlow is imported

import numpy as np  # isort: skip
from sklearn.ensemble import HistGradientBoostingClassifier  # isort: skip
from tfx.orchestration.local.local_dag_runner import LocalDagRunner  # isort: skip
from tfx.orchestration.metadata import sqlite_metadata_connection_config  # isort: skip
from tfx.orchestration.pipeline import Pipeline  # isort: skip

from ranklite.components.file_validator import states
from ranklite.components.file_validator.judged_split import JudgedSplit
from ranklite.components.log_example_gen.config import NEWEST
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.compression.config import Search
from ranklite.models.compression.recipe import apply
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques import technique
from ranklite.models.evaluation import metrics
from ranklite.models.export import export_target
from ranklite.models.export.target import SERVING_DEFAULT, SERVING_RAW
from ranklite.models.features.constants import layout_from_transform, read_constants
from ranklite.models.features.examples import raw_inputs, read_records, transformed_inputs
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.features.slices import GROUP
from ranklite.models.training import fit
from ranklite.models.training.splits import Splits
from ranklite.pipeline.config.run_config import RunConfig, load_config
from ranklite.pipeline.history import History
from ranklite.pipeline.stages import data as stages

FIGURES = ("auc", "gauc", "ndcg_at_10", "log_loss")


class Log:
    """A log with a set of features, read and transformed by the pipeline's own stages.

    Args:
      config: Of the run.
      data: Folder of the log.
      folder: For files.
    """

    def __init__(self, config: RunConfig, data: str, folder: str) -> None:
        self.config, self.features = config, config.feature_set
        history = History()
        examples = stages.ingest(config, data, os.path.join(folder, "rejects"), NEWEST)
        valid = stages.validate(config, examples, history)
        made = stages.transform(config, examples, valid)
        LocalDagRunner().run(
            Pipeline(
                pipeline_name=config.name,
                pipeline_root=folder,
                components=[c for s in (examples, valid, made) for c in s.components],
                metadata_connection_config=sqlite_metadata_connection_config(
                    os.path.join(folder, "metadata.db")
                ),
            )
        )
        names = config.ingest.split_names

        def output(component: str, key: str) -> str:
            (made_by_it,) = glob.glob(os.path.join(folder, component, key, "*"))
            return made_by_it

        examples_dir = output("LogExampleGen", "examples")
        ids_dir = output("Transform", "transformed_examples")
        self.state = output("LogExampleGen", "report")
        self.graph = output("Transform", "transform_graph")
        self.files = {s: glob.glob(os.path.join(ids_dir, f"Split-{s}", "*")) for s in names}
        self.layout = layout_from_transform(self.graph, self.features)
        judged = glob.glob(os.path.join(examples_dir, f"Split-{names[-1]}", "*"))
        self.raw = raw_inputs(read_records(judged), self.features.raw_columns)
        self.ids, self.labels, texts = transformed_inputs(
            read_records(self.files[names[-1]]), self.layout, [GROUP]
        )
        self.users = texts[GROUP]

    def trained(self, seed: int) -> tuple[Checkpoint, Checkpoint]:
        """The float model and the compressed one."""
        training = self.config.fitting.model_copy(update={"seed": seed})
        splits = Splits(self.files["train"], self.files["eval"])
        model = fit.build(self.layout, self.config.model, training)
        result = fit.fit(model, self.layout, splits.train, splits.eval, training)
        whole = Checkpoint(model, self.layout, self.config.model, result)
        teachers = []
        for sizes, schedule in self.config.teachers:
            schedule = schedule.model_copy(update={"seed": schedule.seed + 100 * seed})
            teacher = fit.build(self.layout, sizes, schedule)
            fit.fit(teacher, self.layout, splits.train, splits.eval, schedule)
            teachers.append(Checkpoint(teacher, self.layout, sizes, {}))
        setting = Setting(self.features, splits, training, teachers)
        smaller = whole
        assert not isinstance(self.config.compression, Search), "a recipe, and no search for one"
        for step in self.config.compression:
            smaller = apply(technique(step), smaller, setting).model
        return whole, smaller

    def measured(self, checkpoint: Checkpoint) -> dict[str, dict[str, float]]:
        """Figures of the exported file: as configured, and by other state of the past."""
        target = export_target(self.config.targets[0])
        constants = read_constants(self.graph, self.features, self.state)
        content = target.export(checkpoint, RawFeatures(self.features, constants, self.layout))
        model = target.load(content)
        scores = model.score(self.raw, SERVING_RAW)
        figures = {
            "configured": metrics.ranking_metrics(self.labels, scores, self.users)
            | {
                "bytes": len(content),
                "latency_1_us": model.latency(self.ids, 1),
                "latency_512_us": model.latency(self.ids, 512),
            }
        }
        assert SERVING_DEFAULT in model.signatures
        every, columns = JudgedSplit(len(self.labels)), self.features.raw_columns
        return figures | states.measure(
            self.state, every, model, columns, self.raw, self.labels, self.users
        )

    def boosted(self, seed: int) -> dict[str, float]:
        """Gradient boosting on the numbers that the model reads."""
        train, train_labels, _ = transformed_inputs(read_records(self.files["train"]), self.layout)
        count = self.layout.num_numbers
        model = HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=300, early_stopping=True, random_state=seed
        )
        model.fit(train["numeric"][:, :count], train_labels)
        scores = model.predict_proba(self.ids["numeric"][:, :count])[:, 1]
        return metrics.ranking_metrics(self.labels, scores, self.users)


def _with(config: RunConfig, keep: Any) -> RunConfig:
    """The configuration with some of its features of the past."""
    kept = [
        f.model_dump()
        for f in config.features
        if all(c.past is None for c in f.raw_columns()) or keep(f.name)
    ]
    return RunConfig.model_validate({**config.model_dump(), "features": kept})


def sets(config: RunConfig, each: bool) -> dict[str, RunConfig]:
    """Configurations by name."""
    named = [c.past.feature for c in config.feature_set.past_columns if c.past]
    result = {"ids": _with(config, lambda name: False)}
    for feature in dict.fromkeys(named) if each else ():
        result[f"ids + {feature}"] = _with(config, lambda name, kept=feature: name == kept)
    return {**result, "configured": config}


def main() -> int:
    """Prints a line a set and stage: mean and standard deviation over the seeds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default="configs/movielens.yaml")
    parser.add_argument("--data", required=True, help="folder with the log")
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings (default: 3)")
    parser.add_argument("--each", action="store_true", help="every feature of the past alone too")
    parser.add_argument("--only", help="one set: ids or configured")
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    print(f"{'set':<24}{'file':<12}{'state':<24}" + "".join(f"{f:>20}" for f in FIGURES))
    for name, chosen in sets(config, arguments.each).items():
        if arguments.only and name != arguments.only:
            continue
        results: dict[tuple[str, str], list[dict[str, float]]] = {}
        with tempfile.TemporaryDirectory() as folder:
            log = Log(chosen, arguments.data, folder)
            for seed in range(1, arguments.seeds + 1):
                for stage, checkpoint in zip(("float", "shipped"), log.trained(seed), strict=True):
                    for state, figures in log.measured(checkpoint).items():
                        results.setdefault((stage, state), []).append(figures)
                if log.features.past_columns:
                    boosted = log.boosted(seed)
                    results.setdefault(("boosting", "configured"), []).append(boosted)
        for (stage, state), rows in results.items():
            cells = ""
            for figure in FIGURES:
                values = [row[figure] for row in rows]
                cells += f"{np.mean(values):>12.4f} +- {np.std(values):.4f}"
            costs = [k for k in ("bytes", "latency_1_us", "latency_512_us") if k in rows[0]]
            cells += "".join(f"  {k} {min(row[k] for row in rows):,.2f}" for k in costs)
            print(f"{name:<24}{stage:<12}{state:<24}{cells}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
