"""`repeat`: what cannot be repeated, and what becomes of it in the pipeline."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from tfx.orchestration.pipeline import Pipeline

from ranklite.pipeline import digest
from ranklite.pipeline.config.run_config import ConfigError, RunConfig, load_config
from ranklite.pipeline.history import History
from ranklite.pipeline.pipeline import create_pipeline

CONFIG = "configs/synthetic.yaml"
QUANTIZE = {"technique": "quantize", "epochs": 0}
PLAIN = [  # features that are not computed from earlier rows
    {"name": "user", "kind": "categorical"},
    {"name": "item", "kind": "categorical", "dtype": "int64"},
]
DISTILL = {"technique": "distill", "teachers": 2, "epochs": 1}


def configured(**changes: Any) -> RunConfig:
    return RunConfig.model_validate({**load_config(CONFIG).model_dump(), **changes})


def pipeline(config: RunConfig, folder: pathlib.Path) -> Pipeline:
    (folder / "log.csv").write_text("user,click\n")
    places = {key: str(folder / key) for key in ("push_dir", "rejects_dir", "work_dir")}
    return create_pipeline(
        config,
        data_root=str(folder),
        pipeline_root=str(folder / "root"),
        history=History(),
        **places,
    )


def node(config: RunConfig, folder: pathlib.Path, name: str) -> Any:
    (found,) = (c for c in pipeline(config, folder).components if c.id == name)
    return found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("repeat: 0", r"yaml:\d+: repeat = 0: input should be greater than or equal to 1"),
        ("repeat: 21", r"yaml:\d+: repeat = 21: input should be less than or equal to 20"),
        (
            "repeat: 3\ntraining: {warm_start: true}",
            "repeat: 3 with training.warm_start: .*set repeat to 1 or warm_start to false",
        ),
        (
            "repeat: 3\ntraining: {strategy: multi_worker}",
            "repeat: 3 with training.strategy 'multi_worker': .*take 'mirrored' or 'none'",
        ),
    ],
)
def test_what_cannot_be_repeated_is_refused(
    changes: str, message: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "mine.yaml"
    text = pathlib.Path(CONFIG).read_text(encoding="utf-8")
    path.write_text(f"{text}\n{changes}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(str(path))


def test_once_is_the_default_and_may_start_warm(tmp_path: pathlib.Path) -> None:
    config = configured(training={"warm_start": True})
    assert config.repeat == 1
    ids = {component.id for component in pipeline(config, tmp_path).components}
    assert "SeedRepeats" not in ids
    assert "seeds" not in node(config, tmp_path, "RunReport").inputs


def test_other_seeds_are_a_node_of_their_own_that_the_page_waits_for(
    tmp_path: pathlib.Path,
) -> None:
    config = configured(repeat=3)
    assert config.summary().endswith("float -> prune -> quantize, 3 seeds")
    repeats = node(config, tmp_path, "SeedRepeats")
    properties = repeats.exec_properties
    assert properties["repeat"] == 3
    assert properties["split"] == "test"
    assert [step["technique"] for step in json.loads(properties["steps"])] == ["prune", "quantize"]
    assert properties["work_dir"] == str(tmp_path / "work_dir-seeds")
    needed = {"base_model", "transformed_examples", "transform_graph"}
    assert set(repeats.inputs) == {*needed, "ingest_report"}  # for what files store of the past
    plain = node(configured(repeat=3, features=PLAIN), tmp_path, "SeedRepeats")
    assert set(plain.inputs) == needed
    given = node(config, tmp_path, "RunReport").inputs["seeds"]
    assert given.producer_component_id == "SeedRepeats"
    # Nothing that decides or ships depends on it, or runs anew for it.
    for name in ("FileValidator", "Exporter.float", "Trainer", "Quantizer"):
        once = node(configured(), tmp_path, name).exec_properties
        assert node(config, tmp_path, name).exec_properties == once


def test_it_has_the_teachers_of_a_recipe_and_the_trials_of_a_search(tmp_path: pathlib.Path) -> None:
    distilled = configured(repeat=2, compression=[DISTILL, QUANTIZE])
    assert "teacher_1" in node(distilled, tmp_path, "SeedRepeats").inputs
    searched = configured(repeat=2, compression={"budget": {"bytes": "100k"}, "trials": 2})
    repeats = node(searched, tmp_path, "SeedRepeats")
    assert repeats.inputs["trials"].producer_component_id == "BudgetSearch"
    assert json.loads(repeats.exec_properties["steps"]) == []


def test_an_edited_technique_repeats_what_it_made(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digests(config: RunConfig) -> str:
        return str(node(config, tmp_path, "SeedRepeats").exec_properties["code_digest"])

    steps = configured(repeat=2)
    searched = configured(repeat=2, compression={"recipes": {"only": [QUANTIZE]}})
    before = digests(steps), digests(searched)
    real = digest._source
    source = real("ranklite.models.compression.techniques.prune")
    assert source is not None
    edited = tmp_path / "prune.py"
    edited.write_bytes(source.read_bytes() + b"\n# edited\n")
    monkeypatch.setattr(digest, "_source", lambda m: edited if m.endswith("s.prune") else real(m))
    assert digests(steps) != before[0]
    assert digests(searched) == before[1]


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [
        ({}, False),
        ({"split": {"by": "hash", "eval": 0.1}}, True),
        ({"label": None, "negatives": {"per_positive": 2}}, True),
    ],
)
def test_a_training_seed_reads_the_log_anew_only_where_rows_are_drawn_by_it(
    changes: dict[str, Any], drawn: bool, tmp_path: pathlib.Path
) -> None:
    one, other = (
        node(
            configured(training={"seed": seed}, features=PLAIN, **changes),
            tmp_path,
            "LogExampleGen",
        )
        for seed in (1, 2)
    )
    assert (one.exec_properties["config"] != other.exec_properties["config"]) == drawn
