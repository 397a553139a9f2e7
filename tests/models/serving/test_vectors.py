"""Rows by which clients check themselves."""

from __future__ import annotations

import json
import math
import pathlib

import pytest

from ranklite.models.serving import clients
from ranklite.models.serving.clients import vectors
from ranklite.models.serving.scorer import Scorer
from tests.pushed_model import push

WORDS = {"user": ["u0", "u1", "\udcff"], "item": ["1", "2", "3"], "tags": ["a", "b"]}


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return Scorer(str(push(tmp_path_factory.mktemp("pushed"))))


def test_rows_inputs_and_scores_belong_together(scorer: Scorer) -> None:
    made = vectors.made(scorer._model, scorer._columns, WORDS)
    assert len(made) == vectors.ROWS
    document = json.loads(json.dumps(made))
    scores = scorer.score([each["row"] for each in document])
    assert [each["score"] for each in document] == scores.tolist()
    users = {each["row"]["user"] for each in made}
    assert {None, "u0", "u1", "never seen"} <= users
    for each in made:
        assert len(each["inputs"]["tags"]) == 2
        assert (each["row"]["user"] is None) == (each["inputs"]["user"] == -(2**31))
        price = each["row"]["price"]
        assert each["inputs"]["price"] == ("NaN" if price is None else pytest.approx(price))
    assert any(each["row"]["item"] == str(2**63 - 1) for each in made)
    assert any(len(each["row"]["tags"]) > 2 for each in made)
    assert all(math.isfinite(each["score"]) for each in made)


def test_a_version_has_them(scorer: Scorer, tmp_path: pathlib.Path) -> None:
    metadata = {**scorer.metadata, "fingerprint": scorer._model.encoder.entry()}
    files = clients.generate(metadata, vectors.made(scorer._model, scorer._columns, WORDS))
    document = json.loads(files["clients/vectors.json"])
    assert document["fingerprint"]["hash"] == "MurmurHash3_x86_32"
    assert len(document["rows"]) == vectors.ROWS
    about = clients.About.of(metadata)
    assert [(i.column.name, i.is_fingerprint, i.is_integer, i.is_text) for i in about.inputs] == [
        ("user", True, False, True),
        ("item", False, True, False),
        ("tags", True, False, True),
        ("price", False, False, False),
    ]
