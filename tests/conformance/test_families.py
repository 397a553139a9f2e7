"""What every registered model family must do: settings, parts, saving, training, compression."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tf_keras as keras

from ranklite.models.architectures import DEFAULT_FAMILY, FAMILIES, family
from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.family import FamilySettings
from ranklite.models.architectures.fold_batch_norm import fold_batch_norm
from ranklite.models.architectures.settings import parse_settings
from ranklite.models.compression.config import parse_step
from ranklite.models.compression.equalization import equalize
from ranklite.models.compression.fine_tuning import copy
from ranklite.models.compression.recipe import apply, check_recipe, weight_bytes
from ranklite.models.compression.sizes import NotCompressible
from ranklite.models.compression.sparsity import prunable_weights
from ranklite.models.compression.technique import Setting
from ranklite.models.compression.techniques import from_json
from ranklite.models.export import export_target
from ranklite.models.export.target import LoadedModel
from ranklite.models.features.examples import read_records, transformed_inputs
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from tests.other_package import installed, passed_with

LAYOUTS = {
    "numbers": FeatureLayout.build([("user", 1, 5), ("item", 1, 4), ("tags", 2, 3)], ["x", "y"]),
    "ids": FeatureLayout.build([("user", 1, 5), ("item", 1, 4)]),
}
# Settings that a family's parts depend on, beside its example.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "deepfm": [{}],
    "dcn_v2": [
        {},
        {"structure": "stacked"},
        {"low_rank": 8},
        {"structure": "stacked", "low_rank": 8},
    ],
}
SIZES = FeatureLayout.build([("user", 1, 40), ("item", 1, 30), ("tags", 3, 6)], ["x"])
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


def example(name: str, **changes: Any) -> FamilySettings:
    """A family's own small settings, in part others."""
    return parse_settings({"family": name, **FAMILIES.get(name).example, **changes})


EXAMPLES = [
    pytest.param(example(name, **changes), id="-".join([name, *map(str, changes.values())]))
    for name in FAMILIES.names
    for changes in VARIANTS.get(name, [{}])
]
every_example = pytest.mark.parametrize("settings", EXAMPLES)
# Of each family its example, and of its variants the one that differs in most.
few_examples = pytest.mark.parametrize(
    "settings",
    [
        pytest.param(example(name, **changes), id="-".join([name, *map(str, changes.values())]))
        for name in FAMILIES.names
        for changes in [{}, *VARIANTS.get(name, [{}])[1:][-1:]]
    ],
)
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def made(settings: FamilySettings, layout: FeatureLayout) -> Checkpoint:
    """A model with random weights in every layer, moving averages included."""
    model = family.build(layout, settings)
    random = np.random.default_rng(0)
    for layer in model.layers:
        low = 0.5 if isinstance(layer, keras.layers.BatchNormalization) else -0.5
        layer.set_weights([random.uniform(low, 1, w.shape) for w in layer.get_weights()])
    return Checkpoint(model, layout, settings)


def inputs(layout: FeatureLayout, rows: int = 50) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(1)
    ids = [
        random.integers(field.offset, field.offset + field.rows, (rows, field.length))
        for field in layout.fields
    ]
    numeric = random.normal(size=(rows, layout.num_numeric)).astype(np.float32)
    return {"ids": np.hstack(ids), **({"numeric": numeric} if layout.num_numeric else {})}


def logits(checkpoint: Checkpoint) -> np.ndarray[Any, Any]:
    given: np.ndarray[Any, Any] = checkpoint.model(inputs(checkpoint.layout)).numpy()
    assert np.ptp(given) > 0.1
    return given


@every_example
def test_settings_come_back(settings: FamilySettings) -> None:
    of = FAMILIES.get(settings.family)
    assert of.Settings.model_validate_json(settings.model_dump_json()) == settings
    assert parse_settings(json.loads(settings.model_dump_json())) == settings
    assert parse_settings({"family": settings.family}) == of.Settings.model_validate({})
    assert family.family(settings).settings is settings


def test_a_family_need_not_be_named() -> None:
    assert parse_settings({"hidden_units": [3]}).family == DEFAULT_FAMILY


def test_an_unknown_family_lists_what_is_registered() -> None:
    with pytest.raises(ValueError, match=r"no model family 'gru'; registered are deepfm, dcn_v2"):
        parse_settings({"family": "gru"})


@every_example
@every_layout
def test_parts_are_those_of_the_model(settings: FamilySettings, layout: FeatureLayout) -> None:
    model, parts = family.build(layout, settings), family.parts(layout, settings)
    layers = {layer.name: layer for layer in model.layers}
    assert model.name == settings.family
    for name in (*parts.tables, parts.embeddings, *parts.ranges, *parts.inputs, *parts.heads):
        assert name in layers
    for name in parts.tables:
        assert layers[name].input_dim == layout.table_rows
    assert layers[parts.embeddings].input_shape[1] == len(layout.fields)
    kernels = {**parts.kernels, **parts.small_kernels}
    counted = [name for name in prunable_weights(model) if name not in parts.tables]
    assert sorted(counted) == sorted(kernels)
    for name, shape in kernels.items():
        assert type(layers[name]) is keras.layers.Dense
        assert tuple(layers[name].kernel.shape) == shape
        assert family.role(model, name) == ("kernel" if name in parts.kernels else "small_kernel")
    assert not [name for name in parts.heads if layers[name].units > 8]
    assert tuple(hidden.units for hidden in parts.hidden) == settings.hidden_units
    for hidden in parts.hidden:
        assert tuple(layers[hidden.dense].kernel.shape) == (hidden.inputs, hidden.units)
        assert layers[hidden.dense].use_bias
        for branch in hidden.branches:
            assert layers[branch].units == hidden.units
            assert not layers[branch].use_bias
        assert (hidden.norm is not None) == settings.batch_norm
        if hidden.norm is not None:
            assert layers[hidden.norm].gamma.shape == (hidden.units,)
        assert layers[hidden.activation].output_shape == (None, hidden.units)
        for reader in hidden.readers:
            assert reader.first_row + hidden.units <= kernels[reader.layer][0]
    last = family.last_hidden(model)
    assert last is layers[parts.hidden[-1].activation].output


@every_example
def test_readers_are_all_that_reads_the_units(settings: FamilySettings) -> None:
    checkpoint = made(settings, LAYOUTS["numbers"])
    for hidden in checkpoint.parts.hidden:
        cut = dataclasses.replace(checkpoint, model=copy(checkpoint))
        for reader in hidden.readers:
            layer = cut.model.get_layer(reader.layer)
            kernel, *rest = layer.get_weights()
            kernel[reader.first_row :][: hidden.units] = 0
            layer.set_weights([kernel, *rest])
        before = cut.model(inputs(cut.layout)).numpy()
        for name in (hidden.dense, *hidden.branches):
            layer = cut.model.get_layer(name)
            layer.set_weights([weight + 1 for weight in layer.get_weights()])
        np.testing.assert_array_equal(cut.model(inputs(cut.layout)), before)


@every_example
@every_layout
def test_it_comes_back_as_it_was_saved(
    settings: FamilySettings, layout: FeatureLayout, tmp_path: pathlib.Path
) -> None:
    checkpoint = made(settings, layout)
    checkpoint.save(str(tmp_path))
    again = Checkpoint.load(str(tmp_path))
    assert again.config == settings
    np.testing.assert_array_equal(logits(again), logits(checkpoint))
    np.testing.assert_array_equal(copy(again)(inputs(layout)), logits(checkpoint))


@pytest.mark.parametrize("name", FAMILIES.names)
def test_another_process_reads_it(name: str, tmp_path: pathlib.Path) -> None:
    checkpoint = made(example(name), LAYOUTS["numbers"])
    checkpoint.save(str(tmp_path))
    code = (
        "import sys\n"
        "from ranklite.models.architectures.checkpoint import Checkpoint\n"
        "print(Checkpoint.load(sys.argv[1]).model.name)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.strip() == name


@every_example
@every_layout
def test_folding_and_equalizing_leave_the_function_alone(
    settings: FamilySettings, layout: FeatureLayout
) -> None:
    checkpoint = made(settings, layout)
    folded = fold_batch_norm(checkpoint)
    assert not folded.config.batch_norm
    assert not [hidden for hidden in folded.parts.hidden if hidden.norm]
    tolerance = {"rtol": 1e-4, "atol": 1e-4 * np.abs(logits(checkpoint)).max()}
    np.testing.assert_allclose(logits(folded), logits(checkpoint), **tolerance)
    even = equalize(folded)
    np.testing.assert_allclose(logits(even), logits(checkpoint), **tolerance)
    first = checkpoint.parts.hidden[0].dense
    assert not np.allclose(*(c.model.get_layer(first).get_weights()[0] for c in (even, folded)))


@every_example
def test_sizes_are_known_before_training(settings: FamilySettings) -> None:
    layout = SIZES
    parts = family.parts(layout, settings)
    kernels = sum(a * b for a, b in parts.kernels.values())
    model = family.build(layout, settings)
    floats = weight_bytes(layout, settings, ())
    matrices = [w.shape.num_elements() for w in model.weights if w.shape.rank == 2]
    assert floats == pytest.approx(4 * sum(matrices), rel=0.01)
    narrow = parse_step('{"technique": "prune_units", "keep": 0.5}')
    # The estimate does not round to multiples of 8, as the removal of units does.
    narrower = settings.model_copy(update={"hidden_units": (24, 12)})
    assert weight_bytes(layout, settings, [narrow]) == pytest.approx(
        weight_bytes(layout, narrower, ()), rel=0.05
    )
    assert weight_bytes(layout, narrower, ()) < floats
    mixed = {"technique": "quantize", "bits": "mixed", "epochs": 0}
    fits, breaks = (
        parse_step(json.dumps({**mixed, "max_weight_bytes": kernels // 2 - less}))
        for less in (0, 1)
    )
    check_recipe([fits], settings, FEATURES)
    with pytest.raises(NotCompressible, match=f"take {kernels // 2:,} with 4 bits everywhere"):
        check_recipe([breaks], settings, FEATURES)


@every_example
def test_patterns_must_divide_every_large_kernel(settings: FamilySettings) -> None:
    def prune(rows: int) -> Any:
        scope = {"sparsity": 0.5, "pattern": "block", "block_size": [rows, 1]}
        return parse_step(json.dumps({"technique": "prune", "tower": scope}))

    check_recipe([prune(8)], settings, FEATURES)
    for name, (rows, _) in family.parts(SIZES, settings).kernels.items():
        with pytest.raises(NotCompressible, match="which blocks of 5 x 1 do not divide"):
            check_recipe([prune(5)], settings, FEATURES)
        assert rows % 5, name


@pytest.fixture(scope="module")
def trained(clicks: Any) -> dict[str, Checkpoint]:
    return {}


@pytest.fixture
def fitted(settings: FamilySettings, clicks: Any, trained: dict[str, Checkpoint]) -> Checkpoint:
    """A model trained on the clicks."""
    key = settings.model_dump_json()
    if key not in trained:
        model = training.build(clicks.layout, settings, TRAINING)
        metrics = training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING)
        trained[key] = Checkpoint(model, clicks.layout, settings, metrics)
    return trained[key]


def shipped(checkpoint: Checkpoint, clicks: Any) -> tuple[LoadedModel, float]:
    """The file of a model, and how far its scores are from Keras's at most."""
    target = export_target()
    file = target.load(target.export(checkpoint))
    file.try_out()
    rows, _, _ = transformed_inputs(read_records(clicks.eval), clicks.layout, [])
    expected, _ = training.predict(checkpoint.model, clicks.layout, clicks.eval)
    assert np.ptp(expected) > 0.3
    return file, float(np.abs(file.score(rows) - expected).max())


@pytest.mark.slow
@few_examples
def test_it_learns_and_its_file_scores_alike(fitted: Checkpoint, clicks: Any) -> None:
    assert fitted.metrics["auc"] > 0.75
    assert shipped(fitted, clicks)[1] < 1e-5


RECIPES: dict[str, tuple[list[dict[str, Any]], float]] = {
    "trained_int8": ([{"technique": "quantize", "epochs": 1}], 3e-2),
    "units_int8": ([{"technique": "quantize", "epochs": 0, "granularity": "per_channel"}], 3e-2),
    "four_bits": (
        [{"technique": "quantize", "epochs": 0, "bits": 4, "table": "int4_per_row"}],
        3e-2,
    ),
    "dynamic_range": ([{"technique": "quantize", "format": "dynamic_range"}], 3e-2),
    "float16": ([{"technique": "quantize", "format": "float16"}], 2e-3),
    "pruned": (
        [
            {"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1, "ramp": 0.5},
            {"technique": "quantize", "epochs": 0},
        ],
        3e-2,
    ),
    "narrow_clustered": (
        [
            {"technique": "prune_units", "keep": 0.5, "importance": "taylor", "epochs": 1},
            {"technique": "cluster", "epochs": 1},
            {"technique": "quantize", "epochs": 0},
        ],
        3e-2,
    ),
    "fewer_rows": (
        [
            {"technique": "prune_rows", "keep": 0.7, "by": "norm", "epochs": 1},
            {"technique": "quantize", "epochs": 0, "table": "int8_per_row"},
        ],
        3e-2,
    ),
}


@pytest.mark.slow
@few_examples
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_technique_applies(
    settings: FamilySettings, recipe: str, fitted: Checkpoint, clicks: Any
) -> None:
    steps, tolerance = RECIPES[recipe]
    setting = Setting(FEATURES, Splits(clicks.train, clicks.eval), TRAINING)
    checkpoint = fitted
    for step in steps:
        checkpoint = apply(from_json(json.dumps(step)), checkpoint, setting).model
    assert checkpoint.config.family == settings.family
    file, distance = shipped(checkpoint, clicks)
    assert distance < tolerance
    assert len(file.content) < len(export_target().export(fitted))
    if recipe == "trained_int8":
        for figure in ("calibrated_auc", "trained_auc"):
            assert checkpoint.metrics[figure] > fitted.metrics["auc"] - 0.005
    if recipe == "pruned":
        shares = checkpoint.metrics["sparsity_by_layer"]
        assert {name for name, share in shares.items() if share > 0.4} == {*fitted.parts.kernels}
    if recipe == "narrow_clustered":
        assert checkpoint.config.hidden_units == (24, 16)


@pytest.mark.slow
@few_examples
def test_sixteen_bit_activations(
    settings: FamilySettings, clicks: Any, write_examples: Any, tmp_path: pathlib.Path
) -> None:
    layout = FeatureLayout(clicks.layout.fields[:2], clicks.layout.numeric)

    def single_valued(files: list[str], name: str) -> list[str]:
        rows, labels, _ = transformed_inputs(read_records(files), clicks.layout, [])
        columns = {"ids": rows["ids"][:, :2], "numeric": rows["numeric"]}
        labels = np.reshape(labels, (-1, 1)).astype("f4")
        return [write_examples(tmp_path / name, {**columns, "label": labels})]

    splits = Splits(single_valued(clicks.train, "train.gz"), single_valued(clicks.eval, "eval.gz"))
    model = training.build(layout, settings, TRAINING)
    metrics = training.fit(model, layout, splits.train, splits.eval, TRAINING)
    step = from_json('{"technique": "quantize", "format": "int16x8", "epochs": 0}')
    checkpoint = Checkpoint(model, layout, settings, metrics)
    checkpoint = apply(step, checkpoint, Setting(FEATURES, splits, TRAINING)).model
    single = dataclasses.replace(clicks, layout=layout, train=splits.train, eval=splits.eval)
    assert shipped(checkpoint, single)[1] < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("student", FAMILIES.names)
@pytest.mark.parametrize("teacher", FAMILIES.names)
def test_any_family_teaches_any_other(teacher: str, student: str, clicks: Any) -> None:
    model = training.build(clicks.layout, example(teacher), TRAINING)
    metrics = training.fit(model, clicks.layout, clicks.train, clicks.eval, TRAINING)
    taught_by = Checkpoint(model, clicks.layout, example(teacher), metrics)
    setting = Setting(FEATURES, Splits(clicks.train, clicks.eval), TRAINING, [taught_by])
    step = {
        "technique": "distill",
        "teachers": 1,
        "student": {"family": student, "embedding_dim": 4, "hidden_units": [8]},
        "hidden_weight": 0.1,
        "epochs": 2,
        "learning_rate": 0.02,
    }
    distilled = apply(from_json(json.dumps(step)), taught_by, setting).model
    assert distilled.config.family == distilled.model.name == student
    assert distilled.metrics["auc"] > 0.7
    assert shipped(distilled, clicks)[1] < 1e-5


@pytest.mark.slow
def test_a_family_of_another_package_passes_all_of_this(tmp_path: pathlib.Path) -> None:
    """One file and its entry point: nothing of RankLite changes."""
    installed(tmp_path, {"ranklite.families": "wide_and_deep = toy_family:WideAndDeep"})
    assert passed_with(tmp_path, __file__, "wide_and_deep") > 20
