"""ONNX files in 8 bits, by onnxruntime's static quantiser: nodes between pairs of QuantizeLinear and DequantizeLinear.

Weights have a scale for each channel. Ranges of activations are the least and the greatest value on the calibration
images: percentiles took seven times as long and lost more on the sample models (docs/EXPORT.md).
"""

import logging
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime import quantization
from onnxruntime.quantization.calibrate import save_tensors_data
from tqdm import tqdm

from ..atomic import atomic_path
from ..predict.graph_outputs import INPUT_NAME
from ..predict.model_card import CARD_KEY, ModelCard
from .calibration import CalibrationImages
from .trunk import Node, NodeKind, quantized_nodes

_KINDS: dict[str, NodeKind] = {
    "Conv": "convolution",
    "ConvTranspose": "convolution",
    "Gemm": "linear",
    "MatMul": "linear",
    **dict.fromkeys(("Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "LeakyRelu"), "between"),
    **dict.fromkeys(("MaxPool", "Mul", "Pad", "Relu", "Resize", "Sigmoid"), "between"),
}
# Whose further inputs are sizes and bounds, not features.
_OF_ONE_INPUT = ("Clip", "Pad", "Resize")


def quantize_onnx(
    source: Path, out: Path, card: ModelCard, images: CalibrationImages, kept: Collection[str]
) -> list[str]:
    """Writes the graph of ``source`` to ``out`` with its layers in 8 bits, and ``card`` among its metadata.

    Args:
        source: an ONNX file in single precision.
        out: the file to write.
        card: of the new file.
        images: to measure ranges on.
        kept: parts of the model that stay in float, see `trunk.quantized_nodes`.

    Returns:
        The weights of the layers that stay in float.

    Raises:
        ConfigError: there is nothing to quantise, or no part of that name.
        OutputError: the file cannot be written.
    """
    model = onnx.load(source)
    chosen, floats = quantized_nodes(_nodes(model), kept)
    types = sorted({node.op_type for node in model.graph.node if node.name in chosen})
    with tempfile.TemporaryDirectory(prefix="quantize") as name, atomic_path(out) as temporary:
        ranges, quantized = Path(name, "ranges.json"), Path(name, "quantized.onnx")
        calibrater = _Calibrater(source, types, Path(name, "augmented.onnx"), chosen)
        for batch in tqdm(images, "calibrating", unit="batch", disable=None):
            # Ranges of all batches so far are kept, and of their values none.
            calibrater.collect_data(_Reader(batch))
        save_tensors_data(calibrater.compute_data(), ranges)
        del calibrater
        with _quietly():
            quantization.quantize_static(
                source,
                quantized,
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=types,
                nodes_to_quantize=sorted(chosen),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibration_cache_path=ranges,
            )
        written = onnx.load(quantized)
        others = {one.key: one.value for one in written.metadata_props if one.key != CARD_KEY}
        onnx.helper.set_model_props(written, {**others, CARD_KEY: card.to_json()})
        onnx.save(written, str(temporary))
    return floats


def _nodes(model: onnx.ModelProto) -> list[Node]:
    constants = {one.name for one in model.graph.initializer}
    producers = {output: node.name for node in model.graph.node for output in node.output}
    nodes = []
    for node in model.graph.node:
        kind = _KINDS.get(node.op_type, "other")
        inputs, weights = list(node.input), ""
        if kind in ("convolution", "linear"):
            weights = node.input[1]
            if weights not in constants:
                kind = "other"
            else:
                inputs = inputs[:1]
        elif node.op_type in _OF_ONE_INPUT:
            inputs = inputs[:1]
        nodes.append(Node(node.name, kind, tuple(producers[one] for one in inputs if one in producers), weights))
    return nodes


class _Calibrater(quantization.MinMaxCalibrater):
    """onnxruntime's, of the tensors of the chosen nodes alone: what an NMS leaves nothing of has no range."""

    def __init__(self, source: Path, types: list[str], augmented: Path, chosen: set[str]) -> None:
        super().__init__(source, types, augmented)
        self._chosen = chosen
        self.augment_graph()
        self.create_inference_session()

    def select_tensors_to_calibrate(self, model: onnx.ModelProto) -> tuple[set[str], dict[str, Any]]:
        tensors, infos = super().select_tensors_to_calibrate(model)
        used = {name for node in model.graph.node if node.name in self._chosen for name in (*node.input, *node.output)}
        return tensors & used, infos


class _Reader(quantization.CalibrationDataReader):
    """One batch, as onnxruntime asks for it."""

    def __init__(self, batch: np.ndarray) -> None:
        self._batches = iter([{INPUT_NAME: batch}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


class _quietly:  # noqa: N801, a context
    """A context without the advice that the quantiser logs, to optimise the graph first, which the export has done."""

    def __enter__(self) -> None:
        logging.getLogger().addFilter(self._none)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeFilter(self._none)

    @staticmethod
    def _none(record: logging.LogRecord) -> bool:
        return "pre-processing" not in record.getMessage()
