"""A detector as a graph: from images to the detections in their frames."""

from typing import Any

import torch
from detectron2.modeling import GeneralizedRCNN
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.meta_arch import PanopticFPN, RetinaNet
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import BaseMaskRCNNHead, CascadeROIHeads, FastRCNNOutputLayers, StandardROIHeads
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from ..errors import ConfigError
from ..modeling.atss import ATSS
from ..modeling.box_losses import FocalOutputLayers
from ..modeling.cascade_mask_heads import BDD100KCascadeMaskROIHeads
from ..modeling.retinanet import BDD100KRetinaNet
from ..modeling.roi_heads import (
    BDD100KCascadeROIHeads,
    BDD100KROIHeads,
    OneNMSFocalOutputLayers,
    OneNMSOutputLayers,
)
from ..modeling.rpn import BDD100KRPN
from .dense import detect_densely
from .known_parts import check_parts
from .masks import find_masks, paste_masks
from .preprocessing import prepared
from .proposals import propose
from .roi_heads import DetectionSlots, detect_boxes
from .static_shapes import clipped, sides_above

# What is written out here does not follow what a class that derives from these does otherwise.
_MODELS = (GeneralizedRCNN, PanopticFPN, RetinaNet, BDD100KRetinaNet, ATSS)
_PROPOSERS = (RPN, BDD100KRPN)
_HEADS = (StandardROIHeads, CascadeROIHeads, BDD100KROIHeads, BDD100KCascadeROIHeads, BDD100KCascadeMaskROIHeads)
_PREDICTORS = (FastRCNNOutputLayers, OneNMSOutputLayers, FocalOutputLayers, OneNMSFocalOutputLayers)


def detect(
    model: Any,  # noqa: ANN401, any of `_MODELS`, whose parts have no types
    images: Tensor,
    height: int,
    width: int,
) -> dict[str, Tensor]:
    """What ``model`` finds in a batch, in pixels of the frames.

    Args:
        model: built by Detectron2, in evaluation mode; see `check_detector`.
        images: (N, 3, h, w), 0 to 255, in the order of channels that the model takes, resized as it takes them.
        height: H, of the frames.
        width: W.

    Returns:
        ``boxes`` (D, 4), x1, y1, x2, y2, ``scores`` (D,), ``classes`` (D,) int64, and ``counts`` (N,) int64: how many
        of the D detections are of each image, of which the first's come first, best first. Of a model with masks also
        ``masks`` (D, H, W) bool, and of a panoptic one ``sem_seg`` (N, H, W) uint8, the ids of its semantic head.
    """
    size, frame = (images.shape[2], images.shape[3]), (height, width)
    features = model.backbone(prepared(model, images))
    if isinstance(model, RetinaNet | ATSS):
        return _in_frame(detect_densely(model, features, size), size, frame)[0]
    heads = model.roi_heads
    proposals, there = propose(model.proposal_generator, features, *size)
    detections = detect_boxes(heads, features, proposals, there, size)
    outputs, (image, place) = _in_frame(detections, size, frame)
    if heads.mask_on:
        masks = find_masks(heads, features, detections.boxes[image, place], outputs["classes"], image)
        outputs["masks"] = paste_masks(masks, outputs["boxes"], *frame)
    if isinstance(model, PanopticFPN):
        outputs["sem_seg"] = _segmented(model, features, size, frame)
    return outputs


def check_detector(model: nn.Module) -> None:
    """ConfigError if ``model`` is of a kind whose detections `detect` would not compute as it does."""
    check_parts(("META_ARCHITECTURE", model, _MODELS))
    generator = getattr(model, "anchor_generator", None)
    if isinstance(model, GeneralizedRCNN):
        generator = getattr(model.proposal_generator, "anchor_generator", None)
        check_parts(
            ("PROPOSAL_GENERATOR.NAME", model.proposal_generator, _PROPOSERS),
            ("ROI_HEADS.NAME", model.roi_heads, _HEADS),
        )
        _check_heads(model.roi_heads)
    check_parts(("ANCHOR_GENERATOR.NAME", generator, (DefaultAnchorGenerator,)))


def _check_heads(heads: StandardROIHeads) -> None:
    if heads.keypoint_on:
        raise ConfigError("MODEL.KEYPOINT_ON is True; key points cannot be exported.")
    # The layers of these heads are called; how their results are chosen, pooled and cut out is written out.
    check_parts(
        *(("ROI_HEADS.NAME's box predictor", one, _PREDICTORS) for one in _of_stages(heads.box_predictor)),
        ("ROI_BOX_HEAD.POOLER_TYPE", heads.box_pooler, (ROIPooler,)),
    )
    if not heads.mask_on:
        return
    check_parts(("ROI_MASK_HEAD.POOLER_TYPE", heads.mask_pooler, (ROIPooler,)))
    for head in _of_stages(heads.mask_head):
        if type(head).forward is not BaseMaskRCNNHead.forward:
            raise ConfigError(
                f"MODEL.ROI_MASK_HEAD.NAME {type(head).__name__} cannot be exported: it has a forward of its own, "
                "which a graph would not follow; put what is its own into its layers."
            )


def _of_stages(part: Any) -> list[Any]:  # noqa: ANN401, a module or the list of a cascade
    return [*part] if isinstance(part, nn.ModuleList) else [part]


def _in_frame(
    detections: DetectionSlots, size: tuple[int, int], frame: tuple[int, int]
) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
    """The outputs, and the image and the place (D,) that each detection has.

    See `detectron2.modeling.postprocessing.detector_postprocess`.
    """
    scale_y, scale_x = (there / here for there, here in zip(frame, size, strict=True))
    x, y = detections.boxes[..., 0::2] * scale_x, detections.boxes[..., 1::2] * scale_y
    boxes = clipped(torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), dim=-1), *frame)
    found = detections.found & sides_above(boxes)
    image, place = found.nonzero().unbind(dim=1)
    outputs = {
        "boxes": boxes[image, place],
        "scores": detections.scores[image, place],
        "classes": detections.classes[image, place],
        "counts": found.sum(dim=1),
    }
    return outputs, (image, place)


def _segmented(
    model: PanopticFPN, features: dict[str, Tensor], size: tuple[int, int], frame: tuple[int, int]
) -> Tensor:
    """The ids (N, H, W) of the semantic head; see `detectron2.modeling.postprocessing.sem_seg_postprocess`."""
    logits = model.sem_seg_head(features, None)[0][:, :, : size[0], : size[1]]
    logits = F.interpolate(logits, size=frame, mode="bilinear", align_corners=False)
    return logits.argmax(dim=1).to(torch.uint8)
