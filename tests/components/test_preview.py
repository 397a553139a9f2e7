"""`ranklite validate --data` says from the first rows what a run would say of all."""

from __future__ import annotations

import gzip
import pathlib
from typing import Any

import pytest

from ranklite.components.log_example_gen import IngestError
from ranklite.components.log_example_gen import preview as preview_module
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.preview import ROWS, preview

HEADER = "click,user,item,tags,price,time\n"


def config(**changes: Any) -> IngestConfig:
    features = [
        {"kind": "categorical", "name": "user"},
        {"kind": "categorical", "name": "item", "dtype": "int64"},
        {"kind": "multi_categorical", "name": "tags", "separator": "|", "max_length": 3},
        {"kind": "numeric", "name": "price"},
    ]
    settings: dict[str, Any] = {
        "source": {"files": "*.csv*"},
        "label": "click",
        "timestamp": "time",
        "split": {"by": "time"},
        "features": {"features": features, "user": "user"},
    }
    return IngestConfig.model_validate(settings | changes)


def write(folder: pathlib.Path, rows: list[str]) -> None:
    (folder / "log.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))


def test_what_is_read_is_shown(tmp_path: pathlib.Path) -> None:
    write(tmp_path, ["1,u1,7,a|b,1.5,1700000000", "0,,8,,,1700000060", "0,u2,9,c,-2,1700000120"])
    assert list(preview(config(), str(tmp_path))) == [
        f"{tmp_path}: 3 first rows of 1 file read",
        "  label: 1 of 3 rows are positive",
        "  time: 2023-11-14 22:13:20 to 2023-11-14 22:15:20 UTC",
        "  user: string, missing in 1 of 3 rows, such as 'u1', 'u2'",
        "  item: int64, such as '7', '8', '9'",
        "  tags: lists of string, missing in 1 of 3 rows, such as '[a, b]', '[c]'",
        "  price: float32, missing in 1 of 3 rows, such as '-2.0', '1.5'",
    ]


def test_columns_are_looked_at_in_groups(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, [f"{k % 2},u{k % 150},{k},x|y,,{1_700_000_000 + k}" for k in range(200)])
    together = list(preview(config(), str(tmp_path)))
    assert "  item: int64, such as '0', '1', '10'" in together  # of the first hundred
    assert "  price: float32, missing in all 200 rows" in together
    monkeypatch.setattr(preview_module, "_AT_ONCE", 3)
    assert list(preview(config(), str(tmp_path))) == together


def test_only_first_rows_are_read(tmp_path: pathlib.Path) -> None:
    rows = [f"{k % 2},u,7,a,1,{1_700_000_000 + k}\n" for k in range(200_000)]
    with gzip.open(tmp_path / "log.csv.gz", "wt") as file:
        file.write(HEADER + "".join(rows[: 2 * ROWS]) + "x" * 100 + "".join(rows))
    lines = list(preview(config(), str(tmp_path)))
    assert lines[0].endswith(f"{ROWS} first rows of 1 file read")


def test_a_bad_row_is_shown_and_many_are_an_error(tmp_path: pathlib.Path) -> None:
    good = [f"{k % 2},u,7,a,1,{1_700_000_000 + k}" for k in range(40)]
    write(tmp_path, [*good, "1,u,7.5,a,1,1700000000"])
    lines = list(preview(config(), str(tmp_path)))
    assert lines[1] == "  left out: log.csv:42: item: not an integer: '7.5'"
    write(tmp_path, [*good, *["1,u,7.5,a,1,1700000000"] * 4])
    with pytest.raises(IngestError, match="4 of 44 rows cannot be read"):
        list(preview(config(), str(tmp_path)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "liked"}, "no column 'liked'"),
        ({"label": "item + 0"}, r"values other than 0 and 1: 7 \(3 rows\)"),
        ({"source": {"files": "*.csv", "query": "SELECT usr FROM logs"}}, 'column "usr" not found'),
        (
            {"features": {"features": [{"kind": "categorical", "name": "user"}], "user": "who"}},
            "no column 'who'",
        ),
    ],
)
def test_what_would_stop_a_run_is_an_error(
    tmp_path: pathlib.Path, changes: dict[str, Any], message: str
) -> None:
    write(tmp_path, ["1,u1,7,a,1,1700000000"] * 3)
    with pytest.raises(IngestError, match=message):
        list(preview(config(**changes), str(tmp_path)))
