"""Configurations: those that ship are valid, and wrong ones are told from their lines."""

from __future__ import annotations

import pathlib

import pytest

from ranklite.models.compression.config import Search
from ranklite.pipeline.config.run_config import ConfigError, load_config

VALID = """name: mine
source: {files: "*.csv"}
label: y
split: {by: hash, eval: 0.1}
features:
  - {name: user, kind: categorical}
"""


def write(folder: pathlib.Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("path", sorted(pathlib.Path("configs").glob("*.yaml")), ids=str)
def test_every_configuration_that_ships_is_valid(path: pathlib.Path) -> None:
    config = load_config(str(path))
    assert config.name == path.stem
    if isinstance(config.compression, Search):
        assert config.compression.recipes
        assert "best of" in config.summary()
    else:
        assert config.compression[-1].technique == "quantize"
    assert config.name in config.summary()


def test_defaults(tmp_path: pathlib.Path) -> None:
    config = load_config(write(tmp_path, VALID))
    assert config.compression == ()
    assert config.ingest.split_names == ("train", "eval")
    assert config.summary() == "mine, 1 categorical, split by hash, float"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: mine", "name: My Pipe", r"mine\.yaml:1: name = 'My Pipe'"),
        ("label: y\n", "", "give a `label`, or `negatives`"),
        ("label: y", "label: y\nnegatives: {per_positive: 2}", "give a `label`, or `negatives`"),
        ("label: y\n", "negatives: {per_positive: 2}\n", "need the keys `user` and `item`"),
        ("by: hash", "by: time", "needs the key `timestamp`"),
        ("eval: 0.1", "eval: 0.6, test: 0.5", "leave some to train"),
        ('{files: "*.csv"}', "{}", "source needs `files` or `tables`"),
        ('files: "*.csv"', "tables: {a: a.csv}", "`tables` needs a `query`"),
        ("by: hash, eval: 0.1", "by: files, train: a, eval: b", "leave source.files out"),
        ("kind: categorical", "kind: numeric", "a factorization machine needs a categorical"),
        ("name: user", "name: label", "cannot be a feature"),
        (
            "label: y",
            "label: y\ncompression: [{technique: quantize}, {technique: quantize}]",
            "the steps are quantize, quantize; each goes at most once",
        ),
        (
            "label: y",
            "label: y\ncompression: {budgt: {bytes: 3k}}",
            (
                r"compression.budgt: unknown key \(did you mean 'budget'\?\); allowed: "
                "budget, recipes, trials"
            ),
        ),
        (
            "label: y",
            (
                "label: y\ncompression: [{technique: prune, tower: {sparsity: 0.5, pattern: block, "
                "block_size: [7, 1]}}]"
            ),
            r"yaml:\d: compression: step 1, prune: tower_0 is 16 x 64, which blocks of 7 x 1",
        ),
        (
            "label: y",
            "label: y\nnegatives: {redraw: epoch}\nuser: u\nitem: i",
            r"negatives.redraw: epoch needs the user 'u' among the categorical features",
        ),
        (
            "label: y",
            ("label: y\nnegatives: {redraw: epoch, item_columns: [pirce]}\nuser: user\nitem: user"),
            "negatives: item_columns names 'pirce', which is no feature; features are user",
        ),
        ("label: y", "label: y\nlable: z", r"lable: unknown key \(did you mean 'label'\?\)"),
        ("label: y", "label: y\ngates: {max_bytes: huge}", "'huge' is no size"),
        (
            "label: y",
            "label: y\ngates:\n  max_bytes: 1k\n  max_ndcg_at_10_drop: 0.01",
            (
                r"mine\.yaml:6: gates.max_ndcg_at_10_drop = 0.01: measured within each user, whose "
                "column is not named: say `user: COLUMN`, or leave"
            ),
        ),
        (
            "label: y",
            "label: y\ngates: {min_gauc: 0.6, min_ndcg_at_10: 0, max_gauc_drop: 0.1}",
            r"min_gauc = 0.6, gates.min_ndcg_at_10 = 0, gates.max_gauc_drop = 0.1: measured within",
        ),
        (
            "label: y",
            "label: y\ntargets: [tflite, onyx]",
            r"yaml:\d+: targets\[1\]: no export target 'onyx'; registered are tflite, .*, onnx",
        ),
        (
            "label: y",
            "label: y\nmodel: {family: gru4rec}",
            r"gru4rec reads the events of a session, and no feature lists them: add one .* user",
        ),
        (
            "label: y",
            "label: y\ncompression: [{technique: distill, student: {family: gru4rec}}]",
            "gru4rec reads the events of a session, and no feature lists them",
        ),
    ],
)
def test_mistakes(tmp_path: pathlib.Path, old: str, new: str, message: str) -> None:
    assert old in VALID
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, VALID.replace(old, new)))


def test_gates_by_user_need_a_user(tmp_path: pathlib.Path) -> None:
    asked = "gates: {min_gauc: 0.6, max_ndcg_at_10_drop: 0.01}\n"
    config = load_config(write(tmp_path, VALID + asked + "user: user\n"))
    assert (config.gates.min_gauc, config.judged_by.max_ndcg_at_10_drop) == (0.6, 0.01)
    off = "gates: {min_gauc: null, max_gauc_drop: null}\n"
    assert load_config(write(tmp_path, VALID + off)).gates.min_gauc is None


def test_sessions_redraw_items_without_the_session_as_a_feature(tmp_path: pathlib.Path) -> None:
    config = load_config("configs/sessions.yaml")
    assert config.fitting.negatives is not None
    assert config.fitting.negatives.item_columns == ()
    assert [feature.name for feature in config.features] == ["item", "recent"]
    text = pathlib.Path("configs/sessions.yaml").read_text(encoding="utf-8")
    without = "".join(
        line for line in text.splitlines(keepends=True) if "kind: history" not in line
    ).replace("family: gru4rec, ", "")
    with pytest.raises(ConfigError, match=r"needs the user 'session' .*, or a list of items"):
        load_config(write(tmp_path, without))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"there are .*configs/movielens\.yaml"):
        load_config("configs/none.yaml")


def test_files_are_checked_before_a_run(tmp_path: pathlib.Path) -> None:
    config = load_config(write(tmp_path, VALID))
    with pytest.raises(FileNotFoundError, match=r"no file matches '\*\.csv'"):
        config.check_files(str(tmp_path))
    (tmp_path / "a.csv").write_text("y,user\n")
    config.check_files(str(tmp_path))


def test_batches_too_small_for_batch_normalization(tmp_path: pathlib.Path) -> None:
    text = VALID + "training: {batch_size: 1}\nmodel: {batch_norm: true}\n"
    with pytest.raises(
        ConfigError, match=r"mine\.yaml:7: training.* take 8 or more, or set batch_"
    ):
        load_config(write(tmp_path, text))
    load_config(write(tmp_path, text.replace("true", "false")))
