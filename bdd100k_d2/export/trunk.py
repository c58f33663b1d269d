"""Which nodes of a graph are computed in 8 bits: its layers with weights, and what lies between them.

The rest stays in single precision: what comes before the first layer (resizing and normalisation) and all that works on
coordinates, scores or class ids (anchors, boxes, NMS, masks in the frame, the last resize of logits).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from ..errors import ConfigError, did_you_mean, shown

NodeKind = Literal["convolution", "linear", "between", "other"]
"""Of a node: a layer with weights, what may stand between layers of features, or anything else.

The second kind of layer is one only where it works on what a convolution gives: matrices of constants resize, too.
"""


class Node(NamedTuple):
    """A node of a graph.

    Attributes:
        name: in the graph.
        kind: see `NodeKind`.
        inputs: names of the nodes that it takes results of.
        weights: the name of a layer's weights, as in the checkpoint but for what the exporter puts before it.
    """

    name: str
    kind: NodeKind
    inputs: tuple[str, ...]
    weights: str = ""


def quantized_nodes(nodes: Sequence[Node], kept: Iterable[str] = ()) -> tuple[set[str], list[str]]:
    """The names of the nodes to compute in 8 bits, and the weights of the layers that are kept in float.

    What is between layers is in 8 bits where all ways to it and from it lead over such nodes to layers.

    Args:
        nodes: in the order in which they are computed.
        kept: parts of the model whose layers stay in float, as ``roi_heads.box_predictor``.

    Raises:
        ConfigError: there is no layer, or a part of ``kept`` has none.
    """
    layers = _layers(nodes)
    floats = _kept(layers, kept)
    if not layers:
        raise ConfigError("the graph has no layer with weights to quantise; export a model of a config.")
    named = {node.name: node for node in nodes}
    followers: dict[str, list[str]] = {}
    for node in nodes:
        for name in node.inputs:
            followers.setdefault(name, []).append(node.name)
    after: set[str] = set()
    for node in nodes:
        sources = [name for name in node.inputs if name in named]
        if node.kind == "between" and sources and all(name in layers or name in after for name in sources):
            after.add(node.name)
    between: set[str] = set()
    for node in reversed(nodes):
        targets = followers.get(node.name, [])
        if node.name in after and any(name in layers or name in between for name in targets):
            between.add(node.name)
    return (layers.keys() - floats) | between, sorted(layers[name] for name in floats)


def _layers(nodes: Sequence[Node]) -> dict[str, str]:
    """The layers' names -> those of their weights."""
    layers: dict[str, str] = {}
    # What works on the results of a convolution, however far behind it.
    behind: set[str] = set()
    for node in nodes:
        is_behind = any(name in behind for name in node.inputs)
        if node.kind == "convolution" or (node.kind == "linear" and is_behind):
            layers[node.name] = node.weights
        if is_behind or node.kind == "convolution":
            behind.add(node.name)
    return layers


def _kept(layers: Mapping[str, str], parts: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for part in parts:
        of_part = {name for name, weights in layers.items() if f".{part}." in f".{weights}."}
        if not of_part:
            there = sorted({name for weights in layers.values() for name in _parts(weights)})
            raise ConfigError(
                f"--keep-float: no layer of the model is in {shown(repr(part))}. {did_you_mean(part, there)}".rstrip()
            )
        found |= of_part
    return found


def _parts(weights: str) -> Iterator[str]:
    """All parts of the model that have the layer of these weights, as ``box_head`` and ``box_head.fc1``."""
    modules = weights.split(".")[:-1]
    for start in range(len(modules)):
        for end in range(start + 1, len(modules) + 1):
            yield ".".join(modules[start:end])
