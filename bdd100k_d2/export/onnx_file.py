"""Writing a graph as an ONNX file, by PyTorch's current exporter."""

from pathlib import Path

import torch

from ..atomic import atomic_path
from ..errors import ConfigError, shown
from ..predict.graph_outputs import INPUT_NAME
from ..predict.model_card import CARD_KEY
from .graph import ExportGraph, exported_program
from .packages import needs

# The oldest operators that the exporter writes, and what a file of one piece may have.
_OLDEST_OPSET = 18
_MOST_BYTES = 2**31 - 1


def write_onnx(graph: ExportGraph, path: Path, opset: int | None = None) -> None:
    """Writes ``graph`` to ``path``, its card among the file's metadata; ``opset`` None is what PyTorch takes.

    Raises:
        ConfigError: a package is missing, there is no such opset, or the model cannot be written by its operators.
        OutputError: the file cannot be written.
    """
    with needs("onnx", "onnxscript"):
        import onnx
        import onnxscript  # noqa: F401, PyTorch's exporter needs it
    newest = onnx.defs.onnx_opset_version()
    if opset is not None and not _OLDEST_OPSET <= opset <= newest:
        raise ConfigError(f"--opset {opset}: PyTorch and onnx {onnx.__version__} write {_OLDEST_OPSET} to {newest}.")
    program = exported_program(graph)
    try:
        written = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=opset,
            input_names=[INPUT_NAME],
            output_names=[*graph.outputs],
            verbose=False,
        )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ConfigError(
            f"PyTorch's exporter cannot write {type(graph.model).__name__} as ONNX of opset {opset or 'by default'} "
            f"({shown(error)}); try another --opset or another format."
        ) from error
    model = written.model_proto
    model.metadata_props.add(key=CARD_KEY, value=graph.card.to_json())
    if model.ByteSize() > _MOST_BYTES:
        raise ConfigError("The model has more than 2 GB, which no ONNX file of one piece can have; take --to openvino.")
    with atomic_path(path) as temporary:
        onnx.save(model, str(temporary))
