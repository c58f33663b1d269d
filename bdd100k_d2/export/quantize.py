"""Quantisation after training (INT8): a graph in single precision and calibration images -> a file in 8 bits."""

from collections.abc import Collection
from pathlib import Path

import msgspec

from ..predict.model_card import ModelCard
from .calibration import CalibrationImages


def quantize(
    source: Path, out: Path, card: ModelCard, images: CalibrationImages, kept: Collection[str] = ()
) -> list[str]:
    """Writes the graph of an ONNX file in single precision with its layers in 8 bits.

    Layers with weights, and what lies between them, are quantised; resizing, normalisation, anchors, boxes, NMS and the
    last resize of logits stay in float. ``.onnx`` is made by onnxruntime's static quantiser, ``.xml`` by NNCF.

    Args:
        source: the ONNX file.
        out: the file to write, whose ending says for which runtime.
        card: of ``source``; that of ``out`` says "int8".
        images: to measure the ranges of activations on.
        kept: parts of the model that stay in float, as ``roi_heads.box_predictor``.

    Returns:
        The weights of the layers that stay in float.

    Raises:
        ConfigError: the graph has no layers, no part of that name, or OpenVINO cannot take it.
        OutputError: the file cannot be written.
    """
    card = msgspec.structs.replace(card, precision="int8")
    if out.suffix == ".xml":
        from .quantize_openvino import quantize_openvino

        return quantize_openvino(source, out, card, images, kept)
    from .quantize_onnx import quantize_onnx

    return quantize_onnx(source, out, card, images, kept)
