"""The head of ATSS: two towers of convolutions, shared by all levels."""

import math
from typing import Any

import torch
from detectron2.layers import Conv2d, get_norm
from torch import Tensor, nn


class ATSSHead(nn.Module):
    """Two towers of convolutions, shared by all levels, and a factor for the deltas of each level."""

    def __init__(
        self, *, channels: int, num_levels: int, num_classes: int, num_convs: int, norm: str, prior_prob: float
    ) -> None:
        super().__init__()
        self.cls_subnet = nn.Sequential(*(_tower_conv(channels, norm) for _ in range(num_convs)))
        self.bbox_subnet = nn.Sequential(*(_tower_conv(channels, norm) for _ in range(num_convs)))
        self.cls_score = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.centerness = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in range(num_levels))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        bias: Any = self.cls_score.bias
        nn.init.constant_(bias, -math.log((1 - prior_prob) / prior_prob))

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Maps levels (N, C, h, w) to class logits (N, K, h, w), deltas (N, 4, h, w) and centerness (N, 1, h, w)."""
        logits: list[Tensor] = []
        deltas: list[Tensor] = []
        central: list[Tensor] = []
        for i, scale in enumerate(self.scales):
            boxes = self.bbox_subnet(features[i])
            logits.append(self.cls_score(self.cls_subnet(features[i])))
            deltas.append(scale(self.bbox_pred(boxes)))
            central.append(self.centerness(boxes))
        return logits, deltas, central


class Scale(nn.Module):
    """A trained factor, 1 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` times the factor."""
        return x * self.scale


def _tower_conv(channels: int, norm: str) -> Conv2d:
    layer = get_norm(norm, channels)
    # A module, which TorchScript takes, where it takes no function.
    return Conv2d(channels, channels, 3, padding=1, bias=layer is None, norm=layer, activation=nn.ReLU())
