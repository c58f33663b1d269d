"""Files of OpenVINO's intermediate representation (IR): the graph in ``.xml``, its weights in ``.bin`` beside it."""

import tempfile
from pathlib import Path
from typing import Any

from ..atomic import check_writable, file_digest, output_errors
from ..errors import ConfigError, shown
from ..predict.model_card import CARD_KEY, ModelCard
from ..predict.openvino_session import BIN_KEY, import_openvino, openvino_core


def read_onnx(source: Path) -> Any:  # noqa: ANN401, openvino.Model
    """The graph of an ONNX file as OpenVINO's `Model`.

    Raises:
        ConfigError: OpenVINO cannot take an operator of it, or would compute it otherwise.
    """
    openvino = import_openvino()
    try:
        model = openvino_core().read_model(source)
    except RuntimeError as error:
        raise ConfigError(
            f"OpenVINO {openvino.__version__} cannot take the graph ({shown(error)}); export with --to onnx."
        ) from error
    for node in model.get_ops():
        if node.get_type_name() == "Interpolate" and node.get_attributes().get("antialias"):
            # Its CPU plugin leaves that out without a word.
            raise ConfigError(
                f"OpenVINO {openvino.__version__} resizes without antialiasing, which the graph asks for at "
                f"{shown(node.get_friendly_name())}; export with --to onnx."
            )
    return model


def write_openvino(source: Path, out: Path, card: ModelCard, half: bool = False) -> None:
    """Writes the graph of an ONNX file as ``out`` and the ``.bin`` beside it, with ``card`` in its rt_info.

    With ``half`` the weights are in float16, which halves the file; what is computed in, the runtime says.

    Raises:
        ConfigError: OpenVINO cannot take the graph.
        OutputError: the files cannot be written.
    """
    save_openvino(read_onnx(source), out, card, half)


def save_openvino(model: Any, out: Path, card: ModelCard, half: bool = False) -> None:  # noqa: ANN401, openvino.Model
    """Writes OpenVINO's ``model`` as :func:`write_openvino` does."""
    openvino = import_openvino()
    model.set_rt_info(card.to_json(), CARD_KEY)
    weights = out.with_suffix(".bin")
    check_writable(out.parent, "choose another place")
    with output_errors(out), tempfile.TemporaryDirectory(prefix=f".{out.stem[:100]}.", dir=out.parent) as name:
        written = Path(name, out.name)
        openvino.save_model(model, written, compress_to_fp16=half)
        # The graph says which weights are its own, and they are known when they are written.
        model.set_rt_info(file_digest(written.with_suffix(".bin")), BIN_KEY)
        openvino.save_model(model, written, compress_to_fp16=half)
        # The graph comes last: it is what is asked for.
        written.with_suffix(".bin").replace(weights)
        written.replace(out)
