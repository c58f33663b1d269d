"""Exporting a model: a config with weights -> a file of one of the formats."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from detectron2.config import CfgNode

from ..predict.model_formats import ONNX, OPENVINO, TORCH_EXPORT, TORCHSCRIPT, ModelFormat
from .arguments import check_export_arguments
from .calibration import Calibration, CalibrationImages
from .exporter_warnings import without_exporter_warnings
from .graph import ExportGraph
from .quantize import quantize
from .readme import write_readme
from .torch_files import write_exported_program, write_torchscript

logger = logging.getLogger(__name__)

_Write = Callable[[ExportGraph, Path, int | None], None]


def _write_onnx(graph: ExportGraph, path: Path, opset: int | None) -> None:
    from .onnx_file import write_onnx

    write_onnx(graph, path, opset)


def _write_openvino(graph: ExportGraph, path: Path, opset: int | None, half: bool = False) -> None:
    from .openvino_file import write_openvino

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "graph.onnx")
        _write_onnx(graph, source, opset)
        card = msgspec.structs.replace(graph.card, precision="float16") if half else graph.card
        write_openvino(source, path, card, half)


def _write_int8(
    graph: ExportGraph, path: Path, opset: int | None, images: CalibrationImages, kept: tuple[str, ...]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "graph.onnx")
        _write_onnx(graph, source, opset)
        floats = quantize(source, path, graph.card, images, kept)
    if floats:
        logger.info("%d layers stay in float: %s", len(floats), ", ".join(floats))


def _write_torchscript(graph: ExportGraph, path: Path, opset: int | None) -> None:
    write_torchscript(graph, path)


def _write_exported_program(graph: ExportGraph, path: Path, opset: int | None) -> None:
    write_exported_program(graph, path)


_WRITERS: dict[ModelFormat, _Write] = {
    ONNX: _write_onnx,
    OPENVINO: _write_openvino,
    TORCHSCRIPT: _write_torchscript,
    TORCH_EXPORT: _write_exported_program,
}


def export_model(
    cfg: CfgNode,
    to: str,
    out: Path,
    *,
    size: tuple[int, int] | None = (720, 1280),
    batch: int | None = 1,
    opset: int | None = None,
    half: bool = False,
    int8: Calibration | None = None,
    config: Path | None = None,
    overwrite: bool = False,
) -> ExportGraph:
    """Writes the model of ``cfg`` to ``out``, and how it is run to the README.txt beside it; returns its graph.

    Args:
        cfg: a config with ``MODEL.WEIGHTS``.
        to: "onnx", "openvino", "torchscript" or "torch-export".
        out: the file, with the ending of the format.
        size: height and width of the images that it takes; None for any.
        batch: how many images it takes at a time; None for any number.
        opset: of ONNX; None for PyTorch's choice.
        half: weights in float16; of OpenVINO.
        int8: how to quantise the model after training; None leaves it in float. Of ONNX and OpenVINO.
        config: the file that ``cfg`` is of.
        overwrite: replace ``out`` where it exists.

    Raises:
        ConfigError: the model cannot be exported so, or a package that is needed is not installed.
        DataError: the images of ``int8`` cannot be used.
        WeightsError: the weights cannot be loaded, or are not of this model.
        OutputError: ``out`` exists, or cannot be written.
    """
    model_format = check_export_arguments(
        cfg,
        to,
        out,
        size=size,
        batch=batch,
        opset=opset,
        half=half,
        int8=int8 is not None,
        config=config,
        overwrite=overwrite,
    )
    images = int8.images(size, batch) if int8 is not None else None
    graph = ExportGraph(cfg, size=size, batch=batch, config=str(config or ""))
    with without_exporter_warnings():
        if int8 is not None and images is not None:
            _write_int8(graph, out, opset, images, int8.kept)
        elif half:
            _write_openvino(graph, out, opset, half=True)
        else:
            _WRITERS[model_format](graph, out, opset)
    precision = "int8" if int8 is not None else "float16" if half else "float32"
    write_readme(out, msgspec.structs.replace(graph.card, precision=precision))
    return graph
