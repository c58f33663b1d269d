"""Which ConvNeXt or Swin a file holds, and whether the model that it is loaded into is that one."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import nn

from ..errors import WeightsError
from ..modeling.torchvision_backbone import ARCHITECTURES, TorchvisionBackbone

logger = logging.getLogger(__name__)

# The key of a converted checkpoint that says with which epsilon ConvNeXt's downsampling norms were trained.
EPS_KEY = "downsample_eps"
_TITLES = {architecture.title: name for name, architecture in ARCHITECTURES.items()}


def title_of(state: Mapping[str, Any]) -> str | None:
    """What a state dict by Detectron2's names holds, such as "ConvNeXt-T"; None if neither a ConvNeXt nor a Swin."""
    stem = next((key for key in state if key.endswith("features.0.0.weight")), None)
    if stem is None:
        return None
    prefix = stem.removesuffix("0.0.weight")
    families = {"Swin": f"{prefix}1.0.attn.qkv.weight", "ConvNeXt": f"{prefix}1.0.block.0.weight"}
    family = next((name for name, key in families.items() if key in state), None)
    if family is None:
        return None
    channels = len(state[stem])
    third = {key.removeprefix(f"{prefix}5.").partition(".")[0] for key in state if key.startswith(f"{prefix}5.")}
    for title, name in _TITLES.items():
        one = ARCHITECTURES[name]
        if title.startswith(family) and (one.channels[0], one.blocks[2]) == (channels, len(third)):
            return title
    return f"{family} of {channels} channels with {len(third)} blocks in its third stage"


def check_architecture(state: Mapping[str, Any], model: nn.Module, path: str) -> None:
    """Raises a `WeightsError` if ``state``, read from ``path``, is of another ConvNeXt or Swin than ``model``."""
    backbone = _backbone_of(model)
    title = title_of(state)
    if backbone is None or title is None or title == backbone.architecture.title:
        return
    change = "no MODEL.TORCHVISION.NAME builds that one"
    if title in _TITLES:
        change = f"set MODEL.TORCHVISION.NAME {_TITLES[title]}"
    raise WeightsError(
        f"{path}: these weights are of a {title}, and the config builds a {backbone.architecture.title}: {change}, or "
        "give weights of the model's own size."
    )


def trained_eps(content: Mapping[str, Any]) -> float | None:
    """The epsilon of ConvNeXt's downsampling norms with which a checkpoint was trained, if it says so.

    mmcls 0.x, which mmdet 2.x and mmsegmentation 0.x took, left PyTorch's 1e-5; from mmpretrain 1.0 on it is 1e-6.
    """
    if EPS_KEY in content:
        return float(content[EPS_KEY])
    meta = content.get("meta")
    if not isinstance(meta, Mapping):
        return None
    if "mmengine_version" in meta:
        return 1e-6
    return 1e-5 if {"mmdet_version", "mmseg_version"} & meta.keys() else None


def check_eps(content: Mapping[str, Any], model: nn.Module, path: str, *, exact: bool, is_classifier: bool) -> None:
    """Compares the epsilon that a checkpoint's ConvNeXt was trained with, if it is known, with the model's.

    ImageNet weights and those to fine-tune from are used all the same, which is logged.

    Raises:
        WeightsError: they differ, and ``exact`` asks for the model that was trained.
    """
    backbone = _backbone_of(model)
    # Whoever trained a ConvNeXt on ImageNet did it with Meta's epsilon.
    eps = 1e-6 if is_classifier else trained_eps(content)
    if backbone is None or backbone.is_swin or eps is None or eps == backbone.downsample_eps:
        return
    message = (
        f"{path}: these weights were trained with an epsilon of {eps:g} in the norms before ConvNeXt's downsampling, "
        f"and MODEL.TORCHVISION.DOWNSAMPLE_EPS is {backbone.downsample_eps:g}"
    )
    if exact and not is_classifier:
        raise WeightsError(f"{message}: set it to {eps:g}.")
    logger.info("%s. The zoo's models were trained so from such weights.", message)


def _backbone_of(model: nn.Module) -> TorchvisionBackbone | None:
    return next((module for module in model.modules() if isinstance(module, TorchvisionBackbone)), None)
