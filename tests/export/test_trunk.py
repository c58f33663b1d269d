"""Which nodes of a graph are computed in 8 bits."""

import pytest

from bdd100k_d2.errors import ConfigError
from bdd100k_d2.export.trunk import Node, quantized_nodes

# A detector in small: what resizes, two layers with a sum and a last one behind another, and what decodes boxes.
NODES = [
    Node("resize", "linear", (), "columns"),
    Node("normalise", "between", ("resize",)),
    Node("stem", "convolution", ("normalise",), "model.backbone.stem.weight"),
    Node("relu", "between", ("stem",)),
    Node("lateral", "convolution", ("relu",), "model.backbone.lateral.weight"),
    Node("sum", "between", ("relu", "lateral")),
    Node("deltas", "convolution", ("sum",), "model.rpn_head.deltas.weight"),
    Node("by place", "other", ("deltas",)),
    Node("scaled", "between", ("by place",)),
    Node("crops", "other", ("sum", "scaled")),
    Node("fc", "linear", ("crops",), "model.box_head.fc.weight"),
    Node("last", "between", ("fc",)),
]


def test_layers_and_what_lies_between_them() -> None:
    assert quantized_nodes(NODES) == ({"stem", "relu", "lateral", "sum", "deltas", "fc"}, [])


def test_a_sum_with_what_is_no_feature_is_in_float() -> None:
    changed = [node._replace(inputs=("lateral", "normalise")) if node.name == "sum" else node for node in NODES]
    assert quantized_nodes(changed)[0] == {"stem", "relu", "lateral", "deltas", "fc"}


def test_parts_that_are_kept_in_float() -> None:
    found, floats = quantized_nodes(NODES, ["box_head", "backbone.lateral"])
    assert found == {"stem", "relu", "sum", "deltas"}
    assert floats == ["model.backbone.lateral.weight", "model.box_head.fc.weight"]


def test_a_part_without_layers() -> None:
    with pytest.raises(ConfigError, match=r"no layer of the model is in 'box_heat'\. Did you mean box_head\b"):
        quantized_nodes(NODES, ["box_heat"])


def test_a_graph_without_layers() -> None:
    with pytest.raises(ConfigError, match="no layer with weights to quantise"):
        quantized_nodes(NODES[:2])
