"""The detections of RetinaNet and ATSS, in as many places for every image."""

import torch
from detectron2.modeling.meta_arch import RetinaNet
from torch import Tensor

from ..modeling.atss import ATSS
from .proposals import anchors_at, by_place, gathered
from .roi_heads import DetectionSlots, best_detections
from .static_shapes import NOTHING, best, clipped, kept_by_grouped_nms, sides_above


def detect_densely(model: RetinaNet | ATSS, features: dict[str, Tensor], size: tuple[int, int]) -> DetectionSlots:
    """The detections of ``model`` from its ``features``; ``size`` is the image's height and width without padding.

    See `modeling.retinanet`, `modeling.atss`, and what they derive from.
    """
    maps = [features[name] for name in model.head_in_features]
    of_levels = zip(*model.head(maps), strict=True)
    levels = [_best_of_level(model, level, *of_level) for level, of_level in enumerate(of_levels)]
    boxes, scores, classes = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))
    candidates = scores > NOTHING
    # Detectron2's RetinaNet clips after NMS.
    if isinstance(model, ATSS) or getattr(model, "clip_before_nms", False):
        boxes = clipped(boxes, *size)
        candidates = candidates & sides_above(boxes)
    kept = [
        kept_by_grouped_nms(*of_image[:3], model.num_classes, model.test_nms_thresh, of_image[3])
        for of_image in zip(boxes, scores, classes, candidates, strict=True)
    ]
    scores = torch.where(torch.stack(kept), scores, NOTHING)
    return best_detections(boxes, scores, classes, model.max_detections_per_image)


def _best_of_level(
    model: RetinaNet | ATSS, level: int, logits: Tensor, deltas: Tensor, centerness: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The level's boxes (N, k, 4), scores (N, k) and classes (N, k) before NMS, of maps (N, A * K, h, w) and so on."""
    probabilities = by_place(logits, model.num_classes).sigmoid().flatten(1)
    above = torch.where(probabilities > model.test_score_thresh, probabilities, NOTHING)
    scores, chosen = best(above, model.test_topk_candidates)
    places = torch.div(chosen, model.num_classes, rounding_mode="floor")
    anchors = anchors_at(model.anchor_generator, level, places.flatten(), logits.shape[3])
    moved = model.box2box_transform.apply_deltas(gathered(by_place(deltas, 4), places).flatten(0, 1), anchors)
    if centerness is not None:
        scores = scores * by_place(centerness, 1)[..., 0].gather(1, places).sigmoid()
    return moved.unflatten(0, places.shape), scores, chosen % model.num_classes
