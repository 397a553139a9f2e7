"""Which embedding tables a configuration may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ranklite.pipeline.config.run_config import RunConfig

BASE = {
    "name": "mine",
    "source": {"files": "*.csv"},
    "label": "clicked",
    "split": {"by": "hash", "eval": 0.1},
    "features": [{"kind": "categorical", "name": "user"}],
}


def test_a_table_is_chosen_under_model() -> None:
    table = {"kind": "low_rank", "rank": 4}
    config = RunConfig.model_validate({**BASE, "model": {"table": table}})
    assert config.model.table.model_dump() == table


def test_rows_that_no_file_can_hold_are_refused() -> None:
    model = {"embedding_dim": 16, "table": {"kind": "hashed", "rows": 40_000_000}}
    with pytest.raises(ValidationError, match=r"would take 2\.72 GB, and a file of TFLite"):
        RunConfig.model_validate({**BASE, "model": model})


@pytest.mark.parametrize(
    "table", [{"kind": "truncated", "values": [3]}, {"kind": "pruned", "rows": 3}]
)
def test_what_only_a_compression_step_can_make_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"'{table['kind']}' is what prune_rows makes"):
        RunConfig.model_validate({**BASE, "model": {"table": table}})
