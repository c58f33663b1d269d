"""Backbones of the recipes that Detectron2 lacks: a deep stem, norms of fixed statistics, FPNs of other details."""

from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase, Conv2d, ShapeSpec, get_norm
from detectron2.modeling import BACKBONE_REGISTRY, FPN, ResNet, build_resnet_backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7
from detectron2.modeling.backbone.resnet import DeformBottleneckBlock
from fvcore.nn import weight_init
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from ..config import with_our_keys
from ..errors import ConfigError
from .deformable import compute_by_torchvision
from .norms import FixedStatisticsBatchNorm2d


class DeepStem(CNNBlockBase):
    """The stem of ResNet-v1c: three 3x3 convolutions (the first of stride 2) and a max pooling, in all stride 4."""

    def __init__(self, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__(in_channels, out_channels, stride=4)
        inner = out_channels // 2
        self.conv1 = _conv3x3(in_channels, inner, norm, stride=2)
        self.conv2 = _conv3x3(inner, inner, norm)
        self.conv3 = _conv3x3(inner, out_channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, ceil(H / 4), ceil(W / 4))."""
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu_(conv(x))
        return F.max_pool2d(x, kernel_size=3, stride=2, padding=1)


class AnySizeFPN(FPN):
    """An FPN that resizes each level to the next finer one, so that sizes need not divide by 32.

    On sizes that do, it equals Detectron2's FPN.
    """

    size_divisibility = 0

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps images (N, 3, H, W) to levels p2 to p5 of shape (N, out_channels, ceil(H / 2^k), ceil(W / 2^k))."""
        bottom_up = self.bottom_up(x)
        coarser = None
        results: list[Tensor] = []
        # Detectron2 holds the convolutions from coarse to fine, the features' names from fine to coarse.
        names = reversed(self.in_features)
        for name, lateral, output in zip(names, self.lateral_convs, self.output_convs, strict=True):
            level = lateral(bottom_up[name])
            if coarser is not None:
                level = level + F.interpolate(coarser, size=level.shape[-2:], mode="nearest")
                if self._fuse_type == "avg":
                    level = level / 2
            results.insert(0, output(level))
            coarser = level
        return dict(zip(self._out_features, results, strict=True))


class LinearP6P7(LastLevelP6P7):
    """The two coarsest levels of dense detectors, P6 and P7 from P6, without a ReLU between them, as mmdet has them."""

    def forward(self, c5: Tensor) -> list[Tensor]:
        """Maps C5 or P5 (N, C, h, w) to P6 and P7, each half the size of the one before."""
        p6 = self.p6(c5)
        return [p6, self.p7(p6)]


@BACKBONE_REGISTRY.register()
def build_bdd100k_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Builds Detectron2's FPN with P2 to P6 over a ResNet with the package's keys."""
    resnet, fpn = _build_resnet(cfg, input_shape), cfg.MODEL.FPN
    return FPN(resnet, fpn.IN_FEATURES, fpn.OUT_CHANNELS, fpn.NORM, LastLevelMaxPool(), fpn.FUSE_TYPE)


@BACKBONE_REGISTRY.register()
def build_bdd100k_retinanet_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Builds Detectron2's FPN with P3 to P7 over a ResNet with the package's keys."""
    resnet, fpn = _build_resnet(cfg, input_shape), with_our_keys(cfg).MODEL.FPN
    last_levels = LastLevelP6P7 if fpn.RELU_BEFORE_P7 else LinearP6P7
    source = fpn.TOP_BLOCK_IN_FEATURE
    if source not in ("res5", "p5"):
        raise ConfigError(f"MODEL.FPN.TOP_BLOCK_IN_FEATURE is {source!r}; there are res5 and p5.")
    channels = resnet.output_shape()["res5"].channels if source == "res5" else fpn.OUT_CHANNELS
    top_block = last_levels(channels, fpn.OUT_CHANNELS, source)
    return FPN(resnet, fpn.IN_FEATURES, fpn.OUT_CHANNELS, fpn.NORM, top_block, fpn.FUSE_TYPE)


@BACKBONE_REGISTRY.register()
def build_resnet_semantic_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> AnySizeFPN:
    """Builds an `AnySizeFPN` with P2 to P5 over a ResNet with the package's keys."""
    resnet, fpn = _build_resnet(cfg, input_shape), cfg.MODEL.FPN
    return AnySizeFPN(resnet, fpn.IN_FEATURES, fpn.OUT_CHANNELS, fpn.NORM, fuse_type=fpn.FUSE_TYPE)


@BACKBONE_REGISTRY.register()
def build_bdd100k_resnet_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    """Builds a ResNet with the package's keys, without an FPN, for images of any size."""
    return _build_resnet(cfg, input_shape)


def _build_resnet(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    cfg = with_our_keys(cfg)
    stages = cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE
    if any(stages) and cfg.MODEL.RESNETS.DEPTH < 50:
        raise ConfigError(f"MODEL.RESNETS.DEFORM_ON_PER_STAGE is {stages}; it needs a DEPTH of 50 or more.")
    resnet = build_resnet_backbone(cfg, input_shape)
    compute_by_torchvision(resnet)
    if cfg.MODEL.RESNETS.DEEP_STEM:
        resnet.stem = DeepStem(input_shape.channels, cfg.MODEL.RESNETS.STEM_OUT_CHANNELS, cfg.MODEL.RESNETS.NORM)
        resnet.freeze(cfg.MODEL.BACKBONE.FREEZE_AT)
    _set_output_stride(resnet, cfg)
    if cfg.MODEL.BACKBONE.FIXED_NORM_STATISTICS:
        if cfg.MODEL.RESNETS.NORM not in ("BN", "FrozenBN"):
            raise ConfigError(
                f"MODEL.RESNETS.NORM is {cfg.MODEL.RESNETS.NORM!r}; MODEL.BACKBONE.FIXED_NORM_STATISTICS needs BN."
            )
        FixedStatisticsBatchNorm2d.convert(resnet)
    return resnet


def _set_output_stride(resnet: ResNet, cfg: CfgNode) -> None:
    """Takes the strides of res4 and res5 away and dilates their 3x3 convolutions, in place.

    As in mmsegmentation the first block of a stage keeps the dilation of the stage before; Detectron2's
    ``RES5_DILATION`` dilates all blocks alike.
    """
    keys = cfg.MODEL.RESNETS
    if keys.OUTPUT_STRIDE == 32:
        return
    if keys.OUTPUT_STRIDE != 8 or keys.STRIDE_IN_1X1 or keys.RES5_DILATION != 1 or keys.DEPTH < 50:
        raise ConfigError(
            f"MODEL.RESNETS.OUTPUT_STRIDE is {keys.OUTPUT_STRIDE}; there are 32, and 8 with a DEPTH of 50 or more, "
            "STRIDE_IN_1X1 False and RES5_DILATION 1."
        )
    before = 1
    for stage, dilation in (("res4", 2), ("res5", 4)):
        for block in getattr(resnet, stage, ()):
            block.stride = 1
            # A deformable convolution finds its offsets by another one of its stride and dilation.
            convs = [block.conv2, *([block.conv2_offset] if isinstance(block, DeformBottleneckBlock) else [])]
            for conv in convs:
                conv.stride, conv.dilation, conv.padding = (1, 1), (before, before), (before, before)
            if block.shortcut is not None:
                block.shortcut.stride = (1, 1)
            before = dilation
        if stage in resnet.output_shape():
            resnet._out_feature_strides[stage] = 8


def _conv3x3(in_channels: int, out_channels: int, norm: str, stride: int = 1) -> Conv2d:
    layer = get_norm(norm, out_channels)
    conv = Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False, norm=layer)
    weight_init.c2_msra_fill(conv)
    return conv
