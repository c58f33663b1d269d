"""Detectron2's RetinaNet with the order of mmdet's post-processing."""

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch import RetinaNet
from detectron2.structures import Instances

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
        arguments["clip_before_nms"] = cfg.MODEL.RETINANET.CLIP_BEFORE_NMS
        arguments["box2box_transform"] = build_box2box_transform(cfg, cfg.MODEL.RETINANET.BBOX_REG_WEIGHTS)
        return arguments

    def _decode_multi_level_predictions(self, *args: Any, **kwargs: Any) -> Instances:  # noqa: ANN401, the parent's
        candidates = super()._decode_multi_level_predictions(*args, **kwargs)
        if not self.clip_before_nms:
            return candidates
        candidates.pred_boxes.clip(candidates.image_size)
        return candidates[candidates.pred_boxes.nonempty()]
