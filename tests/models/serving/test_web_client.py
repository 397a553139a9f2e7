"""The web client: what is generated, and its encoder in Node against Python's."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
from typing import Any

import mmh3
import numpy as np
import pytest

from ranklite.models.features import raw_values
from ranklite.models.features.fingerprints import Encoder
from ranklite.models.features.raw_column import RawColumn
from ranklite.models.serving.clients import About, web
from tests import client_version
from tests.litert_js import litert, needs_node, node, tsc, value

NASTY = [
    'a "quoted" \\ name',
    "class",
    "</script><b>",
    "${x} `$y`",
    "n\u00e4chste\u2028\n*/",
    "__proto__",
]


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return client_version.push(tmp_path_factory.mktemp("pushed"))


def about(*names: str, **config: Any) -> About:
    """Of texts that are hashed with the seed 7."""
    entries = [{"name": name, "kind": "categorical", "dtype": "string"} for name in names]
    encodings = {name: {"dtype": "string", "encoding": "murmur3"} for name in names}
    fingerprint = {"seed": 7, "inputs": encodings}
    return About.of({"features": entries, "fingerprint": fingerprint, "config": config})


def written(folder: pathlib.Path, of: About) -> str:
    """Writes the client; gives the start of a script that has it."""
    for name, text in web.files(of).items():
        (folder / name).write_text(text, "utf-8")
    return f"import * as client from {json.dumps((folder / 'ranklite-client.js').as_uri())};"


def imported(pushed: pathlib.Path) -> str:
    """The start of a script that has a version's client."""
    names = {
        "ranklite-client.js": "FEATURES, Ranker, encode",
        "candidates.js": "parseCandidates, parseCsv, toCell",
        "selftest.js": "toRow",
    }
    folder = pushed / "clients/web"
    return "".join(
        f"import {{ {what} }} from {json.dumps((folder / name).as_uri())};"
        for name, what in names.items()
    )


def test_a_version_holds_all_of_it(pushed: pathlib.Path) -> None:
    names = {path.name for path in (pushed / "clients/web").iterdir()}
    assert names == {
        "candidates.js",
        "index.html",
        "model.tflite",
        "node.js",
        "package.json",
        "page.css",
        "page.js",
        "ranklite-client.d.ts",
        "ranklite-client.js",
        "selftest.js",
    }


def test_types_are_those_of_the_features(pushed: pathlib.Path) -> None:
    text = (pushed / "clients/web/ranklite-client.d.ts").read_text("utf-8")
    assert '  "user": string | null;\n  "item": bigint | number | null;\n' in text
    assert '  "tags": readonly (string | null)[] | null;\n  "price": number | null;\n' in text


_TYPED = """
import { Ranker, type LiteRt, type Row } from "./ranklite-client.js";
declare const litert: LiteRt;
const row: Row = { user: null, item: 2n ** 62n, shop: 7, tags: ["a", null], price: NaN };
const ranker = await Ranker.load({ litert, model: "model.tflite" });
const scores: Float32Array = await ranker.score([row]);
const best = await ranker.rank({ user: "u0" }, [{ item: 1 }, { item: 2, tags: [] }], 10);
console.log(scores, best.map(({ index, score }) => [index.toFixed(), score]));
"""


@needs_node
def test_types_tell_right_from_wrong(pushed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    written(tmp_path, about(*NASTY))
    assert tsc(tmp_path / "ranklite-client.d.ts") == ""  # nasty names are properties
    shutil.copy(pushed / "clients/web/ranklite-client.d.ts", tmp_path)
    (tmp_path / "app.ts").write_text(_TYPED)
    assert tsc(tmp_path / "app.ts") == ""
    wrong = _TYPED.replace('{ user: "u0" }', "{ user: 5 }").replace("shop: 7, ", "")
    (tmp_path / "app.ts").write_text(wrong)
    said = tsc(tmp_path / "app.ts")
    assert re.findall(r"error (TS\d+): (?:Property '\"(\w+))?", said) == [
        ("TS2741", "shop"),  # is missing
        ("TS2322", ""),  # a number is no text
    ]


def test_what_is_computed_from_the_past_may_be_left_out() -> None:
    past = {"feature": "n", "by": ["user"], "of": "", "stat": "count", "as_of": "day"}
    of = about("user")
    entry = {"name": "n", "kind": "aggregate", "dtype": "float32", "past": past, "stored": ""}
    of = About.of({**of.metadata, "features": [*of.metadata["features"], entry]})
    assert '"n"?: number | null;' in web.files(of)["ranklite-client.d.ts"]


def test_the_item_goes_by_its_name_in_the_log() -> None:
    of = about("movie", item="movieId")
    assert web.item(of) is None
    entries = [{**of.metadata["features"][0], "column": "movieId"}]
    assert web.item(About.of({**of.metadata, "features": entries})) == "movie"


def test_the_page_allows_its_own_import_map_and_escapes_its_name() -> None:
    page = web.files(about("user", name="<b>&"))["index.html"]
    [import_map] = re.findall('<script type="importmap">(.*?)</script>', page)
    assert f'content="{web.policy(import_map)}"' in page
    assert page.count("<script") == 2
    assert "<h1>&lt;b&gt;&amp;</h1>" in page
    assert "sha256-" in web.policy(import_map) != web.policy(import_map + " ")


@needs_node
def test_nasty_names_are_names(tmp_path: pathlib.Path) -> None:
    start = written(tmp_path, about(*NASTY, name='"</script>\n', item=NASTY[0]))
    names, item, hashes = value(
        start + "answer([client.FEATURES.map((f) => f.name), client.ITEM,"
        "client.FEATURES.map((f) => client.encode(f, f.name))])"
    )
    assert names == NASTY
    assert item == NASTY[0]
    assert hashes == [mmh3.hash(name.encode(), 7) for name in NASTY]


@needs_node
def test_hashes_of_any_length_are_those_of_mmh3(tmp_path: pathlib.Path) -> None:
    start = written(tmp_path, about("user"))
    made = value(
        start + "answer([0, 7, 2 ** 32 - 1].map((seed) => Array.from({ length: 40 }, (_, n) =>"
        "client.murmur3(Uint8Array.from({ length: n }, (_, k) => 7 * k + 250), seed))))"
    )
    data = bytes((7 * k + 250) % 256 for k in range(40))
    assert made == [[mmh3.hash(data[:n], seed) for n in range(40)] for seed in (0, 7, 2**32 - 1)]


@needs_node
def test_the_check_passes_and_notices_each_wrong_encoding(
    pushed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    copy = shutil.copytree(pushed / "clients", tmp_path / "clients")
    ended = node(copy / "web/selftest.js")
    assert (ended.returncode, ended.stdout) == (0, "encodings of 32 rows agree\n")
    vectors = json.loads((copy / "vectors.json").read_text("utf-8"))
    vectors["rows"][3]["inputs"]["user"] += 1
    vectors["rows"][5]["inputs"]["tags"].append(0)
    (copy / "vectors.json").write_text(json.dumps(vectors))
    ended = node(copy / "web/selftest.js")
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert [line[:14] for line in lines] == ["row 3: user is", "row 5: tags is"]


@needs_node
def test_scores_in_node_agree_and_a_wrong_one_is_noticed(
    pushed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    copy = shutil.copytree(pushed / "clients", tmp_path / "clients")
    ended = node(copy / "web/selftest.js", litert())
    assert (ended.returncode, ended.stdout) == (0, "encodings and scores of 32 rows agree\n")
    assert not ended.stderr  # not a word of the runtime
    vectors = json.loads((copy / "vectors.json").read_text("utf-8"))
    vectors["rows"][7]["score"] += 2e-6
    (copy / "vectors.json").write_text(json.dumps(vectors))
    ended = node(copy / "web/selftest.js", litert())
    assert ended.returncode == 1
    assert ended.stderr.startswith("row 7: the score is")


@needs_node
def test_values_are_encoded_like_those_of_the_scorer(pushed: pathlib.Path) -> None:
    """Of 500 rows: the vectors have what a person thought of, these what chance brings."""
    metadata = json.loads((pushed / "model.json").read_text())
    rows = client_version.rows(500, seed=3)
    columns = [RawColumn.of_entry(entry) for entry in metadata["features"]]
    expected = Encoder.of_entry(metadata["fingerprint"]).encode(
        {
            c.name: raw_values.array(c, [raw_values.convert(c, row[c.name]) for row in rows])
            for c in columns
        }
    )
    made = value(
        imported(pushed)
        + f"const rows = {json.dumps([client_version.shown(row) for row in rows])}.map(toRow);"
        "answer(Object.fromEntries(FEATURES.map((feature) =>"
        "[feature.name, rows.map((row) => encode(feature, row[feature.name]))])))"
    )
    for column in columns:
        values = np.array(made[column.name], np.float64)  # None, JSON's NaN, is NaN again
        np.testing.assert_array_equal(values, expected[column.name], column.name)


@needs_node
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("encode(user, 5)", "user = 5 is no string"),
        ("encode(user, '\\ud800')", 'user = "\\ud800" is no Unicode text'),
        ("encode(item, '5')", 'item = "5" is no integer; a bigint holds those from 2^53 on'),
        ("encode(item, 0.5)", "item = 0.5 is no integer; a bigint holds those from 2^53 on"),
        ("encode(item, 2 ** 53)", "item = 9007199254740992 is no integer; a bigint holds"),
        ("encode(item, 2n ** 63n)", "item = 9223372036854775808 has more than 64 bits"),
        ("encode(tags, 'a')", 'tags = "a" is no array'),
        ("encode(tags, ['a', 'b', 'c', 4])", "tags = 4 is no string"),
        ("encode(price, 1e39)", "price = 1e+39 is beyond float32"),
        ("encode(price, '1')", 'price = "1" is no number'),
        ("parseCandidates('items\\n1')", "the candidates' first line names items; features are"),
        ("parseCandidates('item,user\\n1')", "candidate 1 has 1 values, not 2"),
        ("parseCandidates('item\\nx')", "item = x is no integer"),
        ("parseCandidates('price\\nx')", "price = x is no number"),
    ],
)
def test_a_wrong_value_is_named(pushed: pathlib.Path, code: str, message: str) -> None:
    shown = value(
        imported(pushed) + "const [user, item, shop, tags, price] = FEATURES;"
        f"try {{ answer({code}); }} catch (error) {{ answer(error.message); }}"
    )
    assert shown.startswith(message)


@needs_node
def test_candidates_are_csv(pushed: pathlib.Path) -> None:
    text = 'item,"user"\r\n1,"a, ""b""\n"\n\n9007199254740993,""\n,x\n'
    read, again = value(
        imported(pushed) + f"const text = {json.dumps(text)};"
        "const read = parseCandidates(text);"
        "const again = parseCsv(text).map((line) => line.map(toCell).join(',')).join('\\n');"
        "answer([read.map((row) => [String(row.item), row.user]), parseCsv(again)])"
    )
    assert read == [["1", 'a, "b"\n'], ["9007199254740993", None], ["null", "x"]]
    assert again[1] == ["1", 'a, "b"\n']
    assert value(imported(pushed) + "answer([parseCandidates(''), parseCandidates('item')])") == [
        [],
        [],
    ]


# A runtime that counts its tensors, and scores a row by its item.
_COUNTING = """
let made = 0, live = 0;
class Tensor {
  constructor(data, shape) { this.kept = data; this.shape = shape; made++; live++; }
  async data() { return this.kept; }
  delete() { live--; }
}
const details = FEATURES.map((f) => ({ name: f.name, shape: f.length ? [4, f.length] : [4] }));
const run = async (inputs) => {
  const score = Float32Array.from(inputs.item.kept, (id) => (id === 13 ? NaN : (id % 5) / 10));
  return { score: new Tensor(score, [4, 1]) };
};
const signatures = { serving_raw: { getInputDetails: () => details, run } };
const model = { signatures, delete() { live -= 1000; } };
const litert = { Tensor, loadAndCompile: async () => model };
const ranker = await Ranker.load({ litert, model: new Uint8Array(1) });
const row = { user: "u", item: 1, shop: null, tags: [], price: NaN };
const failed = async (promise) => promise.then(() => "", (error) => error.message);
"""


@needs_node
def test_every_tensor_is_freed_and_the_users_side_is_encoded_once(pushed: pathlib.Path) -> None:
    result = value(
        imported(pushed) + _COUNTING + "const scores = Array.from(await ranker.score("
        "Array.from({ length: 9 }, (_, item) => ({ ...row, item }))));"
        "const scored = [made, live]; made = 0;"
        "const best = await ranker.rank(row, [4, 3, 9, 2, 8, 1].map((item) => ({ item })), 3);"
        "const ranked = [made, live]; made = 0;"
        "const none = await ranker.rank(row, [], 3);"
        "const wrong = await failed(ranker.score([row, row, row, row, { ...row, price: 'x' }]));"
        "const absent = await failed(ranker.rank({ user: 'u' }, [{ item: 1 }], 3));"
        "const noNumber = await failed(ranker.score([row, { ...row, item: 13 }]));"
        "const minus = await failed(ranker.rank(row, [row], -1));"
        "const left = live; ranker.delete();"
        "answer({ scores, scored, best, ranked, none, wrong, absent, noNumber, minus, left, live })"
    )
    np.testing.assert_allclose(result["scores"], [n % 5 / 10 for n in range(9)])
    assert result["scored"] == [3 * 6, 0]  # three batches of five inputs and a score
    assert [best["index"] for best in result["best"]] == [0, 2, 1]  # equal scores in their order
    assert result["ranked"] == [4 + 2 * 2, 0]
    assert result["none"] == []
    assert result["wrong"] == 'price = "x" is no number'
    assert result["absent"] == ('row 0 has no feature "shop"; null says that a value is missing')
    assert result["noNumber"] == "the model gives no number for row 1"
    assert result["minus"] == "k = -1; it is 0 or more"
    assert (result["left"], result["live"]) == (0, -1000)


@needs_node
def test_another_model_and_a_damaged_file_are_refused(pushed: pathlib.Path) -> None:
    result = value(
        imported(pushed) + _COUNTING + "const digest = '0'.repeat(64);"
        "const damaged = await failed(Ranker.load({ litert, model: new Uint8Array(1),"
        " sha256: digest }));"
        "const known = await failed(Ranker.load({ litert, model: new Uint8Array(1), sha256:"
        " '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d' }));"
        "details.pop();"
        "const other = await failed(Ranker.load({ litert, model: new Uint8Array(1) }));"
        "answer([damaged, known, other])"
    )
    assert result == [
        "the model's file is not the one that was pushed",
        "",
        "the model is not the one of this client: it takes user, item, shop, tags",
    ]
