"""Norms of fixed statistics as part of the convolutions before them, which saves passes over large maps."""

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_norms(model: nn.Module) -> int:
    """Multiplies the batch norms of Detectron2's `Conv2d` layers into their weights, in place.

    For prediction alone: ``model`` has to be in evaluation mode, and its state has other keys afterwards. The results
    are the same but for rounding. Norms that depend on the picture (GN, LN) stay.

    Returns:
        How many were folded.

    Raises:
        ValueError: the model is in training mode, in which batch norms depend on the batch.
    """
    if model.training:
        raise ValueError("the norms of a model that trains cannot be folded; call its eval() before.")
    count = 0
    for layer in model.modules():
        if isinstance(layer, Conv2d) and isinstance(layer.norm, _BatchNorm | FrozenBatchNorm2d):
            norm = layer.norm
            with torch.no_grad():
                layer.weight, layer.bias = fuse_conv_bn_weights(
                    layer.weight,
                    layer.bias,
                    norm.running_mean,
                    norm.running_var,
                    norm.eps,
                    norm.weight,
                    norm.bias,
                )
            layer.norm = None
            count += 1
    return count
