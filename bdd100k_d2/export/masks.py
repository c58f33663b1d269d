"""The masks of detections, in their frames."""

import torch
from detectron2.modeling.roi_heads import StandardROIHeads
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from .roi_heads import pool


def find_masks(
    heads: StandardROIHeads, features: dict[str, Tensor], boxes: Tensor, classes: Tensor, images: Tensor
) -> Tensor:
    """Probabilities (D, side, side) of the masks in ``boxes`` (D, 4) of ``classes`` (D,) in ``images`` (D,)."""
    # One box more than there are: with none layers and their runtimes fail.
    boxes = torch.cat([boxes, boxes.new_tensor([[0.0, 0.0, 1.0, 1.0]])])
    classes, images = F.pad(classes, (0, 1)), F.pad(images, (0, 1))
    pooled = pool(heads.mask_pooler, [features[name] for name in heads.mask_in_features], boxes, images)
    # A cascade has a head for each stage; see `modeling.cascade_mask_heads`.
    stages = heads.mask_head if isinstance(heads.mask_head, nn.ModuleList) else [heads.mask_head]
    masks = torch.stack([head.layers(pooled).sigmoid() for head in stages]).mean(dim=0)
    if masks.shape[1] == 1:
        return masks[:-1, 0]
    return masks[torch.arange(classes.shape[0], device=classes.device), classes][:-1]


def paste_masks(masks: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Whether each pixel of the frame is in each mask, (D, H, W), of probabilities (D, side, side) within ``boxes``.

    It is Detectron2's `paste_masks_in_image`, bilinear with zeros outside, as two products of matrices.
    """
    left, top, right, bottom = boxes.unbind(dim=1)
    rows = _weights(top, bottom, height, masks.shape[1])
    columns = _weights(left, right, width, masks.shape[2])
    pasted: Tensor = (rows @ masks @ columns.transpose(1, 2)) >= 0.5
    return pasted


def _weights(start: Tensor, end: Tensor, length: int, side: int) -> Tensor:
    """How much each of a mask's ``side`` rows is in each of the ``length`` rows of the frame: (D, length, side)."""
    pixels = torch.arange(length, device=start.device, dtype=start.dtype) + 0.5
    places = (pixels - start[:, None]) / (end - start)[:, None] * side - 0.5
    cells = torch.arange(side, device=start.device, dtype=start.dtype)
    return (1 - (places[..., None] - cells).abs()).clamp(min=0)
