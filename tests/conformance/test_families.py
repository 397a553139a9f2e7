"""What every registered model family must do: settings, parts, saving, training, compression."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
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
from ranklite.models.features.layout import FeatureLayout, ListField
from ranklite.models.layers.table_config import EMBEDDING
from ranklite.models.search_space import Choice
from ranklite.models.training import fit as training
from ranklite.models.training.config import TrainingConfig
from ranklite.models.training.splits import Splits
from tests.other_package import installed, passed_with

ENCODERS = ("pool", "attention", "gru")
LAYOUTS = {
    "numbers": FeatureLayout.build([("user", 1, 5), ("item", 1, 4), ("tags", 2, 3)], ["x", "y"]),
    "ids": FeatureLayout.build([("user", 1, 5), ("item", 1, 4)]),
    **{
        encoder: FeatureLayout.build(
            [("user", 1, 5), ("item", 1, 4), ("tags", 2, 3), ("seen", 3, 0)],
            ["x"],
            {"seen": ListField("item", 2, encoder)},
        )
        for encoder in ENCODERS
    },
    "of_user": FeatureLayout.build(
        [("seen", 3, 0), ("user", 1, 5), ("item", 1, 4), ("tags", 2, 3)],
        ["x"],
        {"seen": ListField("item", 2, "attention", of_user=True)},
    ),
}
# Settings that a family's parts depend on, beside its example.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "deepfm": [{}, {"hidden_units": []}],
    "dcn_v2": [
        {},
        {"hidden_units": []},
        {"structure": "stacked"},
        {"low_rank": 8},
        {"structure": "stacked", "low_rank": 8},
    ],
}
TRAINING = TrainingConfig(batch_size=128, epochs=2, learning_rate=0.02, oov_rate=0.0)
HISTORY = {"kind": "history", "name": "seen", "of": "item", "by": "user", "outcome": None}


def featured(*more: dict[str, Any]) -> FeatureSet:
    """The features of the clicks, and others."""
    return FeatureSet.model_validate(
        {
            "features": [
                *({"kind": "categorical", "name": name} for name in ("user", "item")),
                {"kind": "multi_categorical", "name": "tags", "max_length": 3},
                {"kind": "numeric", "name": "x"},
                *more,
            ],
            "user": "user",
            "item": "item",
        }
    )


FEATURES, WITH_HISTORY = featured(), featured({**HISTORY, "length": 4, "encoder": "gru"})


def layout_of(features: FeatureSet) -> FeatureLayout:
    values = {"user": 40, "item": 30, "tags": 6, "seen": 0}
    sizes = [(f.name, f.id_length, values[f.name]) for f in features.id_features]
    return FeatureLayout.build(sizes, features.numeric_names, features.list_fields)


def example(name: str, **changes: Any) -> FamilySettings:
    """A family's own small settings, in part others."""
    return parse_settings({"family": name, **FAMILIES.get(name).example, **changes})


def fits(settings: FamilySettings, layout: FeatureLayout) -> bool:
    """Whether a layout has the features that a family needs."""
    try:
        family.parts(layout, settings)
    except ValueError:
        return False
    return True


def features_of(settings: FamilySettings, *others: FamilySettings) -> FeatureSet:
    """Those of the clicks, with a history where one of some families needs it."""
    layout = layout_of(FEATURES)
    return FEATURES if all(fits(each, layout) for each in (settings, *others)) else WITH_HISTORY


def small_layout(settings: FamilySettings) -> FeatureLayout:
    return next(layout for layout in LAYOUTS.values() if fits(settings, layout))


NAMED = {
    "-".join([name, *map(str, changes.values())]): example(name, **changes)
    for name in FAMILIES.names
    for changes in VARIANTS.get(name, [{}])
}
every_example = pytest.mark.parametrize("settings", NAMED.values(), ids=NAMED)
# Of each family its example, and of its variants the one that differs in most.
few_examples = pytest.mark.parametrize(
    "settings",
    [
        pytest.param(example(name, **changes), id="-".join([name, *map(str, changes.values())]))
        for name in FAMILIES.names
        for changes in [{}, *VARIANTS.get(name, [{}])[1:][-1:]]
    ],
)
every_case = pytest.mark.parametrize(
    ("settings", "layout"),
    [
        pytest.param(settings, layout, id=f"{name}-{which}")
        for name, settings in NAMED.items()
        for which, layout in LAYOUTS.items()
        if fits(settings, layout)
    ],
)


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
    weights = numeric[:, layout.num_numbers :]
    weights[:] = (weights > -0.3) / 2  # of events with an outcome
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


@pytest.mark.parametrize("name", FAMILIES.names)
def test_every_list_is_read_whatever_its_encoder(name: str) -> None:
    for encoder in ENCODERS:
        layout = LAYOUTS[encoder]
        checkpoint = made(example(name), layout)
        rows = inputs(layout)
        others = rows["ids"].copy()
        seen = layout.field("seen")
        others[:, seen.start :][:, : seen.length] = seen.oov_row
        assert np.abs(checkpoint.model({**rows, "ids": others}) - logits(checkpoint)).max() > 1e-3


@pytest.mark.parametrize("name", FAMILIES.names)
def test_a_family_says_what_features_it_needs(name: str) -> None:
    for layout in LAYOUTS.values():
        if not fits(example(name), layout):
            for make in (family.parts, family.build):
                with pytest.raises(ValueError, match=f"model.family {name} .*: add one"):
                    make(layout, example(name))


@every_case
def test_parts_are_those_of_the_model(settings: FamilySettings, layout: FeatureLayout) -> None:
    model, parts = family.build(layout, settings), family.parts(layout, settings)
    layers = {layer.name: layer for layer in model.layers}
    assert model.name == settings.family
    for name in (*parts.tables, parts.embeddings, *parts.ranges, *parts.inputs, *parts.heads):
        assert name in layers
    for name in parts.tables:
        assert layers[name].input_dim == layout.table_rows
    table, rows = model.get_layer(EMBEDDING).get_weights()[0], inputs(layout)
    read = tf.nest.flatten(layers[parts.embeddings].input)[0]
    vectors = keras.Model(model.input, read)(rows).numpy()
    for k, field in enumerate(layout.fields):
        if field.length == 1:  # its place is that in the layout
            np.testing.assert_array_equal(vectors[:, k], table[rows["ids"][:, field.start]])
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
    if not parts.hidden:
        with pytest.raises(ValueError, match=f"this {settings.family} has no hidden layer"):
            family.last_hidden(model)
        return
    last = family.last_hidden(model)
    assert last is layers[parts.hidden[-1].activation].output


@every_example
def test_readers_are_all_that_reads_the_units(settings: FamilySettings) -> None:
    checkpoint = made(settings, small_layout(settings))
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


@every_case
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
    checkpoint = made(example(name), small_layout(example(name)))
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


@every_case
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
    if not checkpoint.parts.hidden:
        return
    first = checkpoint.parts.hidden[0].dense
    assert not np.allclose(*(c.model.get_layer(first).get_weights()[0] for c in (even, folded)))


@every_example
def test_sizes_are_known_before_training(settings: FamilySettings) -> None:
    features = features_of(settings)
    layout = layout_of(features)
    parts = family.parts(layout, settings)
    kernels = sum(a * b for a, b in parts.kernels.values())
    model = family.build(layout, settings)
    floats = weight_bytes(layout, settings, ())
    matrices = [w.shape.num_elements() for w in model.weights if w.shape.rank == 2]
    assert floats == pytest.approx(4 * sum(matrices), rel=0.02)
    mixed = {"technique": "quantize", "bits": "mixed", "epochs": 0}
    if kernels:
        enough, breaks = (
            parse_step(json.dumps({**mixed, "max_weight_bytes": kernels // 2 - less}))
            for less in (0, 1)
        )
        check_recipe([enough], settings, features)
        with pytest.raises(NotCompressible, match=f"take {kernels // 2:,} with 4 bits everywhere"):
            check_recipe([breaks], settings, features)
    narrow = parse_step('{"technique": "prune_units", "keep": 0.5}')
    if not settings.hidden_units:
        with pytest.raises(NotCompressible, match=r"1, prune_units: .* has hidden_units \[\]"):
            check_recipe([narrow], settings, features)
        return
    # The estimate does not round to multiples of 8, as the removal of units does.
    narrower = settings.model_copy(update={"hidden_units": (24, 12)})
    assert weight_bytes(layout, settings, [narrow]) == pytest.approx(
        weight_bytes(layout, narrower, ()), rel=0.05
    )
    assert weight_bytes(layout, narrower, ()) < floats


@every_example
def test_patterns_must_divide_every_large_kernel(settings: FamilySettings) -> None:
    def prune(rows: int) -> Any:
        scope = {"sparsity": 0.5, "pattern": "block", "block_size": [rows, 1]}
        return parse_step(json.dumps({"technique": "prune", "tower": scope}))

    features = features_of(settings)
    kernels = family.parts(layout_of(features), settings).kernels
    if not kernels:
        with pytest.raises(NotCompressible, match="`tower` prunes kernels, and this model has no"):
            check_recipe([prune(8)], settings, features)
        return
    check_recipe([prune(8)], settings, features)
    for name, (rows, _) in kernels.items():
        with pytest.raises(NotCompressible, match="which blocks of 5 x 1 do not divide"):
            check_recipe([prune(5)], settings, features)
        assert rows % 5, name


@pytest.fixture(scope="module")
def listens(clicks: Any, write_examples: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The clicks with a history of up to 4 items: whoever saw an item last likes alike ones."""
    layout, folder = layout_of(WITH_HISTORY), tmp_path_factory.mktemp("listens")
    item, length = layout.field("item"), layout.field("seen").length

    def with_history(files: list[str], name: str) -> list[str]:
        rows, labels, _ = transformed_inputs(read_records(files), clicks.layout, [])
        random = np.random.default_rng(len(labels))
        count = random.integers(0, length + 1, (len(labels), 1))
        kept = np.arange(length) < count
        seen = random.integers(item.missing_row, item.offset + item.rows, kept.shape)
        # An event moves the label of a row whose item is like it, as often as not.
        alike = (seen[:, 0] % 2 == rows["ids"][:, item.start] % 2) & kept[:, 0]
        moved = alike & (random.random(len(labels)) < 0.5)
        label = np.where(moved, 1.0, np.ravel(labels))[:, None].astype(np.float32)
        weights = kept / np.maximum(count, 1)
        columns = {
            "ids": np.hstack([rows["ids"], np.where(kept, seen, 0)]),
            "numeric": np.hstack([rows["numeric"], np.log1p(count), weights]).astype(np.float32),
            "label": label,
        }
        return [write_examples(folder / name, columns)]

    train, valid = with_history(clicks.train, "train.gz"), with_history(clicks.eval, "eval.gz")
    return dataclasses.replace(clicks, layout=layout, train=train, eval=valid)


@pytest.fixture
def log(settings: FamilySettings, clicks: Any, listens: Any) -> Any:
    """The clicks, with a history where the family needs one."""
    return clicks if features_of(settings) is FEATURES else listens


@pytest.fixture(scope="module")
def trained() -> dict[str, Checkpoint]:
    return {}


@pytest.fixture
def fitted(settings: FamilySettings, log: Any, trained: dict[str, Checkpoint]) -> Checkpoint:
    """A model trained on the log."""
    key = settings.model_dump_json()
    if key not in trained:
        model = training.build(log.layout, settings, TRAINING)
        metrics = training.fit(model, log.layout, log.train, log.eval, TRAINING)
        trained[key] = Checkpoint(model, log.layout, settings, metrics)
    return trained[key]


def shipped(checkpoint: Checkpoint, log: Any) -> tuple[LoadedModel, float]:
    """The file of a model, and how far its scores are from Keras's at most."""
    target = export_target()
    file = target.load(target.export(checkpoint))
    file.try_out()
    rows, _, _ = transformed_inputs(read_records(log.eval), log.layout, [])
    expected, _ = training.predict(checkpoint.model, log.layout, log.eval)
    assert np.ptp(expected) > 0.3
    return file, float(np.abs(file.score(rows) - expected).max())


@pytest.mark.slow
@few_examples
def test_it_learns_and_its_file_scores_alike(fitted: Checkpoint, log: Any) -> None:
    assert fitted.metrics["auc"] > 0.75
    assert shipped(fitted, log)[1] < 1e-5


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
    settings: FamilySettings, recipe: str, fitted: Checkpoint, log: Any
) -> None:
    steps, tolerance = RECIPES[recipe]
    setting = Setting(features_of(settings), Splits(log.train, log.eval), TRAINING)
    checkpoint = fitted
    parsed = [parse_step(json.dumps(step)) for step in steps]
    try:
        check_recipe(parsed, settings, features_of(settings))
    except NotCompressible as error:
        assert not settings.hidden_units
        where, _, reason = str(error).partition(": ")
        unfit = from_json(json.dumps(steps[int(where.split()[1].strip(",")) - 1]))
        with pytest.raises(NotCompressible) as refused:  # of the model itself, as of its sizes
            apply(unfit, fitted, setting)
        assert str(refused.value) == reason
        return
    for step in steps:
        checkpoint = apply(from_json(json.dumps(step)), checkpoint, setting).model
    assert checkpoint.config.family == settings.family
    file, distance = shipped(checkpoint, log)
    assert distance < tolerance
    if recipe != "dynamic_range" or fitted.parts.kernels:  # its tables are too small for that
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
    if not fits(settings, layout):
        wide = parse_step('{"technique": "quantize", "format": "int16x8"}')
        with pytest.raises(NotCompressible, match="int16x8 and the multi-valued features"):
            check_recipe([wide], settings, features_of(settings))
        return

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
def test_any_family_teaches_any_other(
    teacher: str, student: str, clicks: Any, listens: Any
) -> None:
    features = features_of(example(teacher), example(student))
    log = clicks if features is FEATURES else listens
    model = training.build(log.layout, example(teacher), TRAINING)
    metrics = training.fit(model, log.layout, log.train, log.eval, TRAINING)
    taught_by = Checkpoint(model, log.layout, example(teacher), metrics)
    setting = Setting(features, Splits(log.train, log.eval), TRAINING, [taught_by])
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
    assert shipped(distilled, log)[1] < 1e-5


@pytest.mark.slow
def test_a_family_of_another_package_passes_all_of_this(tmp_path: pathlib.Path) -> None:
    """One file and its entry point: nothing of RankLite changes."""
    installed(tmp_path, {"ranklite.families": "wide_and_deep = toy_family:WideAndDeep"})
    assert passed_with(tmp_path, __file__, "wide_and_deep") > 20


@pytest.mark.parametrize("name", FAMILIES.names)
def test_a_search_varies_settings_that_it_has(name: str) -> None:
    settings = example(name)
    for key, values in type(settings).searched.items():
        assert key in type(settings).model_fields
        ends = values.values if isinstance(values, Choice) else (values.low, values.high)
        taken = []
        for value in ends:
            try:
                taken.append(getattr(example(name, **{key: value}), key))
            except ValueError:  # an end that the class refuses is left out of a search
                continue
        assert len(taken) > 1, key
        assert all(a != b for a, b in itertools.combinations(taken, 2)), key
