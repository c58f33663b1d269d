"""The layout of mmdet's Panoptic FPN, whose semantic head has the class of all things last; Detectron2's is first."""

from collections.abc import Set

import torch
from torch import Tensor

from .rules import Layout

_LOGITS = "semantic_head.conv_logits"


def is_panoptic(modules: Set[str]) -> bool:
    """Whether mmdet's modules are those of a Panoptic FPN."""
    return _LOGITS in modules


def panoptic_fpn(mask_rcnn: Layout) -> Layout:
    """The layout of a Mask R-CNN, with the semantic head on P2 to P5."""
    modules = {_LOGITS: "sem_seg_head.predictor"}
    for level in range(4):
        for step in range(max(level, 1)):
            a = f"semantic_head.conv_upsample_layers.{level}.conv.{step}"
            # An upsampling follows each convolution.
            b = f"sem_seg_head.p{level + 2}.{2 * step}"
            modules |= {f"{a}.conv": b, f"{a}.gn": f"{b}.norm"}
    return mask_rcnn.extended("mmdet Panoptic FPN", modules, {_LOGITS: _things_first}, {_LOGITS: _things_last})


def _things_first(tensor: Tensor) -> Tensor:
    return torch.cat([tensor[-1:], tensor[:-1]])


def _things_last(tensor: Tensor) -> Tensor:
    return torch.cat([tensor[1:], tensor[:1]])
