"""What PyTorch's exporter makes of a graph."""

import torch
from torch import Tensor, nn

from ..errors import ConfigError, shown
from ..modeling.window_attention import WindowAttention
from ..predict.graph_outputs import INPUT_NAME
from .graph import ExportGraph, predict_resized

RESIZED_NAME = "resized"


def exported_program(graph: ExportGraph) -> torch.export.ExportedProgram:
    """The graph as a program of `torch.export`; ConfigError where it can make none."""
    return _exported(graph, graph, (graph.example(),), (INPUT_NAME,))


def exported_in_two(graph: ExportGraph) -> tuple[torch.export.ExportedProgram, torch.export.ExportedProgram]:
    """INPUT's resize, and the rest of the graph, which takes what was resized and the images, as two programs."""
    image = graph.example()
    resize = _exported(graph, graph.resize, (image,), (INPUT_NAME,))
    # Sides that have nothing to do with those of the images.
    rest = _exported(
        graph, _OfResized(graph), (graph.example()[:, 8:, 16:].contiguous().float(), image), (RESIZED_NAME, INPUT_NAME)
    )
    return resize, rest


def is_in_two(graph: ExportGraph) -> bool:
    """Whether the resize computes sizes that are too involved to be followed through the model."""
    return graph.size is None and not isinstance(graph.resize, nn.Identity)


class _OfResized(nn.Module):
    def __init__(self, graph: ExportGraph) -> None:
        super().__init__()
        self.model = graph.model
        self.is_bgr = graph.is_bgr

    def forward(self, resized: Tensor, image: Tensor) -> tuple[Tensor, ...]:
        # Its parts have the names that they have in the whole graph.
        return tuple(predict_resized(self.model, self.is_bgr, resized, image).values())


def _exported(
    graph: ExportGraph, module: nn.Module, inputs: tuple[Tensor, ...], names: tuple[str, ...]
) -> torch.export.ExportedProgram:
    if graph.size is None and any(isinstance(part, WindowAttention) for part in module.modules()):
        raise ConfigError(
            "--size dynamic: torch.export does not come to an end with the windows of a Swin in images of any size; "
            "give the size of the images, as --size 720x1280, or export to torchscript."
        )
    dynamic = torch.export.Dim.DYNAMIC
    shape = {i: dynamic for i, known in ((0, graph.batch), (1, graph.size), (2, graph.size)) if known is None}
    try:
        with torch.no_grad():
            program = torch.export.export(
                module.eval(),
                inputs,
                dynamic_shapes=dict.fromkeys(names, shape),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    # What its many parts raise has no class in common but this.
    except Exception as error:
        raise ConfigError(
            f"torch.export cannot trace {type(graph.model).__name__} ({shown(error)}); give --size and --batch as "
            "numbers where they are dynamic, or another format."
        ) from error
    _leave_out_asserts(program)
    return program


def _leave_out_asserts(program: torch.export.ExportedProgram) -> None:
    """Takes out what must hold of the size that was traced alone, as that maps have gaps in memory, in place.

    What an operator cannot take it refuses itself.
    """
    nodes = program.graph_module.graph
    for node in [*nodes.nodes]:
        if node.target is torch.ops.aten._assert_scalar.default:
            nodes.erase_node(node)
    nodes.eliminate_dead_code()
    program.graph_module.recompile()
