"""A Parquet file that brings code: nothing of it runs."""

from __future__ import annotations

import os
import pathlib
import pickle
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ranklite.models import safe_arrow

ROOT = pathlib.Path(__file__).parents[2]


class Evil:
    """What a pickle of it does when it is read."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def armed(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A log with a column of a type that brings code, and the folder that it would make."""
    made = tmp_path / "made"
    about = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Evil(made)),
    }
    field = pa.field("item", pa.int64(), metadata=about)
    table = pa.table([pa.array([1, 2]), pa.array([0, 1])], pa.schema([field, ("y", pa.int64())]))
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=1)
    return tmp_path / "log.parquet", made


READERS = {
    "the log of a run": """
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.preview import preview
features = {"features": [{"name": "item", "kind": "categorical", "dtype": "int64"}]}
config = {"source": {"files": "*.parquet"}, "label": "y", "features": features}
config["split"] = {"by": "hash", "eval": 0.5}
list(preview(IngestConfig.model_validate(config), sys.argv[1]))""",
    "the newest span": """
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.newest_span import check_rows
features = {"features": [{"name": "item", "kind": "categorical", "dtype": "int64"}]}
config = {"source": {"files": "{SPAN}.parquet"}, "label": "y", "features": features}
config["split"] = {"by": "hash", "eval": 0.5}
check_rows(IngestConfig.model_validate(config), sys.argv[1])""",
    "a log in parts": """
from ranklite.components.log_example_gen.config import IngestConfig
from ranklite.components.log_example_gen.parts.cut import begin
features = {"features": [{"name": "item", "kind": "categorical", "dtype": "int64"}]}
config = {"source": {"files": "*.parquet"}, "label": "y", "features": features}
config["split"] = {"by": "hash", "eval": 0.5}
large = begin(IngestConfig.model_validate(config), "logs", sys.argv[1] + "/log.parquet", [10])
sys.exit(large.refused or None)""",
    "rows to score": """
from ranklite.models.serving.log_files import parquet_rows
list(parquet_rows(sys.argv[1] + "/log.parquet"))""",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.fault("a Parquet file brings code", "none of it runs")
def test_no_code_of_a_file_runs(armed: tuple[pathlib.Path, pathlib.Path], reader: str) -> None:
    path, made = armed
    if reader == "the newest span":
        path.with_name("1.parquet").write_bytes(path.read_bytes())
    process = subprocess.run(
        [sys.executable, "-c", f"import sys{READERS[reader]}", str(path.parent)],
        cwd=ROOT,  # a process that has not imported Beam
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not made.exists(), process.stderr
    if process.returncode:  # pyarrow from 14.0.1 on reads the column without its type
        assert "Disallowed deserialization" in process.stderr
        assert str(path.parent) in process.stderr or reader == "the newest span"


def test_the_file_would_run_its_code(armed: tuple[pathlib.Path, pathlib.Path]) -> None:
    path, made = armed
    if tuple(map(int, pa.__version__.split(".")[:2])) >= (14, 1):
        pytest.skip(f"pyarrow {pa.__version__} runs no code of a file")
    code = "import sys, pyarrow.parquet as pq; pq.read_schema(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False)
    assert made.exists()


def test_an_unsafe_pyarrow_without_the_fix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pa, "__version__", "14.0.0")
    monkeypatch.setitem(sys.modules, "pyarrow_hotfix", None)
    with pytest.raises(ImportError, match=r"pyarrow 14\.0\.0 runs code .* pyarrow-hotfix"):
        safe_arrow.safe_arrow()
    monkeypatch.setattr(pa, "__version__", "14.0.1")
    assert safe_arrow.safe_arrow() is pa
    monkeypatch.setattr(pa, "__version__", "23.0.0.dev1+g1")
    assert safe_arrow.safe_arrow() is pa
