"""The detections of RetinaNet and ATSS, in as many places for every image."""

import torch
from detectron2.modeling.meta_arch import RetinaNet
from detectron2.structures import Boxes
from torch import Tensor

from ..modeling.atss import ATSS
from .proposals import by_place, gathered
from .roi_heads import Detections, best_detections
from .static_shapes import NOTHING, best, clipped, kept_by_grouped_nms, sides_above


def detect_densely(model: RetinaNet | ATSS, features: dict[str, Tensor], size: tuple[int, int]) -> Detections:
    """The detections of ``model`` from its ``features``; ``size`` is the image's height and width without padding.

    See `modeling.retinanet`, `modeling.atss`, and what they derive from.
    """
    maps = [features[name] for name in model.head_in_features]
    anchors = model.anchor_generator(maps)
    levels = [_best_of_level(model, *of_level) for of_level in zip(anchors, *model.head(maps), strict=True)]
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
    model: RetinaNet | ATSS, anchors: Boxes, logits: Tensor, deltas: Tensor, centerness: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The level's boxes (N, k, 4), scores (N, k) and classes (N, k) before NMS, of maps (N, A * K, h, w) and so on."""
    probabilities = by_place(logits, model.num_classes).sigmoid().flatten(1)
    above = torch.where(probabilities > model.test_score_thresh, probabilities, NOTHING)
    scores, chosen = best(above, model.test_topk_candidates)
    places = torch.div(chosen, model.num_classes, rounding_mode="floor")
    at = gathered(by_place(deltas, 4), places).flatten(0, 1)
    boxes = model.box2box_transform.apply_deltas(at, anchors.tensor[places.flatten()]).unflatten(0, places.shape)
    if centerness is not None:
        scores = scores * by_place(centerness, 1)[..., 0].gather(1, places).sigmoid()
    return boxes, scores, chosen % model.num_classes
