"""Exporting a model: a config with weights -> a file of one of the formats."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from detectron2.config import CfgNode

from ..atomic import check_out_file
from ..checkpoint.published import local_path
from ..errors import ConfigError, OutputError, did_you_mean
from ..inside import refuse_overwriting
from .calibration import Calibration, CalibrationImages
from .graph import ExportGraph
from .packages import needs
from .quantize import quantize
from .readme import readme_path, write_readme
from .torch_files import write_exported_program, write_torchscript

logger = logging.getLogger(__name__)

_QUANTIZED = ("onnx", "openvino")

_Write = Callable[[ExportGraph, Path, int | None], None]


def _write_onnx(graph: ExportGraph, path: Path, opset: int | None) -> None:
    from .onnx_file import write_onnx

    write_onnx(graph, path, opset)


def _write_openvino(graph: ExportGraph, path: Path, opset: int | None, half: bool = False) -> None:
    with needs("openvino"):
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


_FORMATS: dict[str, tuple[str, _Write]] = {
    "onnx": (".onnx", _write_onnx),
    "openvino": (".xml", _write_openvino),
    "torchscript": (".torchscript", _write_torchscript),
    "torch-export": (".pt2", _write_exported_program),
}
"""By the name of a format the ending of its files, and the function that writes one."""


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
    if to not in _FORMATS:
        hint = did_you_mean(to, _FORMATS)
        raise ConfigError(f"--to {to}: there are {', '.join(_FORMATS)}.{hint and f' {hint}'}")
    ending, write = _FORMATS[to]
    if opset is not None and to not in ("onnx", "openvino"):
        raise ConfigError(f"--opset {opset}: only ONNX, of which OpenVINO's files are made, has opsets; leave it out.")
    if half and (to != "openvino" or int8 is not None):
        raise ConfigError("--fp16: is of --to openvino without --int8; leave it out.")
    if int8 is not None and to not in _QUANTIZED:
        raise ConfigError(f"--int8: only {' and '.join(_QUANTIZED)} are quantised; leave it out for {to}.")
    if out.suffix != ending:
        raise OutputError(f"{out}: a file of {to} ends in {ending}, by which it is known; give such a name.")
    weights = [Path(local_path(cfg.MODEL.WEIGHTS))] if cfg.MODEL.WEIGHTS else []
    refuse_overwriting(out, [*weights, *([config] if config else [])])
    for path in (out, readme_path(out), *([out.with_suffix(".bin")] if to == "openvino" else [])):
        check_out_file(path)
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists; choose another --out, or replace it with --overwrite.")
    images = int8.images(size, batch) if int8 is not None else None
    graph = ExportGraph(cfg, size=size, batch=batch, config=str(config or ""))
    if int8 is not None and images is not None:
        _write_int8(graph, out, opset, images, int8.kept)
    elif half:
        _write_openvino(graph, out, opset, half=True)
    else:
        write(graph, out, opset)
    write_readme(out, graph.card)
    return graph
