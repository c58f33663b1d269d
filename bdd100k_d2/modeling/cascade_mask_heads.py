"""Cascade Mask R-CNN (Cai and Vasconcelos, Cascade R-CNN, 2019) with a mask head for each stage, as in mmdet."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, cat
from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.modeling.roi_heads import build_mask_head, select_foreground_proposals
from detectron2.structures import Instances
from torch import Tensor, nn

from ..errors import ConfigError
from .roi_heads import BDD100KCascadeROIHeads


@ROI_HEADS_REGISTRY.register()
class BDD100KCascadeMaskROIHeads(BDD100KCascadeROIHeads):
    """A cascade whose stages have a mask head each, where Detectron2 has one for all.

    A stage's mask head is trained on the positive proposals of that stage, with the stage's weight. In inference all of
    them see the final boxes, and their probabilities are averaged. It needs ``loss_weights``; see the parent.
    """

    @configurable
    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401, the parent's keyword arguments
        super().__init__(**kwargs)
        if not self.mask_on or not self.loss_weights:
            raise ConfigError(
                f"MODEL.ROI_HEADS.NAME {type(self).__name__} needs MODEL.MASK_ON True and "
                "MODEL.ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS, one for each stage."
            )

    @classmethod
    def _init_mask_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        keys = cfg.MODEL.ROI_MASK_HEAD
        if not keys.POOLER_TYPE:
            raise ConfigError("MODEL.ROI_MASK_HEAD.POOLER_TYPE is empty; a mask head for each stage needs one.")
        arguments: dict[str, Any] = super()._init_mask_head(cfg, input_shape)
        if arguments:
            channels = input_shape[arguments["mask_in_features"][0]].channels
            shape = ShapeSpec(channels=channels, width=keys.POOLER_RESOLUTION, height=keys.POOLER_RESOLUTION)
            further = [build_mask_head(cfg, shape) for _ in cfg.MODEL.ROI_BOX_CASCADE_HEAD.IOUS[1:]]
            arguments["mask_head"] = nn.ModuleList([arguments["mask_head"], *further])
        return arguments

    def _stage_losses(self, features: dict[str, Tensor], proposals: list[Instances], stage: int) -> dict[str, Tensor]:
        positive, _ = select_foreground_proposals(proposals, self.num_classes)
        pooled = self._pool([features[name] for name in self.mask_in_features], positive, "proposal_boxes")
        losses: dict[str, Tensor] = self.mask_head[stage](pooled, positive)
        return losses

    def _forward_mask(
        self, features: dict[str, Tensor], instances: list[Instances]
    ) -> dict[str, Tensor] | list[Instances]:
        if self.training:
            # The stages have made their own losses.
            return {}
        pooled = self._pool([features[name] for name in self.mask_in_features], instances, "pred_boxes")
        masks = torch.stack([head.layers(pooled).sigmoid() for head in self.mask_head]).mean(dim=0)
        if masks.shape[1] > 1:
            classes = cat([one.pred_classes for one in instances])
            masks = masks[torch.arange(len(classes), device=classes.device), classes][:, None]
        parts = torch.split(masks, [len(one) for one in instances])
        for own, one in zip(parts, instances, strict=True):
            one.pred_masks = own
        return instances

    def _pool(self, maps: list[Tensor], instances: list[Instances], field: str) -> Tensor:
        """What the mask heads see of each box in the ``field`` of ``instances``: (boxes, C, side, side)."""
        pooled: Tensor = self.mask_pooler(maps, [getattr(one, field) for one in instances])
        return pooled
