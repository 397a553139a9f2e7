"""What every registered compression technique must do, alone and before others."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pydantic
import pytest

from ranklite.models.architectures import family
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig
from ranklite.models.compression.config import STAGES, CompressionStep, parse_step
from ranklite.models.compression.recipe import apply, check_recipe, weight_bytes
from ranklite.models.compression.search.space import name_of, recipe_at, space, starts
from ranklite.models.compression.sizes import WeightSize
from ranklite.models.compression.sparsity import prunable_weights
from ranklite.models.compression.technique import MAX_TEACHERS, Compressed, Setting, Technique
from ranklite.models.compression.techniques import TECHNIQUES, from_json, in_order, technique
from ranklite.models.export import export_target
from ranklite.models.export.target import SERVING_DEFAULT
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.registry import UnknownEntry
from ranklite.models.training import fit as training
from ranklite.models.training import runtime
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from ranklite.pipeline.config.errors import ConfigError
from ranklite.pipeline.config.run_config import load_config
from tests.other_package import installed, passed_with

TOYS = pathlib.Path(__file__).parent / "toys"
MODEL = DeepFMConfig(embedding_dim=8, hidden_units=(32, 16), dropout=0.0, embedding_stddev=0.1)
TRAINING = TrainingConfig(batch_size=128, epochs=2, learning_rate=0.02, oov_rate=0.0)
FEATURES = FeatureSet.model_validate(
    {
        "features": [
            *({"kind": "categorical", "name": name} for name in ("user", "item")),
            {"kind": "multi_categorical", "name": "tags", "max_length": 3},
            {"kind": "numeric", "name": "x"},
        ],
        "user": "user",
        "item": "item",
    }
)
PARITY = {"float32": 1e-5, "int8": 0.02}  # how far a score may be from Keras'

every_technique = pytest.mark.parametrize("name", TECHNIQUES.names)


def example(name: str) -> CompressionStep:
    """A technique's own small settings."""
    return parse_step(json.dumps({"technique": name, **TECHNIQUES.get(name).example}))


# ------------------------------------------------------------------------------ without a model


@every_technique
def test_settings_come_back(name: str) -> None:
    step = example(name)
    assert type(step) is TECHNIQUES.get(name).settings
    assert parse_step(step.model_dump_json()) == step
    assert technique(step).config is step
    again = from_json(step.model_dump_json())
    assert (type(again), again.config) == (TECHNIQUES.get(name), step)


@every_technique
def test_a_wrong_key_is_an_error(name: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="no_such_key"):
        parse_step(
            json.dumps({"technique": name, **TECHNIQUES.get(name).example, "no_such_key": 1})
        )


def test_stages_places_and_nodes_are_unique_and_ordered() -> None:
    entries = in_order()
    assert set(entries) == set(TECHNIQUES.names)
    assert list(STAGES) == list(entries)
    for what in ("stage", "place", "component"):
        values = [getattr(entry, what) for entry in entries.values()]
        assert len(set(values)) == len(values), what
        if what == "place":
            assert values == sorted(values)


@pytest.mark.parametrize("what", ["stage", "component"])
def test_two_techniques_cannot_share_a_name(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = TECHNIQUES.get("cluster")
    monkeypatch.setattr(cluster, what, getattr(TECHNIQUES.get("prune"), what))
    with pytest.raises(ValueError, match=f"the techniques prune and cluster have one {what}"):
        in_order.__wrapped__()


def test_settings_bear_the_registered_name(monkeypatch: pytest.MonkeyPatch) -> None:
    prune = TECHNIQUES.get("prune")
    monkeypatch.setattr(prune, "settings", TECHNIQUES.get("cluster").settings)
    with pytest.raises(ValueError, match=r"Clustering.technique has to be Literal\['prune'\]"):
        in_order.__wrapped__()


@every_technique
def test_importing_an_entry_loads_no_tensorflow(name: str) -> None:
    program = (
        "import sys, importlib; importlib.import_module(sys.argv[1]); "
        "print([m for m in ('tensorflow', 'tf_keras', 'tfx') if m in sys.modules])"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, TECHNIQUES.module(name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.strip() == "[]"


def test_one_entry_is_read_without_the_others() -> None:
    program = (
        "import sys; from ranklite.models.compression.techniques import from_json; "
        'from_json(\'{"technique": "distill"}\'); '
        "print(sorted(m.rsplit('.')[-1] for m in sys.modules if '.techniques.' in m))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "['distill']"


def test_distillation_is_a_technique_like_the_others() -> None:
    step = technique(parse_step('{"technique": "distill"}'))
    assert step.teachers(MODEL) == (MODEL, MODEL, MODEL)
    assert (step.needs_base, step.needs_teachers) == (False, True)


@pytest.mark.parametrize("text", ['{"technique": "shrink"}', "{}"])
def test_an_unknown_name_lists_what_is_registered(text: str) -> None:
    with pytest.raises(UnknownEntry, match=f"registered are {', '.join(TECHNIQUES.names)}"):
        from_json(text)


def test_an_unknown_name_in_a_file_lists_what_is_registered(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "my.yaml"
    text = pathlib.Path("configs/synthetic.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("technique: quantize", "technique: quantise"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(str(path))
    line = text[: text.index("technique: quantize")].count("\n") + 1
    registered = ", ".join(f"'{name}'" for name in STAGES)
    assert str(caught.value) == (
        f"{path}:{line}: compression[1].technique = 'quantise': not registered (did you mean "
        f"'quantize'?); registered are {registered}"
    )


@every_technique
def test_sizes_follow_a_step(name: str, clicks: Any) -> None:
    check_recipe([example(name)], MODEL, FEATURES)
    before = weight_bytes(clicks.layout, MODEL, ())
    assert 0 < weight_bytes(clicks.layout, MODEL, [example(name)]) <= before
    size = technique(example(name)).weights_after(WeightSize.of(clicks.layout, MODEL))
    assert size.bytes == weight_bytes(clicks.layout, MODEL, [example(name)])


@every_technique
def test_it_asks_for_few_teachers(name: str) -> None:
    teachers = technique(example(name)).teachers(MODEL)
    assert len(teachers) <= MAX_TEACHERS
    assert bool(teachers) == TECHNIQUES.get(name).needs_teachers


@every_technique
def test_its_share_of_the_default_search(name: str) -> None:
    entry, gentlest = TECHNIQUES.get(name), starts()[0]
    for dimension in entry.dimensions:
        assert dimension.values[0] == gentlest[dimension.key] == space()[dimension.key][0]
        assert set(dimension.starts) <= set(dimension.values)
        assert len({dimension.label.format(value) for value in dimension.values}) == len(
            dimension.values
        )
        for value in dimension.values:
            point = {**gentlest, dimension.key: value}
            steps = recipe_at(point)
            assert [s for s in steps if s.technique == name] or value == dimension.values[0]
            assert dimension.label.format(value) in name_of(point)
    if not entry.dimensions:
        assert all(s.technique != name for point in starts() for s in recipe_at(point))


# --------------------------------------------------------------------------------- with a model


@pytest.fixture(scope="module")
def setting(clicks: Any) -> Setting:
    runtime.set_seeds(2)
    splits = Splits(clicks.train, clicks.eval)
    teacher = training.build(clicks.layout, MODEL, TRAINING)
    training.fit(teacher, clicks.layout, clicks.train, clicks.eval, TRAINING)
    return Setting(FEATURES, splits, TRAINING, [Checkpoint(teacher, clicks.layout, MODEL)])


@pytest.fixture(scope="module")
def base(clicks: Any) -> Checkpoint:
    runtime.set_seeds(1)
    model = training.build(clicks.layout, MODEL, TRAINING)
    metrics = training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING)
    return Checkpoint(model, clicks.layout, MODEL, dict(metrics))


@pytest.fixture(scope="module")
def inputs(clicks: Any) -> dict[str, Any]:
    given, _, _ = transformed_inputs(read_records(clicks.eval), clicks.layout, [])
    return given


@dataclasses.dataclass(frozen=True)
class Made:
    """A technique, what it made, and the weights of its base before and after."""

    name: str
    technique: Technique[Any]
    result: Compressed
    base_weights: tuple[list[Any], list[Any]]

    @property
    def model(self) -> Checkpoint:
        """The compressed one."""
        return self.result.model


@pytest.fixture(scope="module", params=TECHNIQUES.names)
def made(request: pytest.FixtureRequest, base: Checkpoint, setting: Setting) -> Made:
    method = technique(example(request.param))
    before = base.model.get_weights()
    result = apply(method, base, setting)
    return Made(request.param, method, result, (before, base.model.get_weights()))


def logits(checkpoint: Checkpoint, inputs: dict[str, Any]) -> Any:
    return checkpoint.model({name: inputs[name] for name in checkpoint.model.input_names}).numpy()


@pytest.mark.slow
def test_it_makes_a_model_and_leaves_its_base_alone(
    made: Made, base: Checkpoint, setting: Setting
) -> None:
    for one, two in zip(*made.base_weights, strict=True):
        np.testing.assert_array_equal(one, two)
    assert made.model.metrics["auc"] > 0.6
    assert made.model.techniques == (made.name,)
    assert (made.result.control is not None) == made.technique.has_control
    expected = made.technique.after(MODEL, FEATURES)
    assert made.model.config.hidden_units == expected.hidden_units
    assert made.model.config.table.kind == expected.table.kind
    kernels = family.parts(made.model.layout, made.model.config).kernels
    weights = prunable_weights(made.model.model)
    for name, shape in kernels.items():
        assert tuple(weights[name].shape) == shape
    if not made.technique.has_control:
        assert made.technique.control(base, setting) is base


@pytest.mark.slow
def test_it_is_loaded_as_it_was_saved(
    made: Made, inputs: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    made.model.save(str(tmp_path))
    loaded = Checkpoint.load(str(tmp_path))
    assert dataclasses.replace(loaded, model=None) == dataclasses.replace(made.model, model=None)
    np.testing.assert_allclose(logits(loaded, inputs), logits(made.model, inputs), atol=1e-6)


@pytest.mark.slow
def test_its_file_gives_the_scores_of_keras(made: Made, inputs: dict[str, Any]) -> None:
    target = export_target("tflite")
    file = target.load(target.export(made.model))
    expected = 1 / (1 + np.exp(-logits(made.model, inputs)[:, 0]))
    scores = file.score(inputs, SERVING_DEFAULT)
    assert np.ptp(expected) > 0.1
    assert np.abs(np.ravel(scores) - expected).max() < PARITY[made.model.format]


@pytest.mark.slow
def test_what_it_leaves_survives_every_later_step(made: Made, setting: Setting) -> None:
    later = [n for n in STAGES if in_order()[n].place > made.technique.place]
    if not (made.technique.leaves and later):
        pytest.skip("it leaves nothing, or nothing follows it")
    for path in made.technique.leaves.values():
        module, _, kind = path.partition(":")
        invariant = getattr(importlib.import_module(module), kind)()
        for name in later:
            after = apply(technique(example(name)), made.model, setting).model
            assert after.techniques == (made.name, name)
            assert invariant.broken(made.model.model, after.model) == "", name
        untrained = training.build(made.model.layout, made.model.config, TRAINING)
        assert invariant.broken(made.model.model, untrained)  # it can be broken


# -------------------------------------------------------------------------- of another package


@pytest.mark.slow
def test_a_technique_of_another_package_passes_all_of_this(tmp_path: pathlib.Path) -> None:
    """One file and its entry point: nothing of RankLite changes."""
    installed(tmp_path, {"ranklite.techniques": "prune_inputs = toy_technique:PruneInputs"})
    assert passed_with(tmp_path, __file__, "prune_inputs") == 10  # a test of each kind
