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
            f"{what} needs PyTorch and Detectron2, and {error.name} is not installed; install them with: pip "
            "install torch torchvision && python tools/install_detectron2.py (README.md says more). Model files of "
            "ONNX and OpenVINO are predicted without them: Predictor, tools/predict.py --model."
        ) from error
