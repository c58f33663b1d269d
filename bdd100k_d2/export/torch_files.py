"""Writing a graph as a file that PyTorch runs without this package: TorchScript, or a program of `torch.export`."""

from pathlib import Path

import torch

from ..atomic import atomic_path
from ..errors import ConfigError, shown
from ..predict.model_card import CARD_KEY
from .graph import ExportGraph
from .program import exported_program


def write_torchscript(graph: ExportGraph, path: Path) -> None:
    """Writes ``graph``, traced, to ``path``, its card among the extra files.

    Raises:
        ConfigError: the model cannot be traced.
        OutputError: the file cannot be written.
    """
    try:
        with torch.no_grad():
            # Results are compared by tests; here that would cost two more runs.
            traced = torch.jit.trace(graph, (graph.example(),), check_trace=False)
    except RuntimeError as error:
        raise ConfigError(
            f"PyTorch cannot trace {type(graph.model).__name__} ({shown(error)}); take another format."
        ) from error
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.jit.save(traced, file, _extra_files={CARD_KEY: graph.card.to_json()})


def write_exported_program(graph: ExportGraph, path: Path) -> None:
    """Writes ``graph`` as `torch.export` traces it to ``path``, its card among the extra files; raises as above."""
    program = exported_program(graph)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.export.save(program, file, extra_files={CARD_KEY: graph.card.to_json()})
