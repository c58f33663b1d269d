"""Writing a graph as an ONNX file, by PyTorch's current exporter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..atomic import atomic_path
from ..errors import ConfigError, shown
from ..predict.graph_outputs import INPUT_NAME
from ..predict.model_card import CARD_KEY
from .graph import ExportGraph
from .program import RESIZED_NAME, exported_in_two, exported_program, is_in_two

# What a file of one piece may have.
_MOST_BYTES = 2**31 - 1


def write_onnx(graph: ExportGraph, path: Path, opset: int | None = None) -> None:
    """Writes ``graph`` to ``path``, its card among the file's metadata; ``opset`` None is what PyTorch takes.

    Raises:
        ConfigError: the model cannot be written by the operators of that opset.
        OutputError: the file cannot be written.
    """
    import onnx

    if is_in_two(graph):
        resize, rest = exported_in_two(graph)
        model = _joined(
            _translated(graph, resize, (INPUT_NAME,), (RESIZED_NAME,), opset),
            _translated(graph, rest, (RESIZED_NAME, INPUT_NAME), graph.outputs, opset),
        )
    else:
        model = _translated(graph, exported_program(graph), (INPUT_NAME,), graph.outputs, opset)
    model.metadata_props.add(key=CARD_KEY, value=graph.card.to_json())
    if model.ByteSize() > _MOST_BYTES:
        raise ConfigError("The model has more than 2 GB, which no ONNX file of one piece can have; take --to openvino.")
    with atomic_path(path) as temporary:
        onnx.save(model, str(temporary))


def _translated(
    graph: ExportGraph,
    program: torch.export.ExportedProgram,
    inputs: Sequence[str],
    outputs: Sequence[str],
    opset: int | None,
) -> Any:  # noqa: ANN401, onnx.ModelProto
    try:
        written = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=opset,
            input_names=[*inputs],
            output_names=[*outputs],
            verbose=False,
        )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ConfigError(
            f"PyTorch's exporter cannot write {type(graph.model).__name__} as ONNX of opset {opset or 'by default'} "
            f"({shown(error)}); try another --opset or another format."
        ) from error
    assert written is not None, "by dynamo it returns the program"
    model = written.model_proto
    import onnx

    # It goes on with what it can where not all becomes of that opset, and says so in a log alone.
    try:
        onnx.checker.check_model(model)
        problem = "" if opset is None else _another_opset(model, opset)
    except (onnx.checker.ValidationError, ValueError) as error:
        problem = shown(error)
    if problem:
        raise ConfigError(
            f"PyTorch's exporter cannot write {type(graph.model).__name__} as ONNX of opset {opset or 'by default'} "
            f"({problem}); leave --opset out, or take another format."
        )
    return model


def _another_opset(model: Any, opset: int) -> str:  # noqa: ANN401, onnx.ModelProto
    found = [one.version for one in model.opset_import if not one.domain]
    return "" if found == [opset] else f"it is of {found}"


def _joined(resize: Any, rest: Any) -> Any:  # noqa: ANN401, onnx.ModelProto
    """One graph of the resize and of what takes both its output and its input."""
    from onnx.compose import add_prefix

    first = add_prefix(resize, "resize/", rename_inputs=False, rename_outputs=False).graph
    graph = rest.graph
    nodes = [*first.node, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(first.initializer)
    inputs = [one for one in graph.input if one.name != RESIZED_NAME]
    del graph.input[:]
    graph.input.extend(inputs)
    return rest
