"""Semantic FPN (Kirillov et al., Panoptic Feature Pyramid Networks, 2019) for images of any size."""

import math
from typing import Any, cast

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY, SEM_SEG_HEADS_REGISTRY, SemanticSegmentor
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from detectron2.modeling.postprocessing import sem_seg_postprocess
from detectron2.structures import ImageList
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from ..config import with_our_keys
from .deformable import OffsetConv2d
from .recipe import starts_as_vis4d
from .tracing import same_size


@META_ARCH_REGISTRY.register()
class SemanticFPN(SemanticSegmentor):
    """Detectron2's `SemanticSegmentor` for a backbone that takes any size; the parameters have the same names.

    Images are not padded beyond the largest of the batch; logits of the asked size are not resampled.
    """

    def forward(self, batched_inputs: list[dict[str, Any]]) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Takes one dict per image, and returns in training the losses, else dicts with logits (K, height, width).

        The inputs are ``image`` (3, H, W) in 0..255; in training ``sem_seg`` (H, W) class ids; and ``height`` and
        ``width``, the size of the result in pixels (default: that of ``image``). The logits are ``sem_seg``.
        """
        divisibility = self.backbone.size_divisibility
        images = [(x["image"].to(self.device) - self.pixel_mean) / self.pixel_std for x in batched_inputs]
        images = ImageList.from_tensors(images, divisibility)
        features = self.backbone(images.tensor)
        if self.training:
            targets = [x["sem_seg"].to(self.device) for x in batched_inputs]
            targets = ImageList.from_tensors(targets, divisibility, self.sem_seg_head.ignore_value)
            losses: dict[str, Tensor] = self.sem_seg_head(features, targets.tensor)[1]
            return losses
        logits, _ = self.sem_seg_head(features)
        results = []
        for result, inputs, (height, width) in zip(logits, batched_inputs, images.image_sizes, strict=True):
            size = (inputs.get("height", height), inputs.get("width", width))
            if same_size(size, (height, width)):
                result = result[:, :height, :width]
            else:
                result = sem_seg_postprocess(result, (height, width), *size)
            results.append({"sem_seg": result})
        return results


@SEM_SEG_HEADS_REGISTRY.register()
class SemanticFPNHead(SemSegFPNHead):
    """Detectron2's `SemSegFPNHead` with dropout, the recipe's loss, and branches resized to the finest level's size.

    ``dropout`` is the share of channels that are zeroed before the predictor in training; ``average_over_ignored``
    divides the loss by all pixels instead of by those that are not ignored; ``loss_at_stride`` takes it of logits that
    are not resized; ``init_as_vis4d`` starts the convolutions as Vis4D does; ``deformable`` makes the 3x3 ones
    deformable, of version 2. With none of these and sizes that divide
    by 32 it equals its parent.
    """

    @configurable
    def __init__(
        self,
        input_shape: dict[str, ShapeSpec],
        *,
        dropout: float = 0.0,
        average_over_ignored: bool = False,
        loss_at_stride: bool = False,
        init_as_vis4d: bool = False,
        deformable: bool = False,
        **kwargs: Any,  # noqa: ANN401, the parent's keyword arguments
    ) -> None:
        super().__init__(input_shape, **kwargs)
        self.dropout = nn.Dropout2d(dropout)
        self.average_over_ignored = average_over_ignored
        self.loss_at_stride = loss_at_stride
        for branch in self.scale_heads:
            for i, layer in enumerate(branch):
                if isinstance(layer, nn.Conv2d) and deformable:
                    # A convolution of Detectron2, which holds its norm.
                    norm = cast("nn.Module | None", layer.norm)
                    branch[i] = OffsetConv2d(layer.in_channels, layer.out_channels, norm)
                if isinstance(layer, nn.Conv2d) and init_as_vis4d:
                    # PyTorch's own start of a convolution.
                    nn.init.kaiming_uniform_(branch[i].weight, a=math.sqrt(5))
        if init_as_vis4d:
            nn.init.kaiming_normal_(self.predictor.weight, mode="fan_out", nonlinearity="relu")

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """The constructor's arguments from ``cfg.MODEL.SEM_SEG_HEAD``."""
        arguments: dict[str, Any] = super().from_config(cfg, input_shape)
        keys = with_our_keys(cfg).MODEL.SEM_SEG_HEAD
        arguments["dropout"] = keys.DROPOUT
        arguments["init_as_vis4d"] = starts_as_vis4d(cfg, "SEM_SEG_HEAD")
        arguments["average_over_ignored"] = keys.AVERAGE_OVER_IGNORED
        arguments["loss_at_stride"] = keys.LOSS_AT_STRIDE
        arguments["deformable"] = keys.DEFORMABLE
        return arguments

    def layers(self, features: dict[str, Tensor]) -> Tensor:
        """Maps feature maps (N, C, h, w) to logits (N, K, H / stride, W / stride) at the finest map's size."""
        total = self.scale_heads[0](features[self.in_features[0]])
        size = total.shape[-2:]
        for name, head in zip(self.in_features[1:], self.scale_heads[1:], strict=True):
            branch = head(features[name])
            if not same_size(branch.shape[-2:], size):
                branch = F.interpolate(branch, size=size, mode="bilinear", align_corners=False)
            total = total + branch
        logits: Tensor = self.predictor(self.dropout(total))
        return logits

    def losses(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Cross entropy of logits (N, K, h, w) at the head's stride against ids (N, H, W)."""
        logits = predictions.float()
        if self.loss_at_stride:
            # The pixels that "nearest" takes.
            targets = targets[..., :: self.common_stride, :: self.common_stride]
        else:
            logits = F.interpolate(logits, scale_factor=self.common_stride, mode="bilinear", align_corners=False)
        height, width = targets.shape[-2:]
        # A size that does not divide by the stride comes back larger.
        logits = logits[..., :height, :width]
        loss = F.cross_entropy(logits, targets, reduction="sum", ignore_index=self.ignore_value)
        pixels = targets.numel() if self.average_over_ignored else (targets != self.ignore_value).sum()
        return {"loss_sem_seg": self.loss_weight * loss / torch.as_tensor(pixels, device=loss.device).clamp(min=1)}
