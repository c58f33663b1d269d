"""What Detectron2's models do to images before their backbones."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses


def prepared(model: Any, images: Tensor) -> Tensor:  # noqa: ANN401, a model of Detectron2
    """What Detectron2's `preprocess_image` makes of images of one size."""
    normalised: Tensor = (images - model.pixel_mean) / model.pixel_std
    divisor = model.backbone.size_divisibility
    if divisor <= 1:
        return normalised
    h, w = images.shape[2:]
    # Not of negative numbers, whose quotients some runtimes round towards zero.
    bottom, right = ((side + divisor - 1) // divisor * divisor - side for side in (h, w))
    return F.pad(normalised, (0, right, 0, bottom))
