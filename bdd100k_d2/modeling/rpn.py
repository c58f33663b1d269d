"""Detectron2's RPN with the choices that the published recipes make in training."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import PROPOSAL_GENERATOR_REGISTRY
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import Boxes, Instances
from torch import Tensor

from ..config import with_our_keys
from .recipe import build_box2box_transform


class MinQualityMatcher(Matcher):
    """Detectron2's `Matcher` whose low-quality matches, the best prediction of each box, need IoU ``min_quality``.

    With ``moves`` they match the box whose best they are, as in mmdet, else the one that they overlap most. With
    ``appended`` the last M of the N predictions are the boxes themselves, which are nobody's best and match themselves,
    as mmdet adds them after it has matched.
    """

    def __init__(
        self,
        thresholds: list[float],
        labels: list[int],
        min_quality: float,
        moves: bool = False,
        appended: bool = False,
    ) -> None:
        super().__init__(thresholds, labels, allow_low_quality_matches=True)
        self.min_quality = min_quality
        self.moves = moves
        self.appended = appended

    def __call__(self, match_quality_matrix: Tensor) -> tuple[Tensor, Tensor]:
        """The box (N,) that each prediction matches, and its label (N,), from IoUs (M, N); see the parent."""
        matches, labels = super().__call__(match_quality_matrix)
        if not match_quality_matrix.numel():
            return matches, labels
        if self.moves:
            candidates = self._candidates(match_quality_matrix)
            best = candidates.max(dim=1).values
            for box in (best >= self.min_quality).nonzero().flatten():
                matches[candidates[box] == best[box]] = box
        if self.appended:
            boxes = len(match_quality_matrix)
            matches[-boxes:] = torch.arange(boxes, device=matches.device)
        return matches, labels

    def set_low_quality_matches_(self, match_labels: Tensor, match_quality_matrix: Tensor) -> None:
        """Labels 1, in place in ``match_labels`` (N,), the best of each row of ``match_quality_matrix`` (M, N)."""
        candidates = self._candidates(match_quality_matrix)
        best = candidates.max(dim=1, keepdim=True).values.clamp(min=self.min_quality)
        match_labels[(candidates == best).any(dim=0)] = 1

    def _candidates(self, match_quality_matrix: Tensor) -> Tensor:
        """The IoUs (M, N) with -1, which is nobody's best, for the appended boxes."""
        if not self.appended:
            return match_quality_matrix
        candidates = match_quality_matrix.clone()
        candidates[:, -len(candidates) :] = -1
        return candidates


@PROPOSAL_GENERATOR_REGISTRY.register()
class BDD100KRPN(RPN):
    """Detectron2's `RPN`; with the package's keys at their defaults it equals its parent.

    Anchors are trained that cross the image's border by at most ``allowed_border`` pixels; -1: all.
    ``average_over_sampled`` divides the losses by the number of sampled anchors.
    """

    @configurable
    def __init__(
        self,
        *,
        allowed_border: int = -1,
        average_over_sampled: bool = False,
        **kwargs: Any,  # noqa: ANN401, the parent's keyword arguments
    ) -> None:
        super().__init__(**kwargs)
        self.allowed_border = allowed_border
        self.average_over_sampled = average_over_sampled

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``."""
        rpn = with_our_keys(cfg).MODEL.RPN
        arguments: dict[str, Any] = super().from_config(cfg, input_shape)
        arguments["allowed_border"] = rpn.ALLOWED_BORDER
        arguments["average_over_sampled"] = rpn.AVERAGE_OVER_SAMPLED
        arguments["box2box_transform"] = build_box2box_transform(cfg, rpn.BBOX_REG_WEIGHTS)
        if rpn.MIN_LOW_QUALITY_IOU > 0:
            thresholds = (rpn.IOU_THRESHOLDS, rpn.IOU_LABELS, rpn.MIN_LOW_QUALITY_IOU)
            arguments["anchor_matcher"] = MinQualityMatcher(*thresholds, moves=rpn.LOW_QUALITY_MOVES)
        return arguments

    @torch.jit.unused
    @torch.no_grad()
    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Labels (R,) of -1, 0 and 1 and matched boxes (R, 4) of each image's anchors, as its parent's."""
        labels: list[Tensor]
        boxes: list[Tensor]
        if self.allowed_border < 0:
            labels, boxes = super().label_and_sample_anchors(anchors, gt_instances)
            return labels, boxes
        joined = Boxes.cat(anchors)
        labels, boxes = [], []
        for instances in gt_instances:
            inside = joined.inside_box(instances.image_size, self.allowed_border)
            (inside_labels,), (inside_boxes,) = super().label_and_sample_anchors([joined[inside]], [instances])
            labels.append(inside_labels.new_full(inside.shape, -1).masked_scatter_(inside, inside_labels))
            boxes.append(torch.zeros_like(joined.tensor).masked_scatter_(inside[:, None], inside_boxes))
        return labels, boxes

    @torch.jit.unused
    def losses(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """The parent's ``loss_rpn_cls`` and ``loss_rpn_loc``, divided as the recipe asks."""
        outputs = (pred_objectness_logits, gt_labels, pred_anchor_deltas, gt_boxes)
        losses: dict[str, Tensor] = super().losses(anchors, *outputs)
        if not self.average_over_sampled:
            return losses
        sampled = torch.stack([(labels >= 0).sum() for labels in gt_labels]).sum().clamp(min=1)
        factor = self.batch_size_per_image * len(gt_labels) / sampled
        return {name: loss * factor for name, loss in losses.items()}
