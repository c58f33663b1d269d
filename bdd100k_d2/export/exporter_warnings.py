"""What PyTorch's exporters say of their own parts and of what is known to be right, which tells a user nothing."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Of values that a trace keeps: in these libraries the right ones, as tests find that run traces on other images. What
# a class of a user's own does is still said.
_TRACED = r"(torch|torchvision|timm|fvcore|detectron2|bdd100k_d2)(\.|$)"
_DEPRECATED = (r"`torch\.jit\.\w+` is deprecated", r"`create_unbacked_symint` is deprecated")

# Of attributes without values, once each, for which the right type is taken.
_LOGGER = "onnx_ir._convenience"
_LOGGED = "Attribute type is ambiguous because it is an empty sequence"


@contextmanager
def without_exporter_warnings() -> Iterator[None]:
    """A context in which these alone are not said; all other warnings are."""
    logger = logging.getLogger(_LOGGER)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning, module=_TRACED)
        for message in _DEPRECATED:
            warnings.filterwarnings("ignore", message, FutureWarning)
        logger.addFilter(_is_of_use)
        try:
            yield
        finally:
            logger.removeFilter(_is_of_use)


def _is_of_use(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_LOGGED)
