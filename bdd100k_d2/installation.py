"""What is said where a part of the package is asked for that needs more than is installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import MissingRuntimeError

_OWN = __name__.partition(".")[0]


@contextmanager
def needs_detectron2(what: str) -> Iterator[None]:
    """A context that imports PyTorch and Detectron2; MissingRuntimeError, which begins with ``what``, without them."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == _OWN:
            raise
        raise MissingRuntimeError(
            f"{what} needs PyTorch and Detectron2, and {error.name} is not installed; README.md says how to install "
            "all of it. Without them model files are predicted, ONNX and OpenVINO: Predictor, tools/predict.py --model."
        ) from error
