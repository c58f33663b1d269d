"""PointRend for segmentation (Kirillov et al., 2020) with the loss of the zoo's recipe."""

from collections.abc import Mapping
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from detectron2.projects.point_rend import PointRendSemSegHead
from detectron2.projects.point_rend.point_features import get_uncertain_point_coords_with_randomness, point_sample
from detectron2.projects.point_rend.semantic_seg import calculate_uncertainty
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from ..config import with_our_keys


@SEM_SEG_HEADS_REGISTRY.register()
class PointRendHead(PointRendSemSegHead):
    """Detectron2's `PointRendSemSegHead` with as many classes in the points' head as ``MODEL.SEM_SEG_HEAD`` has.

    With ``MODEL.SEM_SEG_HEAD.AVERAGE_OVER_IGNORED`` the loss of the points is divided by all of them, as the coarse
    head's is by all pixels, instead of by those that are not ignored. Both last layers start as mmsegmentation's.
    """

    def __init__(self, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> None:
        cfg = with_our_keys(cfg).clone()
        cfg.defrost()
        cfg.MODEL.POINT_HEAD.NUM_CLASSES = cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
        super().__init__(cfg, input_shape)
        self.average_over_ignored = cfg.MODEL.SEM_SEG_HEAD.AVERAGE_OVER_IGNORED
        self.loss_weight = cfg.MODEL.SEM_SEG_HEAD.LOSS_WEIGHT
        for layer in (self.coarse_sem_seg_head.predictor, self.point_head.predictor):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(
        self, features: dict[str, Tensor], targets: Tensor | None = None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """In training no logits and the losses ``loss_sem_seg`` and ``loss_sem_seg_point``, else logits and no loss.

        ``features`` are maps (N, C, h, w), ``targets`` class ids (N, H, W). The logits (N, K, H, W) have twice the size
        of the finest map for each of ``MODEL.POINT_HEAD.SUBDIVISION_STEPS``.
        """
        coarse: Tensor = self.coarse_sem_seg_head.layers(features)
        if not self.training or targets is None:
            return self._refined(coarse, features), {}
        losses: dict[str, Tensor] = self.coarse_sem_seg_head.losses(coarse, targets)
        with torch.no_grad():
            drawn = (self.train_num_points, self.oversample_ratio, self.importance_sample_ratio)
            places = get_uncertain_point_coords_with_randomness(coarse, calculate_uncertainty, *drawn)
        logits = self._at(places, coarse, features).float()
        ids = _sampled(targets[:, None].float(), places, mode="nearest")[:, 0].long()
        loss = F.cross_entropy(logits, ids, reduction="sum", ignore_index=self.ignore_value)
        points = ids.numel() if self.average_over_ignored else (ids != self.ignore_value).sum()
        points = torch.as_tensor(points, device=loss.device).clamp(min=1)
        losses["loss_sem_seg_point"] = self.loss_weight * loss / points
        return None, losses

    def _refined(self, coarse: Tensor, features: dict[str, Tensor]) -> Tensor:
        """As its parent, but that what it computes from a size is traced with it."""
        logits = coarse
        for _ in range(self.subdivision_steps):
            logits = F.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)
            height, width = logits.shape[-2:]
            uncertainty = calculate_uncertainty(logits).flatten(1)
            indices = uncertainty.topk(min(self.subdivision_num_points, uncertainty.shape[1]), dim=1).indices
            row = torch.div(indices, width, rounding_mode="floor")
            places = torch.stack([(indices - row * width + 0.5) / width, (row + 0.5) / height], dim=-1)
            anew = self._at(places, coarse, features)
            where = indices[:, None].expand(-1, anew.shape[1], -1)
            logits = logits.flatten(2).scatter(2, where, anew.to(logits.dtype)).view(logits.shape)
        return logits

    def _at(self, places: Tensor, coarse: Tensor, features: dict[str, Tensor]) -> Tensor:
        """The logits (N, K, P) of the points' head at places (N, P, 2)."""
        fine = torch.cat([_sampled(features[name], places) for name in self.in_features], dim=1)
        logits: Tensor = self.point_head(fine, _sampled(coarse, places))
        return logits


def _sampled(maps: Tensor, places: Tensor, **kwargs: Any) -> Tensor:  # noqa: ANN401, `point_sample`'s arguments
    """The values (N, C, P) of maps (N, C, h, w) at places (N, P, 2), x and y from 0 to 1."""
    values: Tensor = point_sample(maps, places, align_corners=False, **kwargs)
    return values
