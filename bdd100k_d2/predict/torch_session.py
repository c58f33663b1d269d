"""TorchScript files and exported programs, run by PyTorch alone."""

import warnings
import zipfile
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
        _check_whole(path)
        try:
            with warnings.catch_warnings():
                # Of TorchScript, that it will not be there for ever.
                warnings.simplefilter("ignore", FutureWarning)
                self._graph = load(path, extra)
        # What another version of PyTorch, or another program, has written may raise anything.
        except Exception as error:
            raise WeightsError(
                f"{path}: PyTorch {torch.__version__} cannot load it ({shown(error)}); export the model again, by this "
                "version of PyTorch."
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


def _check_whole(path: Path) -> None:
    """Raises WeightsError unless the file is whole: both kinds are zips, whose parts have checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    # A damaged header may raise others than its own.
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise WeightsError(f"{path}: PyTorch cannot load it ({shown(error)}); copy it again.") from error
    if damaged is not None:
        raise WeightsError(f"{path}: PyTorch cannot load it ({shown(damaged)} in it is damaged); copy it again.")


def _load_torchscript(path: Path, extra: dict[str, Any]) -> Callable[[torch.Tensor], Any]:
    graph: Callable[[torch.Tensor], Any] = torch.jit.load(path, map_location="cpu", _extra_files=extra).eval()
    return graph


def _load_program(path: Path, extra: dict[str, Any]) -> Callable[[torch.Tensor], Any]:
    return torch.export.load(path, extra_files=extra).module()
