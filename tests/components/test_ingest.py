"""Logs become examples, or a clear error; nothing passes silently."""

from __future__ import annotations

import csv
import gzip
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml

from ranklite.components.log_example_gen import IngestError, connection, writer
from ranklite.components.log_example_gen import ingest as ingest_module
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.ingest import ingest
from ranklite.components.log_example_gen.input_files import input_digest
from ranklite.models import progress
from ranklite.pipeline.config.run_config import load_config

BASE: dict[str, Any] = {
    "source": {"files": "log.csv"},
    "label": "y",
    "split": {"by": "hash", "eval": 0.3},
    "features": {
        "features": [
            {"kind": "categorical", "name": "u"},
            {"kind": "categorical", "name": "i", "dtype": "int64"},
            {"kind": "multi_categorical", "name": "tags", "separator": "|", "max_length": 3},
            {"kind": "numeric", "name": "x"},
        ]
    },
}
HEADER = "y,u,i,tags,x"


def lines(count: int = 60) -> list[str]:
    return [f"{k % 2},u{k % 7},{k % 5},{'a|b' if k % 3 else ''},{k / 4}" for k in range(count)]


def write(folder: pathlib.Path, rows: list[str], header: str | None = HEADER) -> None:
    text = "\n".join(([header] if header else []) + rows) + "\n"
    (folder / "log.csv").write_text(text, encoding="utf-8")


def config(**changes: Any) -> IngestConfig:
    return IngestConfig.model_validate({**BASE, **changes})


def run(folder: pathlib.Path, settings: IngestConfig) -> dict[str, Any]:
    out = folder / "out"
    return ingest(settings, str(folder), str(folder / "rejects"), lambda s: str(out / s))


def examples(folder: pathlib.Path, split: str) -> list[dict[str, list[Any]]]:
    files = [str(path) for path in sorted((folder / "out" / split).iterdir())]
    result = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        row = {}
        for name, feature in features.items():
            kind = feature.WhichOneof("kind")
            row[name] = list(getattr(feature, kind).value) if kind else []
        result.append(row)
    return result


def every(folder: pathlib.Path, settings: IngestConfig) -> list[dict[str, list[Any]]]:
    return [row for split in settings.split_names for row in examples(folder, split)]


def test_values_by_hand(tmp_path: pathlib.Path) -> None:
    write(tmp_path, [*lines(), "1,007,9,c,", "0,,,,"])
    settings = config()
    report = run(tmp_path, settings)
    rows = every(tmp_path, settings)
    assert len(rows) == sum(split["rows"] for split in report["splits"].values()) == 62
    leading_zeros = next(row for row in rows if row["u"] == [b"007"])
    assert leading_zeros["i"] == [9]
    assert leading_zeros["tags"] == [b"c"]
    assert leading_zeros["label"] == [1.0]
    assert not leading_zeros.get("x")
    empty = next(row for row in rows if not row.get("u"))
    assert not any(empty.get(name) for name in ("u", "i", "tags", "x"))


def test_it_says_how_far_it_is(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, lines())
    monkeypatch.setattr(writer, "ROWS", 2)
    reported: list[progress.Report] = []
    with progress.listening(reported.append):
        run(tmp_path, config())
    assert reported[0].where == "reading 1 file, 0.0 MB"
    shares = [report.share for report in reported[1:-1]]
    assert shares == sorted(shares, key=lambda share: share or 0.0)
    assert (reported[-2].where, reported[-2].share) == ("writing 60/60 rows", 1.0)
    assert len(shares) > 2
    assert reported[-1].figures == {"rows": 60}


def test_the_same_log_gives_the_same_examples(tmp_path: pathlib.Path) -> None:
    write(tmp_path, lines())
    contents = []
    for _ in range(2):
        run(tmp_path, config())
        contents.append(every(tmp_path, config()))
    assert contents[0] == contents[1]


def test_a_wide_log_gives_the_same_examples(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is quadratic in columns is left out of DuckDB's plans; values are the same."""
    write(tmp_path, lines())
    plain = run(tmp_path, config())
    files = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.gz")}
    asked: list[int] = []

    def connected(*arguments: Any, **settings: Any) -> Any:
        con = connection.connect(*arguments, **settings)
        [(disabled,)] = con.execute("SELECT current_setting('disabled_optimizers')").fetchall()
        asked.append("common_subexpressions" in disabled)
        return con

    monkeypatch.setattr(ingest_module, "connect", connected)
    for least, left_out in ((4, False), (3, True)):
        monkeypatch.setattr(connection, "WIDE", least)
        asked.clear()
        again = run(tmp_path, config())
        assert asked == [left_out]
        assert again["splits"] == plain["splits"]
        assert {path: path.read_bytes() for path in files} == files


def test_names_that_differ_in_case_are_refused(tmp_path: pathlib.Path) -> None:
    write(tmp_path, ["1,a,2,x,3,b"], HEADER + ",U")
    features = [*BASE["features"]["features"], {"kind": "categorical", "name": "U"}]
    with pytest.raises(IngestError, match="'u', 'U' differ in letter case only"):
        run(tmp_path, config(features={"features": features}))


def test_a_hash_split_keeps_a_key_together(tmp_path: pathlib.Path) -> None:
    write(tmp_path, lines(200))
    settings = config(split={"by": "hash", "key": "u", "eval": 0.3, "test": 0.3})
    run(tmp_path, settings)
    users = [{row["u"][0] for row in examples(tmp_path, s)} for s in settings.split_names]
    assert not users[0] & users[1]
    assert not users[0] & users[2]
    assert not users[1] & users[2]


def test_a_time_split_holds_the_newest_rows_out(tmp_path: pathlib.Path) -> None:
    order = np.random.default_rng(1).permutation(100)
    write(tmp_path, [f"{k % 2},u,{k},a,{k}" for k in order])
    settings = config(
        timestamp="x", timestamp_format="seconds", split={"by": "time", "eval": 0.2, "test": 0.1}
    )
    report = run(tmp_path, settings)
    items = {s: sorted(row["i"][0] for row in examples(tmp_path, s)) for s in settings.split_names}
    assert items["train"] == list(range(70))
    assert items["eval"] == list(range(70, 90))
    assert items["test"] == list(range(90, 100))
    assert report["splits"]["test"]["first_time"] == 90


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1700000000", "1700000001"], 1_700_000_000),
        (["1700000000123", "1700000001000"], 1_700_000_000),
        (["2023-11-14T22:13:20Z", "2023-11-15T00:00:00Z"], 1_700_000_000),
        (["2023-11-14 22:13:20", "2023-11-15 00:00:00"], 1_700_000_000),
    ],
)
def test_times_in_the_usual_forms(tmp_path: pathlib.Path, texts: list[str], expected: int) -> None:
    rows = [f"{k % 2},u,1,{texts[k > 20]}" for k in range(40)]
    write(tmp_path, rows, "y,u,i,t")
    settings = config(
        timestamp="t",
        split={"by": "time", "eval": 0.2},
        features={"features": [{"kind": "categorical", "name": "u"}]},
    )
    assert run(tmp_path, settings)["splits"]["train"]["first_time"] == expected


def test_formats_compression_and_globs(tmp_path: pathlib.Path) -> None:
    records = [
        {"y": k % 2, "u": f"u{k % 7}", "i": k % 5, "tags": ["a", "b"], "x": k / 4}
        for k in range(40)
    ]
    for part in range(2):
        with gzip.open(tmp_path / f"part{part}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(r) + "\n" for r in records[part::2])
    settings = config(source={"files": "part*.jsonl.gz"})
    run(tmp_path, settings)
    rows = every(tmp_path, settings)
    assert len(rows) == 40
    assert rows[0]["tags"] == [b"a", b"b"]
    tables = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(tables.Table.from_pylist(records), tmp_path / "log.parquet")
    settings = config(source={"files": "log.parquet"})
    run(tmp_path, settings)
    assert len(every(tmp_path, settings)) == 40


def test_another_dialect(tmp_path: pathlib.Path) -> None:
    rows = [f"{'yes' if k % 2 else 'no'};'u;{k % 3}';NA;a;1.5" for k in range(40)]
    write(tmp_path, rows, None)
    settings = config(
        source={
            "files": "log.csv",
            "csv": {
                "delimiter": ";",
                "quote": "'",
                "null": ["NA"],
                "header": False,
                "columns": ["y", "u", "i", "tags", "x"],
            },
        },
        label="y = 'yes'",
    )
    run(tmp_path, settings)
    result = every(tmp_path, settings)
    assert {row["u"][0] for row in result} == {b"u;0", b"u;1", b"u;2"}
    assert not any(row.get("i") for row in result)
    assert sum(row["label"][0] for row in result) == 20


@pytest.mark.fault("rows cannot be read", "each costs one row, with file, line and reason")
def test_bad_rows_go_to_the_rejects_file(tmp_path: pathlib.Path) -> None:
    write(tmp_path, [*lines(97), "1,u,1,a,oops", "maybe,u,1,a,2", "1,u,x,a,2"])
    report = run(tmp_path, config(source={"files": "log.csv", "max_bad_rows": 0.05}))
    assert sum(report["rejected"].values()) == 3
    assert sum(split["rows"] for split in report["splits"].values()) == 97
    with open(tmp_path / "rejects" / "rejects.csv", newline="", encoding="utf-8") as file:
        rejects = list(csv.DictReader(file))
    assert len(rejects) == 3
    assert any("oops" in row["value"] for row in rejects)
    with pytest.raises(IngestError, match=r"3 of 100 rows \(3\.00%\) cannot be read(?s:.*)rejects"):
        run(tmp_path, config())


def test_invalid_json_lines_are_rejects_with_their_line(tmp_path: pathlib.Path) -> None:
    rows = [json.dumps({"y": k % 2, "u": "u", "i": 1, "tags": [], "x": 1}) for k in range(40)]
    rows.insert(2, '{"y": 1, "u": ')
    (tmp_path / "log.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    report = run(tmp_path, config(source={"files": "log.jsonl", "max_bad_rows": 0.1}))
    assert report["rejected"] == {"not a JSON object": 1}
    text = (tmp_path / "rejects" / "rejects.csv").read_text(encoding="utf-8")
    assert "log.jsonl,3,,not a JSON object," in text


@pytest.mark.parametrize(
    ("rows", "header", "changes", "message"),
    [
        (lines(), "click,u,i,tags,x", {}, "no column 'y'; it has click, u, i, tags, x"),
        (lines(), "y,who,i,tags,x", {}, "no column 'u'"),
        ([], HEADER, {}, "no rows"),
        (
            [line.replace("1,", "2,", 1) for line in lines()],
            HEADER,
            {},
            "values other than 0 and 1",
        ),
        (["1" + line[1:] for line in lines()], HEADER, {}, "have label 1"),
        (lines(3), HEADER, {"split": {"by": "hash", "eval": 0.01}}, "the eval split has no rows"),
        (lines(), HEADER, {"source": {"files": "other.csv"}}, "no file matches 'other.csv'"),
        (lines(), HEADER, {"source": {"files": "../log.csv"}}, "lie inside it"),
        (lines(), HEADER, {"label": "y >="}, "syntax error"),
        (
            lines(),
            HEADER,
            {"source": {"files": "log.csv", "query": "SELECT * FROM read_csv('/etc/passwd')"}},
            "a run knows logs alone",
        ),
    ],
)
@pytest.mark.fault(
    "a log or its configuration is of no use", "an error that says why; nothing is written"
)
def test_a_useless_log_has_an_error_of_its_own(
    tmp_path: pathlib.Path, rows: list[str], header: str, changes: dict[str, Any], message: str
) -> None:
    write(tmp_path, rows, header)
    with pytest.raises((IngestError, OSError, ValueError), match=message):
        run(tmp_path, config(**changes))
    assert not (tmp_path / "out" / "eval").exists()


def test_an_empty_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "log.csv").write_text("")
    with pytest.raises(IngestError, match="is empty"):
        run(tmp_path, config())


@pytest.mark.fault("a link leads out of the data folder", "refused")
def test_a_link_out_of_the_data_folder_is_refused(tmp_path: pathlib.Path) -> None:
    inside = tmp_path / "data"
    inside.mkdir()
    write(tmp_path, lines())
    (inside / "log.csv").symlink_to(tmp_path / "log.csv")
    with pytest.raises(ValueError, match="leads out of the data folder"):
        run(inside, config())


@pytest.mark.parametrize("by", ["uniform", "popularity"])
def test_sampled_negatives(tmp_path: pathlib.Path, by: str) -> None:
    rng = np.random.default_rng(3)
    pairs = sorted({(int(u), int(i)) for u, i in rng.integers(0, 12, (60, 2))})
    write(tmp_path, [f"u{u},{i},genre{i % 3},{u * 10}" for u, i in pairs], "u,i,genre,ctx")
    settings = config(
        label=None,
        negatives={"per_positive": 3, "by": by, "item_columns": ["genre"]},
        features={
            "features": [
                {"kind": "categorical", "name": "u"},
                {"kind": "categorical", "name": "i", "dtype": "int64"},
                {"kind": "categorical", "name": "genre"},
                {"kind": "numeric", "name": "ctx"},
            ],
            "user": "u",
            "item": "i",
        },
    )
    report = run(tmp_path, settings)
    rows = every(tmp_path, settings)
    negatives = [row for row in rows if row["label"] == [0.0]]
    assert len(rows) - len(negatives) == len(pairs)
    assert len(negatives) == report["sampled"]["negatives"] > 2 * len(pairs)
    for row in negatives:
        user, item = int(row["u"][0][1:]), row["i"][0]
        assert (user, item) not in pairs
        assert row["genre"] == [f"genre{item % 3}".encode()]
        assert row["ctx"] == [user * 10]


def test_the_digest_follows_the_content_alone(tmp_path: pathlib.Path) -> None:
    write(tmp_path, lines())
    before = input_digest(config(), str(tmp_path))
    (tmp_path / "log.csv").touch()
    assert input_digest(config(), str(tmp_path)) == before
    content = (tmp_path / "log.csv").read_text()
    (tmp_path / "log.csv").write_text(content.replace("u1", "u9", 1))
    assert input_digest(config(), str(tmp_path)) != before


def test_the_criteo_configuration_reads_its_log(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(5)
    rows = []
    for k in range(200):
        numbers = [str(n) if n > 2 else "" for n in rng.integers(0, 50, 13)]
        rows.append(
            "\t".join([str(k % 2), *numbers, *(f"{n:08x}" for n in rng.integers(0, 9, 26))])
        )
    (tmp_path / "train.txt").write_text("\n".join(rows) + "\n")
    settings = load_config("configs/criteo.yaml").ingest
    run(tmp_path, settings)
    result = every(tmp_path, settings)
    assert len(result) == 200
    assert {len(row["C26"]) for row in result} == {1}
    assert {len(row.get("I1", [])) for row in result} == {0, 1}


def test_the_template_reads_a_log_of_plays(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(6)
    with open(tmp_path / "plays-1.jsonl", "w", encoding="utf-8") as file:
        for k, (user, song) in enumerate(rng.integers(0, 30, (300, 2)).tolist()):
            play = {"user": f"u{user}", "song": f"s{song}", "genres": ["a", f"g{song % 4}"]}
            play |= {"duration": float(song * 10), "time": 1_700_000_000 + k}
            file.write(json.dumps(play) + "\n")
    settings = load_config("configs/interactions.yaml").ingest
    report = run(tmp_path, settings)
    assert report["splits"]["train"]["rows"] == 5 * report["splits"]["train"]["positives"]
    text = pathlib.Path("configs/interactions.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["negatives"]["per_positive"] == 4


def test_items_keep_their_last_name(tmp_path: pathlib.Path) -> None:
    rows = ["1,u1,7,,1,Heat", "0,u1,7,,2,Heat (1995)", "1,u2,9,,3,", "0,u2,,,4,Nobody"]
    write(tmp_path, [*rows, *(f"{k % 2},u,{k % 3},,1,Film {k % 3}" for k in range(40))])
    text = (tmp_path / "log.csv").read_text().replace(HEADER, f"{HEADER},title", 1)
    (tmp_path / "log.csv").write_text(text)
    settings = config(features={**BASE["features"], "user": "u", "item": "i"}, item_label="title")
    path = tmp_path / "labels.parquet"
    out = tmp_path / "out"
    ingest(settings, str(tmp_path), str(tmp_path / "rejects"), lambda s: str(out / s), str(path))
    result = pq.read_table(path).to_pydict()
    assert dict(zip(result["item"], result["label"], strict=True)) == {
        "0": "Film 0",
        "1": "Film 1",
        "2": "Film 2",
        "7": "Heat (1995)",
    }
    assert all("title" not in row for row in every(tmp_path, settings))


def test_names_need_items() -> None:
    with pytest.raises(ValueError, match="give the key `item` too"):
        config(item_label="title")


@pytest.mark.fault("an ingestion is killed", "what it left goes with the next")
def test_what_a_killed_ingestion_left_goes_with_the_next(tmp_path: pathlib.Path) -> None:
    write(tmp_path, lines())
    left = tmp_path / "rejects" / ".work-abc"
    left.mkdir(parents=True)
    (left / "copy").write_text("of the log")
    run(tmp_path, config())
    assert not left.exists()
