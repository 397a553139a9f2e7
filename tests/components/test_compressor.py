"""Compressor: what its node reads and gives is what its technique says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tfx.types import channel, standard_artifacts

from ranklite.components.compressor.component import Compressor
from ranklite.models.compression.techniques import TECHNIQUES
from ranklite.models.registry import UnknownEntry


def models() -> channel.Channel:
    return channel.Channel(type=standard_artifacts.Model)


def component(technique: str, **settings: Any) -> Compressor:
    return Compressor(
        base_model=models(),
        teachers=[models(), models()],
        transformed_examples=channel.Channel(type=standard_artifacts.Examples),
        config=json.dumps({"technique": technique, **settings}),
        features="{}",
        training="{}",
        code_digest="1",
    )


@pytest.mark.parametrize("name", TECHNIQUES.names)
def test_a_node_has_what_its_technique_says(name: str) -> None:
    entry = TECHNIQUES.get(name)
    node = component(name, **entry.example)
    assert node.id == entry.component
    assert ("base_model" in node.inputs) == entry.needs_base
    assert ("teacher_1" in node.inputs) == entry.needs_teachers
    assert ("features" in node.exec_properties) == entry.needs_features
    assert ("control" in node.outputs) == entry.has_control
    assert {"model", "model_run"} <= set(node.outputs)


def test_the_nodes_are_those_of_earlier_runs() -> None:
    """Stores and Kubeflow's `tasks` name them."""
    names = {name: TECHNIQUES.get(name).component for name in TECHNIQUES.names}
    assert {key: names[key] for key in sorted(names) if key in OURS} == OURS


OURS = {
    "cluster": "Clusterer",
    "distill": "Distiller",
    "prune": "Pruner",
    "prune_rows": "Pruner.rows",
    "prune_units": "Pruner.units",
    "quantize": "Quantizer",
}


def test_an_unknown_technique_is_refused() -> None:
    with pytest.raises(UnknownEntry, match="no compression technique 'shrink'; registered are"):
        component("shrink")
