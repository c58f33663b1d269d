"""Choosing boxes in tensors whose sizes do not depend on what is found, as exporters and their runtimes need them.

Detectron2 cuts lists to what is left at each step. Here all places stay until the end, and a mask or a score of minus
infinity says which of them hold something; the results are the same.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses
from torchvision.ops import nms

NOTHING = -float("inf")
"""The score of a place that holds nothing."""

# Up to so many boxes torchvision's `batched_nms` moves the groups apart, by which coordinates are rounded; on a CPU it
# goes group by group above. Both are done here as there, so that the same boxes are kept.
_MOVED_APART = 1000
# Boxes without an area, which suppress nothing and are not suppressed: exporters take it that NMS keeps two or more,
# and some runtimes fail where it is given none.
_OTHERS = 2


def best(scores: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The ``number`` highest of ``scores`` (N, R) in each row, best first, and their places: twice (N, number).

    Where R is smaller the rest is `NOTHING`, at place 0. So the number is the same for images of all sizes.
    """
    length = scores.shape[1]
    # A number that only the runtime knows may be too small.
    missing = max(number - length, 0) if isinstance(length, int) else number
    values, places = (F.pad(scores, (0, missing), value=NOTHING) if missing else scores).topk(number, dim=1)
    return values, torch.where(places < length, places, 0) if missing else places


def clipped(boxes: Tensor, height: int, width: int) -> Tensor:
    """``boxes`` (..., 4) within the image, as Detectron2's `Boxes.clip`; NaN stay."""
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), dim=-1)


def sides_above(boxes: Tensor, threshold: float = 0.0) -> Tensor:
    """Whether width and height of ``boxes`` (..., 4) are above ``threshold``: (...), as Detectron2's `nonempty`."""
    return ((boxes[..., 2:] - boxes[..., :2]) > threshold).all(dim=-1)


def kept_by_nms(boxes: Tensor, scores: Tensor, threshold: float, candidates: Tensor) -> Tensor:
    """Which of the ``candidates`` (R,) among ``boxes`` (R, 4) with ``scores`` (R,) non-maximum suppression keeps."""
    return _kept(scores, threshold, [(_with_others(boxes), candidates)])


def kept_by_grouped_nms(
    boxes: Tensor, scores: Tensor, groups: Tensor, number: int, threshold: float, candidates: Tensor
) -> Tensor:
    """As `kept_by_nms`, for each of the ``number`` groups by itself; ``groups`` (R,) are from 0, of classes or levels.

    It equals torchvision's `batched_nms` of the candidates on a CPU.
    """
    few = candidates.sum() <= _MOVED_APART
    largest = torch.where(candidates[:, None], boxes, NOTHING).max()
    moved = boxes + (groups.to(boxes.dtype) * (largest + 1))[:, None]
    many = candidates & ~few
    alike = _with_others(boxes)
    by_group = [(alike, many & (groups == group)) for group in range(number)]
    return _kept(scores, threshold, [(_with_others(moved), candidates & few), *by_group])


def _kept(scores: Tensor, threshold: float, rounds: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """What is kept, (R,), in any of the rounds of NMS: boxes `_with_others`, and which of the R take part, (R,)."""
    scores = F.pad(scores, (0, _OTHERS), value=NOTHING)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for boxes, candidates in rounds:
        places = F.pad(candidates, (0, _OTHERS), value=True).nonzero()[:, 0]
        of_round = places[nms(boxes[places], scores[places], threshold)]
        kept = kept.index_put((of_round,), torch.ones_like(of_round, dtype=torch.bool))
    return kept[:-_OTHERS]


def _with_others(boxes: Tensor) -> Tensor:
    return F.pad(boxes, (0, 0, 0, _OTHERS))
