"""The heads of the segmentation zoo: FCN, PSPNet, DeepLabV3, DeepLabV3+ and UPerNet, as mmsegmentation computes them.

Detectron2 and torchvision have other ones under these names: they put DeepLab's pooled branch last and project by 1x1.
The names of the modules are mmsegmentation's, but that a convolution holds its norm.
"""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from ..config import with_our_keys
from .adaptive_pooling import ExportableAdaptiveAvgPool2d
from .tracing import same_size

# The sides of PSPNet's and UPerNet's pooled maps, and the dilations of DeepLab's branches.
_POOLED = (1, 2, 3, 6)
_DILATIONS = (12, 24, 36)
# What DeepLabV3+ makes of its finest map.
_FINE_CHANNELS = 48


class DecodeHead(nn.Module):
    """Maps feature maps to logits; what its subclasses compute ends in dropout and a 1x1 convolution ``conv_seg``.

    Args:
        input_shape: of the maps in ``in_features``, in their order.
        channels: of what the head computes before the logits.
        num_classes: K, without the ignored one.
        norm: of each convolution but the last, as Detectron2's `get_norm` takes it.
        dropout: the share of channels that are zeroed before the logits in training.
        align_corners: how maps are resized, see `torch.nn.functional.interpolate`.
        loss_weight: what the loss is multiplied by.
        ignore_value: the id of pixels without a class.
        average_over_ignored: divide the loss by all pixels, as the zoo's recipes do, or by those with a class.
    """

    @configurable
    def __init__(
        self,
        input_shape: dict[str, ShapeSpec],
        *,
        in_features: Sequence[str],
        channels: int,
        num_classes: int,
        norm: str = "BN",
        dropout: float = 0.1,
        align_corners: bool = False,
        loss_weight: float = 1.0,
        ignore_value: int = 255,
        average_over_ignored: bool = True,
    ) -> None:
        super().__init__()
        self.in_features = list(in_features)
        self.in_channels = [input_shape[name].channels for name in self.in_features]
        self.channels, self.norm, self.align_corners = channels, norm, align_corners
        self.loss_weight, self.ignore_value, self.average_over_ignored = loss_weight, ignore_value, average_over_ignored
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)
        nn.init.normal_(self.conv_seg.weight, std=0.01)
        nn.init.zeros_(self.conv_seg.bias)  # type: ignore[arg-type]

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """The constructor's arguments from ``cfg.MODEL.SEM_SEG_HEAD``."""
        keys = with_our_keys(cfg).MODEL.SEM_SEG_HEAD
        return {
            "input_shape": input_shape,
            "in_features": keys.IN_FEATURES,
            "channels": keys.CONVS_DIM,
            "num_classes": keys.NUM_CLASSES,
            "norm": keys.NORM,
            "dropout": keys.DROPOUT,
            "align_corners": keys.ALIGN_CORNERS,
            "loss_weight": keys.LOSS_WEIGHT,
            "ignore_value": keys.IGNORE_VALUE,
            "average_over_ignored": keys.AVERAGE_OVER_IGNORED,
        }

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Maps feature maps (N, C, h, w) by name to logits (N, K, h, w) at the size of the head's finest map."""
        decoded = self.decode([features[name] for name in self.in_features])
        logits: Tensor = self.conv_seg(self.dropout(decoded))
        return logits

    def decode(self, maps: list[Tensor]) -> Tensor:
        """Maps those of ``in_features`` to (N, channels, h, w)."""
        raise NotImplementedError

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The cross entropy, a scalar, of logits (N, K, h, w), which are resized, against ids (N, H, W)."""
        logits = self.resize(logits.float(), targets.shape[-2:])
        loss = F.cross_entropy(logits, targets, reduction="sum", ignore_index=self.ignore_value)
        pixels = targets.numel() if self.average_over_ignored else (targets != self.ignore_value).sum()
        return self.loss_weight * loss / torch.as_tensor(pixels, device=loss.device).clamp(min=1)

    def resize(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Resizes maps (N, C, h, w) to ``size``, height and width, as the head resizes."""
        if same_size(maps.shape[-2:], size):
            return maps
        return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=self.align_corners)

    def conv(self, in_channels: int, out_channels: int, kernel: int, *, dilation: int = 1, groups: int = 1) -> Conv2d:
        """A convolution that keeps the size, with norm and ReLU."""
        conv = Conv2d(
            in_channels,
            out_channels,
            kernel,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=groups,
            bias=not self.norm,
            norm=get_norm(self.norm, out_channels),
            activation=F.relu,
        )
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        return conv


@SEM_SEG_HEADS_REGISTRY.register()
class FCNHead(DecodeHead):
    """Convolutions on one map (Long et al., 2015), or on several that are resized to the first and put together.

    ``concatenate`` puts the map before what was computed and convolves once more. The zoo's FCN has two 3x3
    convolutions and concatenates, its auxiliary heads have one and do not.
    """

    @configurable
    def __init__(
        self,
        input_shape: dict[str, ShapeSpec],
        *,
        num_convs: int = 2,
        kernel: int = 3,
        concatenate: bool = True,
        **kwargs: Any,  # noqa: ANN401, the parent's keyword arguments
    ) -> None:
        super().__init__(input_shape, **kwargs)
        inner = sum(self.in_channels)
        inputs = (inner, *(self.channels,) * (num_convs - 1))
        self.convs = nn.Sequential(*(self.conv(number, self.channels, kernel) for number in inputs))
        self.conv_cat = self.conv(inner + self.channels, self.channels, kernel) if concatenate else None

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """The constructor's arguments from ``cfg.MODEL.SEM_SEG_HEAD``."""
        keys = with_our_keys(cfg).MODEL.SEM_SEG_HEAD.FCN
        own = {"num_convs": keys.NUM_CONVS, "kernel": keys.KERNEL, "concatenate": keys.CONCATENATE}
        return super().from_config(cfg, input_shape) | own

    def decode(self, maps: list[Tensor]) -> Tensor:
        """See the parent."""
        x = maps[0] if len(maps) == 1 else torch.cat([self.resize(one, maps[0].shape[-2:]) for one in maps], dim=1)
        decoded = self.compute(x)
        return decoded if self.conv_cat is None else self.conv_cat(torch.cat([x, decoded], dim=1))

    def compute(self, x: Tensor) -> Tensor:
        """Maps what the head takes, (N, C, h, w), to (N, channels, h, w)."""
        decoded: Tensor = self.convs(x)
        return decoded


class _PooledContext(DecodeHead):
    """Adds to a map what is pooled from it to sides of 1, 2, 3 and 6 (Zhao et al., 2017)."""

    @configurable
    def __init__(self, input_shape: dict[str, ShapeSpec], **kwargs: Any) -> None:  # noqa: ANN401, the parent's
        super().__init__(input_shape, **kwargs)
        coarsest = self.in_channels[-1]
        pooled = [
            nn.Sequential(ExportableAdaptiveAvgPool2d(side), self.conv(coarsest, self.channels, 1)) for side in _POOLED
        ]
        self.psp_modules = nn.ModuleList(pooled)
        self.bottleneck = self.conv(coarsest + len(_POOLED) * self.channels, self.channels, 3)

    def context(self, x: Tensor) -> Tensor:
        """Maps the coarsest map (N, C, h, w) to (N, channels, h, w)."""
        pooled = [self.resize(module(x), x.shape[-2:]) for module in self.psp_modules]
        result: Tensor = self.bottleneck(torch.cat([x, *pooled], dim=1))
        return result


@SEM_SEG_HEADS_REGISTRY.register()
class PSPHead(_PooledContext):
    """PSPNet's (Zhao et al., Pyramid Scene Parsing Network, 2017)."""

    def decode(self, maps: list[Tensor]) -> Tensor:
        """See the parent."""
        return self.context(maps[-1])


@SEM_SEG_HEADS_REGISTRY.register()
class UPerHead(_PooledContext):
    """UPerNet's (Xiao et al., Unified Perceptual Parsing, 2018): pooled context on top of a pyramid of features."""

    @configurable
    def __init__(self, input_shape: dict[str, ShapeSpec], **kwargs: Any) -> None:  # noqa: ANN401, the parent's
        super().__init__(input_shape, **kwargs)
        finer = self.in_channels[:-1]
        self.lateral_convs = nn.ModuleList(self.conv(number, self.channels, 1) for number in finer)
        self.fpn_convs = nn.ModuleList(self.conv(self.channels, self.channels, 3) for _ in finer)
        self.fpn_bottleneck = self.conv(len(self.in_channels) * self.channels, self.channels, 3)

    def decode(self, maps: list[Tensor]) -> Tensor:
        """See the parent; the result has the size of the finest map."""
        levels = [self.context(maps[-1])]
        for lateral, finer in zip(reversed(self.lateral_convs), maps[-2::-1], strict=True):
            levels.append(lateral(finer) + self.resize(levels[-1], finer.shape[-2:]))
        coarsest, *levels = levels
        levels = [conv(level) for conv, level in zip(self.fpn_convs, reversed(levels), strict=True)]
        size = levels[0].shape[-2:]
        result: Tensor = self.fpn_bottleneck(torch.cat([self.resize(one, size) for one in (*levels, coarsest)], dim=1))
        return result


@SEM_SEG_HEADS_REGISTRY.register()
class ASPPHead(DecodeHead):
    """DeepLabV3's (Chen et al., Rethinking Atrous Convolution, 2017): dilated convolutions beside the map's average."""

    @configurable
    def __init__(self, input_shape: dict[str, ShapeSpec], **kwargs: Any) -> None:  # noqa: ANN401, the parent's
        super().__init__(input_shape, **kwargs)
        coarsest = self.in_channels[-1]
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), self.conv(coarsest, self.channels, 1))
        dilated = [self.dilated(coarsest, dilation) for dilation in _DILATIONS]
        self.aspp_modules = nn.ModuleList([self.conv(coarsest, self.channels, 1), *dilated])
        self.bottleneck = self.conv((2 + len(_DILATIONS)) * self.channels, self.channels, 3)

    def dilated(self, in_channels: int, dilation: int) -> "Conv2d | _Separable":
        """A branch of 3x3 convolutions."""
        return self.conv(in_channels, self.channels, 3, dilation=dilation)

    def decode(self, maps: list[Tensor]) -> Tensor:
        """See the parent."""
        x = maps[-1]
        average = self.image_pool(x).expand(-1, -1, *x.shape[-2:])
        result: Tensor = self.bottleneck(torch.cat([average, *(module(x) for module in self.aspp_modules)], dim=1))
        return result


@SEM_SEG_HEADS_REGISTRY.register()
class SeparableASPPHead(ASPPHead):
    """DeepLabV3+'s (Chen et al., Encoder-Decoder with Atrous Separable Convolution, 2018).

    ``in_features`` are its finest map, which the result has the size of, and its coarsest.
    """

    @configurable
    def __init__(self, input_shape: dict[str, ShapeSpec], **kwargs: Any) -> None:  # noqa: ANN401, the parent's
        super().__init__(input_shape, **kwargs)
        self.c1_bottleneck = self.conv(self.in_channels[0], _FINE_CHANNELS, 1)
        inputs = (self.channels + _FINE_CHANNELS, self.channels)
        self.sep_bottleneck = nn.Sequential(*(_Separable(self, number) for number in inputs))

    def dilated(self, in_channels: int, dilation: int) -> "_Separable":
        """A depthwise and a pointwise convolution."""
        return _Separable(self, in_channels, dilation)

    def decode(self, maps: list[Tensor]) -> Tensor:
        """See the parent."""
        fine = self.c1_bottleneck(maps[0])
        coarse = self.resize(super().decode(maps), fine.shape[-2:])
        result: Tensor = self.sep_bottleneck(torch.cat([coarse, fine], dim=1))
        return result


class _Separable(nn.Module):
    """A 3x3 convolution of each channel, then one of all channels at each pixel, each with norm and ReLU."""

    def __init__(self, head: DecodeHead, in_channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise_conv = head.conv(in_channels, in_channels, 3, dilation=dilation, groups=in_channels)
        self.pointwise_conv = head.conv(in_channels, head.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, h, w) to (N, channels, h, w)."""
        result: Tensor = self.pointwise_conv(self._depthwise(x))
        return result

    def _depthwise(self, x: Tensor) -> Tensor:
        conv = self.depthwise_conv
        if x.device.type != "cpu" or conv.dilation == (1, 1):
            result: Tensor = conv(x)
            return result
        # With the channels last the pixels of many channels that are far apart share their places in a CPU's cache:
        # 2048 channels take three times as long. The view has the strides by which PyTorch tells the layout.
        weight = conv.weight.flatten().view(conv.weight.shape)
        x = F.conv2d(
            x.contiguous(), weight, conv.bias, padding=conv.padding, dilation=conv.dilation, groups=len(weight)
        )
        if conv.norm is not None:
            x = conv.norm(x)
        return F.relu(x)
