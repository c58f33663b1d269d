"""The proposals of Detectron2's RPN, as many for every image."""

import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.proposal_generator import RPN
from torch import Tensor

from .static_shapes import NOTHING, best, clipped, kept_by_grouped_nms, sides_above


def propose(rpn: RPN, features: dict[str, Tensor], height: int, width: int) -> tuple[Tensor, Tensor]:
    """Boxes (N, R, 4) in pixels of the image of ``height`` and ``width``, best first, and which there are, (N, R).

    R is ``POST_NMS_TOPK_TEST``. See `detectron2.modeling.proposal_generator.proposal_utils.find_top_rpn_proposals`.
    """
    maps = [features[name] for name in rpn.in_features]
    of_levels = zip(*rpn.rpn_head(maps), strict=True)
    levels = [_best_of_level(rpn, level, *of_level) for level, of_level in enumerate(of_levels)]
    boxes = torch.cat([one for one, _ in levels], dim=1)
    scores = torch.cat([one for _, one in levels], dim=1)
    groups = torch.cat([torch.full_like(one[0], i) for i, (_, one) in enumerate(levels)])
    finite = boxes.isfinite().all(dim=2) & scores.isfinite()
    boxes = clipped(torch.where(finite[..., None], boxes, 0), height, width)
    candidates = finite & sides_above(boxes, rpn.min_box_size)
    kept = torch.stack(
        [
            kept_by_grouped_nms(*of_image[:2], groups, len(levels), rpn.nms_thresh, of_image[2])
            for of_image in zip(boxes, scores, candidates, strict=True)
        ]
    )
    chosen, places = best(torch.where(kept, scores, NOTHING), rpn.post_nms_topk[False])
    return gathered(boxes, places), chosen > NOTHING


def gathered(rows: Tensor, places: Tensor) -> Tensor:
    """Of ``rows`` (N, R, K) those at ``places`` (N, M): (N, M, K)."""
    return rows.gather(1, places[..., None].expand(-1, -1, rows.shape[2]))


def by_place(values: Tensor, length: int) -> Tensor:
    """Maps (N, A * length, h, w) as rows of anchors, as Detectron2 counts them: (N, h * w * A, length)."""
    return values.unflatten(1, (-1, length)).permute(0, 3, 4, 1, 2).flatten(1, 3)


def anchors_at(generator: DefaultAnchorGenerator, level: int, places: Tensor, width: int) -> Tensor:
    """The anchors (M, 4) at ``places`` (M,) of a level, in `by_place`'s order; ``width`` is of the level's map.

    Those of the whole image would be megabytes in a file.
    """
    sizes = list(generator.cell_anchors)[level]
    stride = generator.strides[level]
    cells = torch.div(places, len(sizes), rounding_mode="floor")
    y = torch.div(cells, width, rounding_mode="floor")
    # The exporter to ONNX takes no remainder by a number that only the runtime knows.
    x = cells - y * width
    centres = torch.stack((x, y, x, y), dim=1).to(sizes.dtype) * stride + generator.offset * stride
    return sizes[places % len(sizes)] + centres


def _best_of_level(rpn: RPN, level: int, objectness: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor]:
    """The level's best boxes before NMS, (N, k, 4), and their logits (N, k): of maps (N, A, h, w) and (N, 4A, h, w)."""
    scores, places = best(by_place(objectness, 1)[..., 0], rpn.pre_nms_topk[False])
    anchors = anchors_at(rpn.anchor_generator, level, places.flatten(), objectness.shape[3])
    boxes = rpn.box2box_transform.apply_deltas(gathered(by_place(deltas, 4), places).flatten(0, 1), anchors)
    return boxes.unflatten(0, places.shape), scores
