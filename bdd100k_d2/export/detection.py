"""A detector as a graph: from images to the detections in their frames."""

import torch
from detectron2.modeling import GeneralizedRCNN
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from .proposals import propose
from .roi_heads import Detections, detect_boxes
from .static_shapes import clipped, sides_above


def detect(model: nn.Module, images: Tensor, height: int, width: int) -> dict[str, Tensor]:
    """What ``model`` finds in a batch, in pixels of the frames.

    Args:
        model: built by Detectron2, in evaluation mode.
        images: (N, 3, h, w), 0 to 255, in the order of channels that the model takes, resized as it takes them.
        height: H, of the frames.
        width: W.

    Returns:
        ``boxes`` (D, 4), x1, y1, x2, y2, ``scores`` (D,), ``classes`` (D,) int64, and ``counts`` (N,) int64: how many
        of the D detections are of each image, of which the first's come first, best first.
    """
    size = images.shape[2:]
    features = model.backbone(_prepared(model, images))
    proposals, there = propose(model.proposal_generator, features, *size)
    found = detect_boxes(model.roi_heads, features, proposals, there, size)
    return _in_frame(found, size, (height, width))


def _prepared(model: nn.Module, images: Tensor) -> Tensor:
    """What Detectron2's `preprocess_image` makes of images of one size."""
    normalised = (images - model.pixel_mean) / model.pixel_std
    divisor = model.backbone.size_divisibility
    if divisor <= 1:
        return normalised
    h, w = images.shape[2:]
    return F.pad(normalised, (0, -w % divisor, 0, -h % divisor))


def _in_frame(detections: Detections, size: tuple[int, int], frame: tuple[int, int]) -> dict[str, Tensor]:
    """See `detectron2.modeling.postprocessing.detector_postprocess`."""
    scale_y, scale_x = (there / here for there, here in zip(frame, size, strict=True))
    x, y = detections.boxes[..., 0::2] * scale_x, detections.boxes[..., 1::2] * scale_y
    boxes = clipped(torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), dim=-1), *frame)
    found = detections.found & sides_above(boxes)
    image, place = found.nonzero().unbind(dim=1)
    return {
        "boxes": boxes[image, place],
        "scores": detections.scores[image, place],
        "classes": detections.classes[image, place],
        "counts": found.sum(dim=1),
    }
