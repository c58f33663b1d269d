"""The boxes and masks of Detectron2's ROI heads for a fixed number of proposals."""

from typing import Any, NamedTuple

import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads import CascadeROIHeads, FastRCNNOutputLayers, StandardROIHeads
from torch import Tensor, nn

from ..modeling.box_losses import FocalOutputLayers
from ..modeling.roi_heads import OneNMSOutputLayers
from .proposals import gathered
from .static_shapes import NOTHING, best, clipped, kept_by_grouped_nms, kept_by_nms


class DetectionSlots(NamedTuple):
    """As many places for every image, of which those hold a detection that `found` says.

    Attributes:
        boxes: (N, T, 4), x1, y1, x2, y2 in pixels of the image that the model takes, best first.
        scores: (N, T).
        classes: (N, T), int64.
        found: (N, T), bool.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    found: Tensor


def pool(pooler: ROIPooler, maps: list[Tensor], boxes: Tensor, images: Tensor) -> Tensor:
    """What `pooler` takes from ``maps`` for ``boxes`` (M, 4) in the ``images`` (M,) of the batch: (M, C, h, w).

    Detectron2's own takes lists whose lengths have to be known.
    """
    rois = torch.cat([images[:, None].to(boxes.dtype), boxes], dim=1)
    if len(pooler.level_poolers) == 1:
        pooled: Tensor = pooler.level_poolers[0](maps[0], rois)
        return pooled
    sides = boxes[:, 2:] - boxes[:, :2]
    size = (sides[:, 0] * sides[:, 1]).sqrt() / pooler.canonical_box_size
    level = torch.floor(pooler.canonical_level + torch.log2(size + 1e-8))
    level = level.clamp(pooler.min_level, pooler.max_level).to(torch.int64) - pooler.min_level
    pooled = maps[0].new_zeros((boxes.shape[0], maps[0].shape[1], *pooler.output_size))
    for i, (of_level, one) in enumerate(zip(pooler.level_poolers, maps, strict=True)):
        places = (level == i).nonzero()[:, 0]
        pooled.index_put_((places,), of_level(one, rois[places]))
    return pooled


def detect_boxes(
    heads: StandardROIHeads, features: dict[str, Tensor], proposals: Tensor, there: Tensor, size: tuple[int, int]
) -> DetectionSlots:
    """The detections of ``heads`` from ``proposals`` (N, R, 4), of which those count that are ``there`` (N, R).

    ``size`` is the image's height and width, without what pads it.
    """
    maps = [features[name] for name in heads.box_in_features]
    if isinstance(heads, CascadeROIHeads):
        predictor, boxes, scores = heads.box_predictor[-1], *_cascade(heads, maps, proposals, size)
    else:
        predictor = heads.box_predictor
        logits, boxes = _stage(heads.box_pooler, heads.box_head, predictor, maps, proposals)
        scores = _probabilities(predictor, logits)
    return _chosen(predictor, boxes, scores, there, size)


def _stage(
    pooler: ROIPooler, head: nn.Module, predictor: FastRCNNOutputLayers, maps: list[Tensor], proposals: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits (N, R, K + 1) and boxes (N, R, 4 or K * 4)."""
    number, length = proposals.shape[:2]
    images = torch.arange(number, device=proposals.device)[:, None].expand(-1, length).flatten()
    flat = proposals.flatten(0, 1)
    logits, deltas = predictor(head(pool(pooler, maps, flat, images)))
    boxes = predictor.box2box_transform.apply_deltas(deltas, flat)
    return logits.unflatten(0, (number, length)), boxes.unflatten(0, (number, length))


def _cascade(
    heads: CascadeROIHeads, maps: list[Tensor], proposals: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The last stage's boxes (N, R, 4) and the scores (N, R, K + 1) of all."""
    logits = []
    boxes = proposals
    for stage, (head, predictor) in enumerate(zip(heads.box_head, heads.box_predictor, strict=True)):
        start = clipped(boxes, *size) if stage else boxes
        of_stage, boxes = _stage(heads.box_pooler, head, predictor, maps, start)
        logits.append(of_stage)
    if getattr(heads, "average_logits", False):
        return boxes, _probabilities(heads.box_predictor[-1], torch.stack(logits).mean(dim=0))
    stages = zip(heads.box_predictor, logits, strict=True)
    scores: Any = sum(_probabilities(predictor, one) for predictor, one in stages)
    return boxes, scores * (1.0 / len(logits))


def _probabilities(predictor: FastRCNNOutputLayers, logits: Tensor) -> Tensor:
    """The scores of logits (N, R, K + 1); the last of each is that of the background."""
    return logits.sigmoid() if isinstance(predictor, FocalOutputLayers) else logits.softmax(dim=-1)


def _chosen(
    predictor: FastRCNNOutputLayers, boxes: Tensor, scores: Tensor, there: Tensor, size: tuple[int, int]
) -> DetectionSlots:
    """See `detectron2.modeling.roi_heads.fast_rcnn.fast_rcnn_inference`, and `OneNMSOutputLayers`."""
    finite = boxes.isfinite().all(dim=2) & scores.isfinite().all(dim=2)
    classes = scores.shape[2] - 1
    scores = scores[..., :-1]
    candidates = (scores > predictor.test_score_thresh) & (finite & there)[..., None]
    boxes = clipped(torch.where(finite[..., None], boxes, 0).unflatten(2, (-1, 4)), *size)
    boxes = boxes.expand(-1, -1, classes, -1).flatten(1, 2)
    scores, candidates = scores.flatten(1), candidates.flatten(1)
    groups = torch.arange(classes, device=boxes.device).expand(there.shape[1], -1).flatten()
    kept = []
    threshold = predictor.test_nms_thresh
    for own, own_scores, own_candidates in zip(boxes, scores, candidates, strict=True):
        if isinstance(predictor, OneNMSOutputLayers):
            kept.append(kept_by_nms(own, own_scores, threshold, own_candidates))
        else:
            kept.append(kept_by_grouped_nms(own, own_scores, groups, classes, threshold, own_candidates))
    scores = torch.where(torch.stack(kept), scores, NOTHING)
    return best_detections(boxes, scores, groups.expand(len(boxes), -1), predictor.test_topk_per_image)


def best_detections(boxes: Tensor, scores: Tensor, classes: Tensor, number: int) -> DetectionSlots:
    """The ``number`` best, or all if it is negative, of ``boxes`` (N, R, 4), ``scores`` and ``classes`` (N, R)."""
    chosen, places = best(scores, scores.shape[1] if number < 0 else number)
    return DetectionSlots(gathered(boxes, places), chosen, classes.gather(1, places), chosen > NOTHING)
