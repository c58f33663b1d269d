"""What several heads take from the published recipes: limits of box deltas, and initial values."""

import torch
from detectron2.config import CfgNode
from detectron2.modeling.box_regression import Box2BoxTransform
from torch import Tensor

from ..errors import ConfigError


class TwoSidedBox2BoxTransform(Box2BoxTransform):
    """Detectron2's transform, which limits how far a box grows, with the same limit on how far it shrinks."""

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """Moves ``boxes`` (N, 4) by ``deltas`` (N, k * 4); returns (N, k * 4), x1, y1, x2, y2 in pixels."""
        *_, width_weight, height_weight = self.weights
        free = -float("inf")
        lowest = [free, free, -self.scale_clamp * width_weight, -self.scale_clamp * height_weight]
        limits = deltas.new_tensor(lowest).repeat(deltas.shape[1] // 4)
        moved: Tensor = super().apply_deltas(torch.maximum(deltas, limits), boxes)
        return moved


def build_box2box_transform(cfg: CfgNode, weights: tuple[float, float, float, float]) -> Box2BoxTransform:
    """The transform that ``MODEL.CLIP_DELTAS_BELOW`` asks for, with ``weights`` for dx, dy, dw, dh."""
    transform = TwoSidedBox2BoxTransform if cfg.MODEL.CLIP_DELTAS_BELOW else Box2BoxTransform
    return transform(weights=weights)


def starts_as_vis4d(cfg: CfgNode, head: str) -> bool:
    """Whether the key ``MODEL.<head>.INIT`` asks for Vis4D's initial values; ConfigError for another name."""
    value: str = cfg.MODEL[head].INIT
    if value not in ("detectron2", "vis4d"):
        raise ConfigError(f"MODEL.{head}.INIT is {value!r}; there are detectron2 and vis4d.")
    return value == "vis4d"
