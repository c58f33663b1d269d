"""Which anchors learn which box in ATSS (Zhang et al., Bridging the Gap Between Anchor-based and Anchor-free, 2020)."""

from collections.abc import Sequence

import torch
from detectron2.structures import Boxes, pairwise_iou
from torch import Tensor

# The centre of a positive anchor lies so many pixels inside of its box.
_MARGIN = 0.01


def assign_anchors(levels: Sequence[Boxes], boxes: Boxes, candidates: int) -> Tensor:
    """The index of the box that each anchor learns (R,), int64; -1 for none.

    The ``candidates`` anchors of each level whose centres are nearest to that of a box may learn it. Positive are those
    of them that overlap it by at least the mean plus the standard deviation of their IoUs, and whose centre is inside
    of it. An anchor that is positive for several boxes learns the one that it overlaps most.

    Args:
        levels: the anchors of each level, R in all.
        boxes: labelled boxes (M,), of which there may be none.
        candidates: how many of a level, or all where it has fewer.
    """
    anchors = Boxes.cat([*levels])
    if not len(boxes) or not len(anchors):
        return torch.full((len(anchors),), -1, device=anchors.device)
    centres = anchors.get_centers()
    distances = torch.cdist(boxes.get_centers(), centres, compute_mode="donot_use_mm_for_euclid_dist")
    nearest, first = [], 0
    for of_level in torch.split(distances, [len(level) for level in levels], dim=1):
        number = min(candidates, of_level.shape[1])
        nearest.append(first + of_level.topk(number, dim=1, largest=False).indices)
        first += of_level.shape[1]
    chosen = torch.cat(nearest, dim=1)
    overlaps = pairwise_iou(boxes, anchors)
    of_chosen = overlaps.gather(1, chosen)
    threshold = of_chosen.mean(dim=1, keepdim=True) + of_chosen.std(dim=1, keepdim=True)
    sides = sides_from(centres[chosen], boxes.tensor[:, None])
    positive = (of_chosen >= threshold) & (sides.amin(dim=-1) > _MARGIN)
    quality = torch.full_like(overlaps, -1).scatter_(1, chosen, of_chosen.masked_fill(~positive, -1))
    best, index = quality.max(dim=0)
    return index.masked_fill(best < 0, -1)


def centerness(anchors: Tensor, boxes: Tensor) -> Tensor:
    """How central the centres of ``anchors`` (N, 4) are in ``boxes`` (N, 4): (N,) from 0 at a side to 1 in the middle.

    As FCOS (Tian et al., 2019) has it: the square root of left to right times top to bottom, the lesser to the greater.
    """
    left, top, right, bottom = sides_from((anchors[:, :2] + anchors[:, 2:]) / 2, boxes).unbind(dim=-1)
    across = torch.minimum(left, right) / torch.maximum(left, right)
    along = torch.minimum(top, bottom) / torch.maximum(top, bottom)
    return (across * along).sqrt()


def sides_from(points: Tensor, boxes: Tensor) -> Tensor:
    """How far ``points`` (..., 2) are inside of the left, top, right and bottom of ``boxes`` (..., 4): (..., 4)."""
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], dim=-1)
