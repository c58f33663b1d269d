"""Detectron2's ROI heads with the choices of the published recipes."""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, nms
from detectron2.modeling import ROI_HEADS_REGISTRY, StandardROIHeads
from detectron2.modeling.roi_heads import CascadeROIHeads, FastRCNNConvFCHead, FastRCNNOutputLayers
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor, nn

from ..config import with_our_keys
from ..errors import ConfigError
from .box_losses import FocalOutputLayers, has_focal_loss
from .recipe import build_box2box_transform, starts_as_vis4d
from .roi_align import align_by_rows
from .rpn import MinQualityMatcher


@ROI_HEADS_REGISTRY.register()
class BDD100KROIHeads(StandardROIHeads):
    """Detectron2's `StandardROIHeads`; with the package's keys at their defaults it equals its parent."""

    # As Detectron2 annotates its own for scripting, so that heads that are not there are not compiled.
    mask_on: torch.jit.Final[bool]  # type: ignore[misc]  # the parent sets it
    keypoint_on: torch.jit.Final[bool]  # type: ignore[misc]

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``."""
        arguments: dict[str, Any] = super().from_config(cfg, input_shape)
        align_by_rows(arguments)
        heads = with_our_keys(cfg).MODEL.ROI_HEADS
        if heads.MIN_LOW_QUALITY_IOU > 0:
            thresholds = (heads.IOU_THRESHOLDS, heads.IOU_LABELS, heads.MIN_LOW_QUALITY_IOU)
            # The heads append the labelled boxes to the proposals before they match them.
            appended = heads.PROPOSAL_APPEND_GT
            arguments["proposal_matcher"] = MinQualityMatcher(*thresholds, moves=True, appended=appended)
        return arguments

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._init_box_head(cfg, input_shape)
        _initialise(cfg, arguments["box_head"])
        has_focal, has_one_nms = has_focal_loss(cfg), with_our_keys(cfg).MODEL.ROI_HEADS.CLASS_AGNOSTIC_NMS
        if has_focal or has_one_nms:
            layers = _OUTPUT_LAYERS[has_focal, has_one_nms]
            arguments["box_predictor"] = layers(cfg, arguments["box_head"].output_shape)
        predictor = arguments["box_predictor"]
        predictor.box2box_transform = build_box2box_transform(cfg, cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS)
        return arguments


class OneNMSOutputLayers(FastRCNNOutputLayers):
    """Detectron2's `FastRCNNOutputLayers` with one NMS over the boxes of all classes, instead of one for each."""

    def inference(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        """The detections of each image, best first, and the numbers (N,) of the proposals that they come from."""
        boxes, scores = self.predict_boxes(predictions, proposals), self.predict_probs(predictions, proposals)
        sizes = [one.image_size for one in proposals]
        # No IoU is above 1, and -1 keeps all: only the threshold of the scores is applied.
        found, numbers = fast_rcnn_inference(boxes, scores, sizes, self.test_score_thresh, 1.0, -1)
        kept = [nms(one.pred_boxes.tensor.float(), one.scores.float(), self.test_nms_thresh) for one in found]
        if self.test_topk_per_image >= 0:
            kept = [places[: self.test_topk_per_image] for places in kept]
        return (
            [one[places] for one, places in zip(found, kept, strict=True)],
            [of_image[places] for of_image, places in zip(numbers, kept, strict=True)],
        )


class OneNMSFocalOutputLayers(OneNMSOutputLayers, FocalOutputLayers):
    """Both of its parents."""


# By whether they have the focal loss, and one NMS for all classes.
_OUTPUT_LAYERS = {
    (True, False): FocalOutputLayers,
    (False, True): OneNMSOutputLayers,
    (True, True): OneNMSFocalOutputLayers,
}


@ROI_HEADS_REGISTRY.register()
class BDD100KCascadeROIHeads(CascadeROIHeads):
    """Detectron2's `CascadeROIHeads`; with the package's keys at their defaults it equals its parent.

    With ``average_logits`` the stages' logits are averaged rather than their probabilities. With ``loss_weights``, one
    of each stage, it trains as mmdet's does: they multiply the losses, each stage samples its proposals anew, with the
    labelled boxes as they are among them, and the gradient on the features is not divided by the number of stages.
    """

    @configurable
    def __init__(
        self,
        *,
        average_logits: bool = False,
        loss_weights: Sequence[float] = (),
        **kwargs: Any,  # noqa: ANN401, the parent's keyword arguments
    ) -> None:
        super().__init__(**kwargs)
        self.average_logits = average_logits
        self.loss_weights = list(loss_weights)
        if self.loss_weights and len(self.loss_weights) != self.num_cascade_stages:
            raise ConfigError(
                f"MODEL.ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS is {self.loss_weights}; give one for each of the "
                f"{self.num_cascade_stages} stages, or none."
            )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``."""
        heads = with_our_keys(cfg).MODEL.ROI_HEADS
        for key, default in (("CLASS_AGNOSTIC_NMS", False), ("MIN_LOW_QUALITY_IOU", 0.0)):
            if heads[key] != default:
                raise ConfigError(
                    f"MODEL.ROI_HEADS.{key} is {heads[key]}, but {heads.NAME} has no such choice; set it to {default}."
                )
        arguments: dict[str, Any] = super().from_config(cfg, input_shape)
        align_by_rows(arguments)
        keys = with_our_keys(cfg).MODEL.ROI_BOX_CASCADE_HEAD
        arguments |= {"average_logits": keys.AVERAGE_LOGITS, "loss_weights": keys.LOSS_WEIGHTS}
        return arguments

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._init_box_head(cfg, input_shape)
        weights = cfg.MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS
        if has_focal_loss(cfg):
            arguments["box_predictors"] = [FocalOutputLayers(cfg, head.output_shape) for head in arguments["box_heads"]]
        for head, predictor, stage in zip(arguments["box_heads"], arguments["box_predictors"], weights, strict=True):
            _initialise(cfg, head)
            predictor.box2box_transform = build_box2box_transform(cfg, stage)
        return arguments

    def _forward_box(
        self, features: dict[str, Tensor], proposals: list[Instances], targets: list[Instances] | None = None
    ) -> dict[str, Tensor] | list[Instances]:
        results: dict[str, Tensor] | list[Instances]
        if self.training and self.loss_weights:
            assert targets is not None, "training needs labels"
            return self._train_stages(features, proposals, targets)
        if self.training or not self.average_logits:
            results = super()._forward_box(features, proposals, targets)
            return results
        maps = [features[name] for name in self.box_in_features]
        sizes = [instances.image_size for instances in proposals]
        predictions = self._run_stage(maps, proposals, 0)
        all_logits = [predictions[0]]
        for stage in range(1, self.num_cascade_stages):
            boxes = self.box_predictor[stage - 1].predict_boxes(predictions, proposals)
            proposals = self._create_proposals_from_boxes(boxes, sizes)
            predictions = self._run_stage(maps, proposals, stage)
            all_logits.append(predictions[0])
        logits = torch.stack(all_logits).mean(dim=0)
        results = self.box_predictor[-1].inference((logits, predictions[1]), proposals)[0]
        return results

    def _train_stages(
        self, features: dict[str, Tensor], proposals: list[Instances], targets: list[Instances]
    ) -> dict[str, Tensor]:
        maps = [features[name] for name in self.box_in_features]
        losses: dict[str, Tensor] = {}
        for stage, weight in enumerate(self.loss_weights):
            if stage:
                self.proposal_matcher = self.proposal_matchers[stage]
                proposals = self.label_and_sample_proposals(proposals, targets)
            pooled = self.box_pooler(maps, [instances.proposal_boxes for instances in proposals])
            predictor = self.box_predictor[stage]
            predictions = predictor(self.box_head[stage](pooled))
            with get_event_storage().name_scope(f"stage{stage}"):
                of_stage = predictor.losses(predictions, proposals) | self._stage_losses(features, proposals, stage)
            losses |= {f"{name}_stage{stage}": loss * weight for name, loss in of_stage.items()}
            boxes = predictor.predict_boxes(predictions, proposals)
            proposals = [_refined(*one) for one in zip(proposals, boxes, targets, strict=True)]
        # The next batch's proposals are sampled for the first stage before this is called.
        self.proposal_matcher = self.proposal_matchers[0]
        return losses

    def _stage_losses(self, features: dict[str, Tensor], proposals: list[Instances], stage: int) -> dict[str, Tensor]:
        """Further losses of a stage, on its proposals: none here."""
        return {}


def _refined(proposals: Instances, boxes: Tensor, targets: Instances) -> Instances:
    """The next stage's proposals: where a stage moved those of its own to, ``boxes`` (N, 4), but the labelled ones."""
    labelled = (proposals.proposal_boxes.tensor[:, None] == targets.gt_boxes.tensor).all(dim=2).any(dim=1)
    refined = Instances(proposals.image_size)
    refined.proposal_boxes = Boxes(boxes.detach()[~labelled])
    refined.proposal_boxes.clip(proposals.image_size)
    # Which proposals have, and nothing uses here.
    refined.objectness_logits = refined.proposal_boxes.tensor.new_zeros(len(refined))
    return refined


def _initialise(cfg: CfgNode, head: FastRCNNConvFCHead) -> None:
    if starts_as_vis4d(cfg, "ROI_BOX_HEAD"):
        for layer in head.fcs:
            nn.init.xavier_uniform_(layer.weight)
