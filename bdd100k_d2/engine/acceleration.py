"""What makes a model faster without changing what it computes, but for rounding."""

import torch
from detectron2.config import CfgNode
from torch import nn


def accelerate(cfg: CfgNode, model: nn.Module, amp: bool) -> nn.Module:
    """Keeps the weights of ``model`` channels last, and compiles its backbone if ``MODEL.COMPILE`` says so.

    Parameters keep their names and values, so that checkpoints are the same with it and without.

    Args:
        cfg: of the model.
        model: changed in place, too.
        amp: whether the model computes in mixed precision.
    """
    if cfg.MODEL.CHANNELS_LAST and (cfg.MODEL.DEVICE == "cpu" or amp):
        # In single precision CUDA's convolutions are not faster for it.
        model = model.to(memory_format=torch.channels_last)
    if cfg.MODEL.COMPILE:
        model.backbone.compile(dynamic=False)
    return model
