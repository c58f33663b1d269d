"""Losses of the classes of ROI heads' boxes, beside the softmax of Detectron2: ``MODEL.ROI_BOX_HEAD.CLS_LOSS``."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Instances
from fvcore.nn import sigmoid_focal_loss
from torch import Tensor, nn

from ..config import with_our_keys
from ..errors import ConfigError


class FocalOutputLayers(FastRCNNOutputLayers):
    """Detectron2's `FastRCNNOutputLayers` with a sigmoid for each class and the focal loss of Lin et al., 2017.

    As there the loss is summed over proposals and classes and divided by the number of foreground proposals, and each
    class begins with the score ``prior_prob``. The layer of scores keeps a row for the background, which nothing uses,
    as with ``USE_SIGMOID_CE`` of later versions of Detectron2: checkpoints have the same shapes.

    Args:
        alpha: the weight of a class that a proposal is of, 1 - alpha of those that it is not; -1 for none.
        gamma: how much less what is sure already counts; 0 for the cross entropy.
    """

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        alpha: float,
        gamma: float,
        prior_prob: float,
        **kwargs: Any,  # noqa: ANN401, the parent's
    ) -> None:
        super().__init__(input_shape, **kwargs)
        self.alpha, self.gamma = alpha, gamma
        nn.init.constant_(self.cls_score.bias, -math.log((1 - prior_prob) / prior_prob))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``; ConfigError for impossible ones."""
        keys = with_our_keys(cfg).MODEL.ROI_BOX_HEAD
        alpha, gamma, prior = keys.FOCAL_LOSS_ALPHA, keys.FOCAL_LOSS_GAMMA, keys.PRIOR_PROB
        for key, value, is_possible, what in (
            ("FOCAL_LOSS_ALPHA", alpha, alpha == -1 or 0 <= alpha <= 1, "a weight, 0 to 1, or -1 for none"),
            ("FOCAL_LOSS_GAMMA", gamma, 0 <= gamma < math.inf, "a power, 0 or more"),
            ("PRIOR_PROB", prior, 0 < prior < 1, "a score between 0 and 1"),
        ):
            if not is_possible:
                raise ConfigError(f"MODEL.ROI_BOX_HEAD.{key} is {value}; give {what}.")
        return {**super().from_config(cfg, input_shape), "alpha": alpha, "gamma": gamma, "prior_prob": prior}

    def losses(self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]) -> dict[str, Tensor]:
        """The losses ``loss_cls`` and ``loss_box_reg``."""
        scores, deltas = predictions
        logits = scores[:, : self.num_classes]
        # For what is logged of the classes: a proposal that has no score above 0.5 is background.
        logged = torch.cat([logits.detach(), logits.new_zeros(len(logits), 1)], dim=1)
        losses: dict[str, Tensor] = super().losses((logged, deltas), proposals)
        classes = torch.cat([one.gt_classes for one in proposals])
        targets = nn.functional.one_hot(classes, self.num_classes + 1)[:, : self.num_classes].to(torch.float32)
        loss = sigmoid_focal_loss(logits.float(), targets, self.alpha, self.gamma, reduction="sum")
        weight = self.loss_weight.get("loss_cls", 1.0)
        return {**losses, "loss_cls": loss / max(int(targets.sum()), 1) * weight}

    def predict_probs(self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]) -> Sequence[Tensor]:
        """The scores (R, K + 1) of each image's proposals; the last is of nothing."""
        return torch.split(predictions[0].sigmoid(), [len(one) for one in proposals])


def has_focal_loss(cfg: CfgNode) -> bool:
    """Whether ``cfg`` asks for `FocalOutputLayers`; ConfigError where it names no loss that there is."""
    name = with_our_keys(cfg).MODEL.ROI_BOX_HEAD.CLS_LOSS
    if name not in ("softmax", "sigmoid_focal"):
        raise ConfigError(f"MODEL.ROI_BOX_HEAD.CLS_LOSS is {name!r}; there are softmax and sigmoid_focal.")
    return bool(name == "sigmoid_focal")
