"""ATSS (Zhang et al., 2020): a dense detector of one square anchor a place and a score of how central it is."""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import batched_nms
from detectron2.modeling import META_ARCH_REGISTRY, build_backbone
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from fvcore.nn import sigmoid_focal_loss_jit
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses
from torchvision.ops import generalized_box_iou_loss

from ..config import with_our_keys
from ..errors import ConfigError
from .atss_assignment import assign_anchors, centerness
from .atss_head import ATSSHead
from .recipe import build_box2box_transform


@META_ARCH_REGISTRY.register()
class ATSS(DenseDetector):
    """mmdetection's ATSS. Its keys are RetinaNet's, ``MODEL.RETINANET``, as far as both have them, and ``MODEL.ATSS``.

    Args:
        num_classes: K.
        anchor_generator: gives one anchor a place.
        box2box_transform: between anchors and boxes.
        candidates: of each level, how many anchors may learn a box; see `assign_anchors`.
        focal_loss_alpha, focal_loss_gamma: of the focal loss of the classes.
        box_loss_weight: of the generalised IoU.
        test_score_thresh: above which a class score is, before it is multiplied by the centerness.
        test_topk_candidates: how many boxes of a level come to NMS, by their class scores.
        test_nms_thresh: the IoU above which the lesser of two boxes of a class is dropped.
        max_detections_per_image: how many are left.
        kwargs: the parent's.
    """

    @configurable
    def __init__(
        self,
        *,
        num_classes: int,
        anchor_generator: nn.Module,
        box2box_transform: Any,  # noqa: ANN401, one of two classes without a common parent
        candidates: int = 9,
        focal_loss_alpha: float = 0.25,
        focal_loss_gamma: float = 2.0,
        box_loss_weight: float = 2.0,
        test_score_thresh: float = 0.05,
        test_topk_candidates: int = 1000,
        test_nms_thresh: float = 0.6,
        max_detections_per_image: int = 100,
        **kwargs: Any,  # noqa: ANN401, the parent's keyword arguments
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.anchor_generator = anchor_generator
        self.box2box_transform = box2box_transform
        self.candidates = candidates
        self.focal_loss_alpha, self.focal_loss_gamma = focal_loss_alpha, focal_loss_gamma
        self.box_loss_weight = box_loss_weight
        self.test_score_thresh = test_score_thresh
        self.test_topk_candidates = test_topk_candidates
        self.test_nms_thresh = test_nms_thresh
        self.max_detections_per_image = max_detections_per_image

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``; raises `ConfigError` where a place has several anchors."""
        cfg = with_our_keys(cfg)
        keys, backbone = cfg.MODEL.RETINANET, build_backbone(cfg)
        shapes = [backbone.output_shape()[name] for name in keys.IN_FEATURES]
        anchor_generator = build_anchor_generator(cfg, shapes)
        if {*anchor_generator.num_anchors} != {1}:
            raise ConfigError(
                f"MODEL.ANCHOR_GENERATOR has {max(anchor_generator.num_anchors)} anchors a place, and ATSS one; give "
                "one size a level and one aspect ratio."
            )
        if cfg.MODEL.ATSS.CANDIDATES < 1:
            raise ConfigError(f"MODEL.ATSS.CANDIDATES is {cfg.MODEL.ATSS.CANDIDATES}; give 1 or more.")
        return {
            "backbone": backbone,
            "head": ATSSHead(
                channels=shapes[0].channels,
                num_levels=len(shapes),
                num_classes=keys.NUM_CLASSES,
                num_convs=keys.NUM_CONVS,
                norm=keys.NORM,
                prior_prob=keys.PRIOR_PROB,
            ),
            "head_in_features": keys.IN_FEATURES,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "num_classes": keys.NUM_CLASSES,
            "anchor_generator": anchor_generator,
            "box2box_transform": build_box2box_transform(cfg, keys.BBOX_REG_WEIGHTS),
            "candidates": cfg.MODEL.ATSS.CANDIDATES,
            "focal_loss_alpha": keys.FOCAL_LOSS_ALPHA,
            "focal_loss_gamma": keys.FOCAL_LOSS_GAMMA,
            "box_loss_weight": cfg.MODEL.ATSS.BOX_LOSS_WEIGHT,
            "test_score_thresh": keys.SCORE_THRESH_TEST,
            "test_topk_candidates": keys.TOPK_CANDIDATES_TEST,
            "test_nms_thresh": keys.NMS_THRESH_TEST,
            "max_detections_per_image": cfg.TEST.DETECTIONS_PER_IMAGE,
        }

    def forward_training(
        self,
        images: ImageList,
        features: list[Tensor],
        predictions: list[list[Tensor]],
        gt_instances: list[Instances],
    ) -> dict[str, Tensor]:
        """The losses of maps of the head's, (N, K, 4 or 1, h, w) by level, of images with ``gt_instances``."""
        transposed = self._transpose_dense_predictions(predictions, [self.num_classes, 4, 1])
        logits, deltas, central = (torch.cat(levels, dim=1).float() for levels in transposed)
        anchors = self.anchor_generator(features)
        labels, boxes = self.label_anchors(anchors, gt_instances, images.image_sizes)
        return self.losses(Boxes.cat(anchors).tensor, (logits, deltas, central[..., 0]), labels, boxes)

    def losses(
        self, anchors: Tensor, predictions: tuple[Tensor, Tensor, Tensor], labels: Tensor, boxes: Tensor
    ) -> dict[str, Tensor]:
        """``loss_cls``, ``loss_box_reg`` and ``loss_centerness``.

        Args:
            anchors: (R, 4).
            predictions: class logits (N, R, K), deltas (N, R, 4) and centerness logits (N, R).
            labels: classes (N, R) of `label_anchors`.
            boxes: what positive anchors learn, (N, R, 4).
        """
        logits, deltas, central = predictions
        trained, positive = labels >= 0, (labels >= 0) & (labels < self.num_classes)
        targets = F.one_hot(labels[trained], self.num_classes + 1)[:, :-1].to(logits.dtype)
        loss_cls = sigmoid_focal_loss_jit(
            logits[trained], targets, alpha=self.focal_loss_alpha, gamma=self.focal_loss_gamma, reduction="sum"
        )
        places, learnt = anchors.expand(len(labels), -1, -1)[positive], boxes[positive]
        wanted = centerness(places, learnt)
        moved = self.box2box_transform.apply_deltas(deltas[positive], places)
        loss_box = (generalized_box_iou_loss(moved, learnt) * wanted).sum()
        loss_central = F.binary_cross_entropy_with_logits(central[positive], wanted, reduction="sum")
        of_image = positive.sum(dim=1)
        get_event_storage().put_scalar("num_pos_anchors", of_image.float().mean().item())
        # An image without a positive anchor counts as one.
        sums = torch.stack([of_image.clamp(min=1).sum().to(wanted.dtype), wanted.sum()])
        number, weight = _mean_of_processes(sums).clamp(min=1).unbind()
        return {
            "loss_cls": loss_cls / number,
            "loss_box_reg": self.box_loss_weight * loss_box / weight,
            "loss_centerness": loss_central / number,
        }

    @torch.no_grad()
    def label_anchors(
        self, anchors: Sequence[Boxes], gt_instances: Sequence[Instances], image_sizes: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Classes (N, R) from 0 to K, K for background, and the boxes (N, R, 4) that positive anchors learn.

        -1 are anchors whose centre is in what pads an image to the size of others of the batch: they are not trained.
        """
        labels, boxes = [], []
        for instances, size in zip(gt_instances, image_sizes, strict=True):
            inside = [self._is_inside(level, size) for level in anchors]
            within = [level[of_level] for level, of_level in zip(anchors, inside, strict=True)]
            index = assign_anchors(within, instances.gt_boxes, self.candidates)
            known = torch.cat(inside)
            of_image = torch.full(known.shape, -1, device=known.device)
            learnt = instances.gt_boxes.tensor.new_zeros(len(known), 4)
            classes = torch.full_like(index, self.num_classes)
            classes[index >= 0] = instances.gt_classes[index[index >= 0]]
            of_image[known] = classes
            learnt[known.nonzero()[index >= 0, 0]] = instances.gt_boxes.tensor[index[index >= 0]]
            labels.append(of_image)
            boxes.append(learnt)
        return torch.stack(labels), torch.stack(boxes)

    def _is_inside(self, anchors: Boxes, size: tuple[int, int]) -> Tensor:
        """Whether centres are in an image that is padded by itself, as mmdetection pads each before the batch."""
        divisor = max(self.backbone.size_divisibility, 1)
        height, width = (-(-side // divisor) * divisor for side in size)
        x, y = anchors.get_centers().unbind(dim=1)
        inside: Tensor = (x < width) & (y < height)
        return inside

    def forward_inference(
        self, images: ImageList, features: list[Tensor], predictions: list[list[Tensor]]
    ) -> list[Instances]:
        """The detections in each image, from maps of the head's, (N, K, 4 or 1, h, w) by level."""
        logits, deltas, central = self._transpose_dense_predictions(predictions, [self.num_classes, 4, 1])
        anchors = self.anchor_generator(features)
        results: list[Instances] = []
        for i, image_size in enumerate(images.image_sizes):
            levels: list[Instances] = []
            for j, level in enumerate(anchors):
                outputs = (logits[j][i].float(), deltas[j][i], central[j][i].float())
                levels.append(self._decode_level(level, outputs, image_size))
            found = levels[0].cat(levels)
            found = found[found.pred_boxes.nonempty()]
            keep = batched_nms(found.pred_boxes.tensor, found.scores, found.pred_classes, self.test_nms_thresh)
            results.append(found[keep[: self.max_detections_per_image]])
        return results

    def _decode_level(
        self, anchors: Boxes, outputs: tuple[Tensor, Tensor, Tensor], image_size: tuple[int, int]
    ) -> Instances:
        """The best boxes of a level: of class logits (R, K), deltas (R, 4) and centerness logits (R, 1)."""
        logits, deltas, central = outputs
        scores = logits.sigmoid()
        kept = scores > self.test_score_thresh
        places = torch.nonzero(kept)
        scores, order = scores[kept].sort(descending=True)
        at, classes = places[order[: self.test_topk_candidates]].unbind(dim=1)
        boxes = Boxes(self.box2box_transform.apply_deltas(deltas[at], anchors.tensor[at]))
        boxes.clip(image_size)
        scores = scores[: self.test_topk_candidates] * central[at, 0].sigmoid()
        return Instances(image_size, pred_boxes=boxes, scores=scores, pred_classes=classes)


def _mean_of_processes(values: Tensor) -> Tensor:
    """The mean of ``values`` over the processes of a training.

    Without gradients they are those of the process: validation gives the processes different numbers of images.
    """
    if comm.get_world_size() == 1 or not torch.is_grad_enabled():
        return values
    total = values.clone()
    torch.distributed.all_reduce(total)
    return total / float(comm.get_world_size())
