"""A model whose inputs have the most awkward names, and rows for the clients that score it."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import random
from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils

from ranklite.models.architectures.checkpoint import Checkpoint
from ranklite.models.architectures.deepfm import DeepFMConfig, build_deepfm
from ranklite.models.export import tflite_convert as export
from ranklite.models.export.target import SERVING_RAW
from ranklite.models.export.tflite_batch import fixed_batch
from ranklite.models.export.tflite_runtime import LiteModel
from ranklite.models.features import raw_values
from ranklite.models.features.constants import PreprocessingConstants
from ranklite.models.features.feature_set import FeatureSet
from ranklite.models.features.fingerprints import Encoder
from ranklite.models.features.layout import FeatureLayout
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.features.raw_signature import RawFeatures
from ranklite.models.serving import clients
from ranklite.models.serving.scorer import Scorer
from ranklite.models.serving.versions import write_version

LENGTH, FIXED, FEW = 5, 64, 50  # of the history; rows of the browser's file, of `vectors.json`
FAR = [2**40, -(2**50), 2**63 - 1, -(2**63) + 1, 7]
WORDS = {
    "user": ["u0", "u1", "nächste", "日本語 😀", "a" * 300],
    "item": [str(n) for n in FAR],
    "hour": ["0", "1", "-1"],
    "tags": ["a", "b b", "c|d", '"', "\\"],
    "shops": ["1", str(2**35)],
}
FEATURES = FeatureSet.model_validate(
    {
        "user": "user",
        "item": "item",
        "features": [
            {"name": "user", "kind": "categorical"},
            {"name": "item", "kind": "categorical", "dtype": "int64"},
            {"name": "hour", "kind": "categorical", "dtype": "int64"},
            {"name": "tags", "kind": "multi_categorical", "max_length": 3},
            {"name": "shops", "kind": "multi_categorical", "max_length": 2, "dtype": "int64"},
            {"name": "seen", "kind": "history", "of": "item", "by": "user", "length": LENGTH},
            {"name": "price", "kind": "numeric"},
            {"name": "age", "kind": "numeric"},
        ],
    }
)
# No configuration has such names; entries of other packages may. Two and two are one identifier,
# or differ by what a language does not tell apart.
NAMES = {
    "user": "class",
    "item": "item id",
    "hour": "item-id",
    "tags": 'in "quotes" $x ${y} \\ ö 😀 */ //',
    "shops": "in",
    "seen": "int",
    "seen_outcome": "item_id",
    "price": "größe",
    "age": "Class",
}


@dataclasses.dataclass(frozen=True)
class Pushed:
    """A version in a folder, with its clients.

    Attributes:
      folder: Of the version.
      scorer: That reads it.
      rows: As `Scorer` takes them.
      vectors: Rows, encoding and scores of all of them, in the format of `vectors.json`.
    """

    folder: pathlib.Path
    scorer: Scorer
    rows: list[dict[str, Any]]
    vectors: pathlib.Path

    @property
    def model(self) -> pathlib.Path:
        return self.folder / "model.tflite"

    def client(self, language: str) -> pathlib.Path:
        return self.folder / "clients" / language

    @functools.cached_property
    def scores(self) -> Any:
        """Those of the `Scorer`."""
        return self.scorer.score(self.rows)


def push(folder: pathlib.Path, count: int) -> Pushed:
    """Pushes the model and its clients, and writes so many random rows."""
    content, encoder = _content()
    columns = [
        dataclasses.replace(column, name=NAMES[column.name]) for column in FEATURES.raw_columns
    ]
    metadata = {
        "features": [column.entry() for column in columns],
        "fingerprint": encoder.entry(),
        "config": {"name": "shop", "push": {"browser_batch": FIXED}},
    }
    made = rows(columns, count)
    vectors = _vectors(LiteModel(content), columns, encoder, made)
    files = clients.generate(metadata, vectors[:FEW])
    files[clients.BROWSER_FILE] = fixed_batch(content, FIXED)
    version = write_version(
        str(folder), {"model.tflite": content}, {"model": metadata}, files=files
    )
    path = folder / "rows.json"
    path.write_text(json.dumps({"rows": vectors}), encoding="utf-8")
    return Pushed(pathlib.Path(version), Scorer(version), made, path)


@functools.cache
def _made() -> tuple[Checkpoint, RawFeatures]:
    sizes = [(f.name, f.id_length, len(WORDS.get(f.name, ()))) for f in FEATURES.id_features]
    layout = FeatureLayout.build(sizes, FEATURES.numeric_names, FEATURES.list_fields)
    numbers = FEATURES.numeric_names
    constants = PreprocessingConstants(
        WORDS, dict.fromkeys(numbers, 0.5), dict.fromkeys(numbers, 2.0), {}
    )
    config = DeepFMConfig(embedding_dim=4, hidden_units=(8,), embedding_stddev=0.5)
    checkpoint = Checkpoint(build_deepfm(layout, config), layout, config)
    return checkpoint, RawFeatures(FEATURES, constants, layout)


def scores_of_strings(made: list[dict[str, Any]]) -> Any:
    """Scores of rows by the file of the same model that takes texts and int64."""
    checkpoint, raw = _made()
    model = LiteModel(export.to_tflite(checkpoint, raw.with_strings()))
    arrays = {
        c.name: raw_values.array(c, [raw_values.convert(c, row[NAMES[c.name]]) for row in made])
        for c in FEATURES.raw_columns
    }
    return model.score(arrays, SERVING_RAW)


def _content() -> tuple[bytes, Encoder]:
    """The file, and what encodes for it, under the awkward names."""
    checkpoint, raw = _made()
    model = flatbuffer_utils.convert_bytearray_to_object(
        bytearray(export.to_tflite(checkpoint, raw))
    )
    for signature in model.signatureDefs:
        if signature.signatureKey.decode() == SERVING_RAW:
            for each in signature.inputs:
                each.name = NAMES[each.name.decode()].encode()
    own = raw.encoder
    named = Encoder(
        own.seed,
        {NAMES[name]: dtype for name, dtype in own.dtypes.items()},
        {NAMES[name]: encoding for name, encoding in own.encodings.items()},
    )
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model)), named


def rows(columns: list[RawColumn], count: int) -> list[dict[str, Any]]:
    """Known, unseen, missing, extreme and random values."""
    chance = random.Random(7)
    words = {NAMES[name]: values for name, values in WORDS.items()}
    words[NAMES["seen"]] = words[NAMES["item"]]
    return [
        {c.name: _drawn(chance, c, words.get(c.name, [])) for c in columns} for _ in range(count)
    ]


def _drawn(chance: random.Random, column: RawColumn, words: list[str]) -> Any:
    if column.length is None:
        return _value(chance, column.dtype, words)
    count = chance.choice((0, 1, column.length, column.length + 1, 40))
    return [_value(chance, column.dtype, words) for _ in range(count)]


def _value(chance: random.Random, dtype: str, words: list[str]) -> Any:
    kind = chance.random()
    if kind < 0.1:
        return None
    if dtype == "float32":
        extreme = (float("nan"), 0.0, -0.0, 3.4e38, -3.4e38, 1e-45, 0.1)
        return chance.choice(extreme) if kind < 0.3 else chance.gauss(0, 10)
    if dtype == "int64":
        if kind < 0.4:
            return int(chance.choice(words))
        edges = (0, -1, 2**31 - 1, -(2**31), 2**31, 2**53 + 1, 2**63 - 1, -(2**63), -(2**63) + 1)
        return chance.choice(edges) if kind < 0.7 else chance.randint(-(2**63) + 1, 2**63 - 1)
    if kind < 0.4:
        return chance.choice(words)
    if kind < 0.5:
        return chance.choice(
            ("", " ", "  ", "NaN", "null", "0", "\x00", "\x01\n\t\r\x7f", "\u2028")
        )
    alphabet = 'ab "\\/$\x08\x0c éßж日😀'
    return "".join(chance.choice(alphabet) for _ in range(chance.randint(0, 9)))


def _vectors(
    model: LiteModel, columns: list[RawColumn], encoder: Encoder, made: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    inputs = encoder.encode(raw_values.arrays(columns, made))
    return [
        {
            "row": {name: _shown(value) for name, value in row.items()},
            "inputs": {name: _shown(values[k].tolist()) for name, values in inputs.items()},
            "score": float(score),
        }
        for k, (row, score) in enumerate(zip(made, model.score(inputs, SERVING_RAW), strict=True))
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if isinstance(value, int):
        return str(value) if abs(value) > 2**53 else value
    return "NaN" if isinstance(value, float) and np.isnan(value) else value
