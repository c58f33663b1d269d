"""Detectron2's RetinaNet with the order of mmdet's post-processing."""

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import batched_nms
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch import RetinaNet
from detectron2.structures import Boxes, Instances
from torch import Tensor

from ..config import with_our_keys
from .recipe import build_box2box_transform


@META_ARCH_REGISTRY.register()
class BDD100KRetinaNet(RetinaNet):
    """Detectron2's `RetinaNet`; with the package's keys at their defaults it equals its parent.

    With ``clip_before_nms`` boxes are clipped, and empty ones dropped, before NMS.
    """

    @configurable
    def __init__(self, *, clip_before_nms: bool = False, **kwargs: Any) -> None:  # noqa: ANN401, the parent's
        super().__init__(**kwargs)
        self.clip_before_nms = clip_before_nms

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``."""
        arguments: dict[str, Any] = super().from_config(cfg)
        arguments["clip_before_nms"] = with_our_keys(cfg).MODEL.RETINANET.CLIP_BEFORE_NMS
        arguments["box2box_transform"] = build_box2box_transform(cfg, cfg.MODEL.RETINANET.BBOX_REG_WEIGHTS)
        return arguments

    # Nothing here that TorchScript lacks: `super`, arguments by keyword.
    def inference_single_image(
        self, anchors: list[Boxes], box_cls: list[Tensor], box_delta: list[Tensor], image_size: tuple[int, int]
    ) -> Instances:
        """The detections in an image of ``image_size``, height and width, as its parent's.

        Of each level there are ``anchors`` (R,), and for them scores ``box_cls`` (R, K) and ``box_delta`` (R, 4).
        """
        candidates = self._decode_multi_level_predictions(
            anchors, box_cls, box_delta, self.test_score_thresh, self.test_topk_candidates, image_size
        )
        if self.clip_before_nms:
            candidates.pred_boxes.clip(image_size)
            candidates = candidates[candidates.pred_boxes.nonempty()]
        keep = batched_nms(
            candidates.pred_boxes.tensor, candidates.scores, candidates.pred_classes, self.test_nms_thresh
        )
        return candidates[keep[: self.max_detections_per_image]]
