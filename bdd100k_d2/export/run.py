"""Exporting a model: a config with weights -> a file of one of the formats."""

from collections.abc import Callable
from pathlib import Path

from detectron2.config import CfgNode

from ..checkpoint.published import local_path
from ..errors import ConfigError, OutputError, did_you_mean
from ..inside import refuse_overwriting
from .graph import ExportGraph

_Write = Callable[[ExportGraph, Path, int | None], None]


def _write_onnx(graph: ExportGraph, path: Path, opset: int | None) -> None:
    from .onnx_file import write_onnx

    write_onnx(graph, path, opset)


_FORMATS: dict[str, tuple[str, _Write]] = {"onnx": (".onnx", _write_onnx)}
"""By the name of a format the ending of its files, and the function that writes one."""


def export_model(
    cfg: CfgNode,
    to: str,
    out: Path,
    *,
    size: tuple[int, int] | None = (720, 1280),
    batch: int | None = 1,
    opset: int | None = None,
    config: Path | None = None,
    overwrite: bool = False,
) -> ExportGraph:
    """Writes the model of ``cfg`` to ``out``; returns its graph.

    Args:
        cfg: a config with ``MODEL.WEIGHTS``.
        to: "onnx".
        out: the file, with the ending of the format.
        size: height and width of the images that it takes; None for any.
        batch: how many images it takes at a time; None for any number.
        opset: of ONNX; None for PyTorch's choice.
        config: the file that ``cfg`` is of.
        overwrite: replace ``out`` where it exists.

    Raises:
        ConfigError: the model cannot be exported so, or a package that is needed is not installed.
        WeightsError: the weights cannot be loaded, or are not of this model.
        OutputError: ``out`` exists, or cannot be written.
    """
    if to not in _FORMATS:
        hint = did_you_mean(to, _FORMATS)
        raise ConfigError(f"--to {to}: there are {', '.join(_FORMATS)}.{hint and f' {hint}'}")
    ending, write = _FORMATS[to]
    if opset is not None and to != "onnx":
        raise ConfigError(f"--opset {opset}: only ONNX has opsets; leave it out for {to}.")
    if out.suffix != ending:
        raise OutputError(f"{out}: a file of {to} ends in {ending}, by which it is known; give such a name.")
    weights = [Path(local_path(cfg.MODEL.WEIGHTS))] if cfg.MODEL.WEIGHTS else []
    refuse_overwriting(out, [*weights, *([config] if config else [])])
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: exists; choose another file, or replace it with --overwrite.")
    graph = ExportGraph(cfg, size=size, batch=batch, config=str(config or ""))
    write(graph, out, opset)
    return graph
