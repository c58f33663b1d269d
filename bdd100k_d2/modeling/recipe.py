"""What several heads take from the published recipes: limits of box deltas, and initial values."""

import torch
from detectron2.config import CfgNode
from detectron2.modeling.box_regression import Box2BoxTransform
from torch import Tensor

from ..config import with_our_keys
from ..errors import ConfigError


# As Detectron2's, so that models that have it can be scripted. Classes of TorchScript have no parents.
@torch.jit.script
class TwoSidedBox2BoxTransform:
    """Detectron2's `Box2BoxTransform`, which limits how far a box grows, with the same limit on how far it shrinks."""

    def __init__(self, weights: tuple[float, float, float, float]) -> None:
        self.one_sided = Box2BoxTransform(weights)

    def get_deltas(self, src_boxes: Tensor, target_boxes: Tensor) -> Tensor:
        """The deltas (N, 4) that move ``src_boxes`` (N, 4) to ``target_boxes`` (N, 4)."""
        deltas: Tensor = self.one_sided.get_deltas(src_boxes, target_boxes)
        return deltas

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """Moves ``boxes`` (N, 4) by ``deltas`` (N, k * 4); returns (N, k * 4), x1, y1, x2, y2 in pixels."""
        _, _, width_weight, height_weight = self.one_sided.weights
        free = -float("inf")
        shrink = -self.one_sided.scale_clamp
        lowest = torch.tensor(
            [free, free, shrink * width_weight, shrink * height_weight], dtype=deltas.dtype, device=deltas.device
        )
        limits = lowest.repeat(deltas.shape[1] // 4)
        moved: Tensor = self.one_sided.apply_deltas(torch.maximum(deltas, limits), boxes)
        return moved


def build_box2box_transform(
    cfg: CfgNode, weights: tuple[float, float, float, float]
) -> Box2BoxTransform | TwoSidedBox2BoxTransform:
    """The transform that ``MODEL.CLIP_DELTAS_BELOW`` asks for, with ``weights`` for dx, dy, dw, dh."""
    cfg = with_our_keys(cfg)
    transform = TwoSidedBox2BoxTransform if cfg.MODEL.CLIP_DELTAS_BELOW else Box2BoxTransform
    return transform(weights=weights)


def starts_as_vis4d(cfg: CfgNode, head: str) -> bool:
    """Whether the key ``MODEL.<head>.INIT`` asks for Vis4D's initial values; ConfigError for another name."""
    value: str = with_our_keys(cfg).MODEL[head].INIT
    if value not in ("detectron2", "vis4d"):
        raise ConfigError(f"MODEL.{head}.INIT is {value!r}; there are detectron2 and vis4d.")
    return value == "vis4d"
