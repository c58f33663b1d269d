"""TorchScript files and exported programs, run by PyTorch alone."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from ..errors import ConfigError, WeightsError, shown
from .model_card import CARD_KEY

# The files call its operators, which its import makes known.
_OPERATORS = torchvision.ops.nms

_Load = Callable[[Path, dict[str, Any]], Callable[[torch.Tensor], Any]]


class TorchSession:
    """A graph that PyTorch runs on the CPU; its outputs are named, or in their order; see `model_file.Session`."""

    input_type: str | None = None
    input_shape: tuple[int | None, ...] = ()
    outputs: tuple[str, ...] | None = None

    def __init__(self, path: Path, threads: int | None, amp: bool, load: _Load) -> None:
        if amp:
            raise ConfigError(f"{path}: PyTorch computes in the precision of the file; leave --amp out.")
        if threads is not None:
            torch.set_num_threads(threads)
        extra: dict[str, Any] = {CARD_KEY: ""}
        try:
            self._graph = load(path, extra)
        # What a damaged file raises depends on the place of the damage.
        except Exception as error:
            raise WeightsError(
                f"{path}: PyTorch {torch.__version__} cannot load it ({shown(error)}); copy it again, or export the "
                "model again, by this version of PyTorch."
            ) from error
        text = extra[CARD_KEY]
        self.card: str | None = (text.decode() if isinstance(text, bytes) else text) or None

    def run(self, images: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """As `model_file.Session` says."""
        with torch.inference_mode():
            found = self._graph(torch.from_numpy(images))
        if isinstance(found, Mapping):
            found = [found[name] for name in names]
        elif isinstance(found, torch.Tensor):
            found = [found]
        return [one.numpy() for _, one in zip(names, found, strict=True)]


class TorchScriptSession(TorchSession):
    """A ``.torchscript`` file."""

    def __init__(self, path: Path, threads: int | None, amp: bool) -> None:
        super().__init__(path, threads, amp, _load_torchscript)


class ExportedProgramSession(TorchSession):
    """A ``.pt2`` file of `torch.export`."""

    def __init__(self, path: Path, threads: int | None, amp: bool) -> None:
        super().__init__(path, threads, amp, _load_program)


def _load_torchscript(path: Path, extra: dict[str, Any]) -> Callable[[torch.Tensor], Any]:
    graph: Callable[[torch.Tensor], Any] = torch.jit.load(path, map_location="cpu", _extra_files=extra).eval()
    return graph


def _load_program(path: Path, extra: dict[str, Any]) -> Callable[[torch.Tensor], Any]:
    return torch.export.load(path, extra_files=extra).module()
