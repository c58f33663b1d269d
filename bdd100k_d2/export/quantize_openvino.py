"""OpenVINO's files in 8 bits, by NNCF."""

import logging
import sys
from collections.abc import Collection
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from ..predict.model_card import ModelCard
from ..predict.openvino_session import without_telemetry
from .calibration import CalibrationImages
from .openvino_file import read_onnx, save_openvino
from .trunk import Node, NodeKind, quantized_nodes

_KINDS: dict[str, NodeKind] = {
    "Convolution": "convolution",
    "GroupConvolution": "convolution",
    "ConvolutionBackpropData": "convolution",
    "GroupConvolutionBackpropData": "convolution",
    "MatMul": "linear",
    **dict.fromkeys(("Add", "AvgPool", "Clamp", "Concat", "HSwish", "Interpolate", "MaxPool"), "between"),
    **dict.fromkeys(("Multiply", "Pad", "PRelu", "ReduceMean", "Relu", "Sigmoid", "Swish"), "between"),
}
_OF_ONE_INPUT = ("Interpolate", "Pad", "PRelu", "ReduceMean")


def quantize_openvino(
    source: Path, out: Path, card: ModelCard, images: CalibrationImages, kept: Collection[str]
) -> list[str]:
    """Writes the graph of an ONNX file to ``out``, an ``.xml``, with its layers in 8 bits; else as `quantize_onnx`."""
    with without_telemetry():
        import nncf
    nncf.set_log_level(logging.ERROR)
    model = read_onnx(source)
    nodes = _nodes(model)
    chosen, floats = quantized_nodes(nodes, kept)
    floating = [node.name for node in nodes if node.name not in chosen]
    # Its progress is printed, and standard output is for what a command finds.
    with redirect_stdout(sys.stderr):
        quantized = nncf.quantize(
            model,
            nncf.Dataset(images),
            subset_size=len(images),
            # Symmetric ranges of activations, in which convolutions are fastest, cost nothing on the sample models.
            preset=nncf.QuantizationPreset.PERFORMANCE,
            target_device=nncf.TargetDevice.CPU,
            ignored_scope=nncf.IgnoredScope(names=floating, validate=False),
        )
    save_openvino(quantized, out, card)
    return floats


def _nodes(model: Any) -> list[Node]:  # noqa: ANN401, openvino.Model
    nodes = []
    for op in model.get_ordered_ops():
        if op.get_type_name() in ("Constant", "Parameter", "Result"):
            continue
        kind = _KINDS.get(op.get_type_name(), "other")
        inputs, weights = [one.get_node() for one in op.input_values()], ""
        if kind in ("convolution", "linear"):
            weights = _constant(inputs[1])
            if weights:
                inputs = inputs[:1]
            else:
                kind = "other"
        elif op.get_type_name() in _OF_ONE_INPUT:
            inputs = inputs[:1]
        names = tuple(one.get_friendly_name() for one in inputs if one.get_type_name() not in ("Constant", "Parameter"))
        nodes.append(Node(op.get_friendly_name(), kind, names, weights))
    return nodes


def _constant(node: Any) -> str:  # noqa: ANN401, openvino.Node
    """The name of the constant that a layer's weights are, in whatever shape or type; empty if they are none."""
    while node.get_type_name() in ("Convert", "Reshape", "Transpose"):
        node = node.input_value(0).get_node()
    return str(node.get_friendly_name()) if node.get_type_name() == "Constant" else ""
