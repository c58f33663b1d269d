"""HRNet (Sun et al., High-Resolution Representations, 2019) of timm, with mmdet's and mmsegmentation's details."""

from typing import Any, cast

from detectron2.config import CfgNode
from detectron2.layers import Conv2d, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from fvcore.nn import weight_init
from torch import Tensor, cat, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from ..config import with_our_keys
from ..errors import ConfigError
from .timm_backbone import TimmBackbone, create_features, import_timm
from .tracing import same_size

# Channels of the finest branch, which timm's names of models end with.
WIDTHS = (18, 30, 32, 40, 44, 48, 64)
_LEVELS = 5


class HRNet(TimmBackbone):
    """Four branches, res2 (stride 4) to res5 (32), of ``width``, and 2, 4 and 8 times as many channels.

    ``bilinear`` resizes maps that are added to a finer branch between four pixels and to that branch's size, as
    mmsegmentation does, so that images may be of any size; else by repeating pixels, as mmdet and timm do, which needs
    sizes that divide by 32. ``synchronised`` makes all norms `torch.nn.SyncBatchNorm`; see the parent for
    ``fixed_norm_statistics``. Parameters have timm's names, which are mmdet's and mmsegmentation's too.
    """

    name_key = "MODEL.HRNET.WIDTH"

    def __init__(
        self,
        width: int,
        *,
        in_channels: int = 3,
        bilinear: bool = False,
        synchronised: bool = False,
        fixed_norm_statistics: bool = False,
    ) -> None:
        # Without the channels that timm adds for a classifier.
        options: dict[str, Any] = {"feature_location": "", "out_indices": (1, 2, 3, 4)}
        body = create_features(f"hrnet_w{width}", in_chans=in_channels, **options)
        if synchronised:
            body = nn.SyncBatchNorm.convert_sync_batchnorm(body)  # type: ignore[no-untyped-call]
        super().__init__(body, fixed_norm_statistics=fixed_norm_statistics)
        if bilinear:
            _BilinearFusion.convert(body)


class HRFPN(Backbone):
    """HRNet's pyramid of features, as in mmdet: all branches together at the finest size, then pooled to p2 to p6.

    Images are padded to sides that divide by 32. A level has ``out_channels`` channels.
    """

    size_divisibility = 32

    def __init__(self, bottom_up: HRNet, out_channels: int) -> None:
        super().__init__()
        self.bottom_up = bottom_up
        inputs = bottom_up.output_shape()
        self.in_features = list(inputs)
        self.fpn_reduction = Conv2d(sum(shape.channels for shape in inputs.values()), out_channels, 1)
        self._out_features = [f"p{i + 2}" for i in range(_LEVELS)]
        self._out_feature_strides = {name: 4 * 2**i for i, name in enumerate(self._out_features)}
        self._out_feature_channels = dict.fromkeys(self._out_features, out_channels)
        for i in range(_LEVELS):
            self.add_module(f"fpn_output{i + 2}", Conv2d(out_channels, out_channels, 3, padding=1))
        for layer in self.children():
            if isinstance(layer, Conv2d):
                weight_init.c2_xavier_fill(layer)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps images (N, 3, H, W) to levels p2 to p6 (N, out_channels, H / stride, W / stride)."""
        branches = self.bottom_up(x)
        maps = [branches[name] for name in self.in_features]
        finest = [maps[0]]
        for i, one in enumerate(maps[1:], 1):
            finest.append(F.interpolate(one, scale_factor=2.0**i, mode="bilinear", align_corners=False))
        reduced = self.fpn_reduction(cat(finest, dim=1))
        levels = [reduced, *(F.avg_pool2d(reduced, kernel_size=2**i, stride=2**i) for i in range(1, _LEVELS))]
        return {name: getattr(self, f"fpn_output{i + 2}")(levels[i]) for i, name in enumerate(self._out_features)}


class _BilinearFusion(nn.Module):
    """timm's `HighResolutionModule` with mmsegmentation's way of resizing; the state is the same."""

    branches: nn.ModuleList
    fuse_layers: nn.ModuleList
    fuse_act: nn.Module

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        """Maps a branch's maps (N, C, h, w) each, from fine to coarse, to maps of the same shapes."""
        maps = [branch(one) for branch, one in zip(self.branches, x, strict=True)]
        fused = []
        for own, layers in zip(maps, self.fuse_layers, strict=True):
            terms = zip(cast("nn.ModuleList", layers), maps, strict=True)
            summed = [_resized(layer(one), own) for layer, one in terms]
            fused.append(self.fuse_act(sum(summed[1:], summed[0])))
        return fused

    @classmethod
    def convert(cls, body: nn.Module) -> None:
        """Makes all modules of several branches inside ``body`` such ones, in place."""
        from timm.models.hrnet import HighResolutionModule

        for module in body.modules():
            if isinstance(module, HighResolutionModule) and module.num_branches > 1:
                # mmsegmentation resizes by the ratio of the strides first.
                for layer in module.fuse_layers.modules():
                    if isinstance(layer, nn.Upsample):
                        layer.mode = "bilinear"
                module.__class__ = cls  # type: ignore[assignment]


def _resized(maps: Tensor, target: Tensor) -> Tensor:
    """Maps (N, C, h, w) at the size of ``target``'s."""
    if same_size(maps.shape[-2:], target.shape[-2:]):
        return maps
    return F.interpolate(maps, size=target.shape[-2:], mode="bilinear", align_corners=False)


@BACKBONE_REGISTRY.register()
def build_hrnet_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> HRNet:
    """Builds an HRNet by the keys under ``MODEL.HRNET``, without a pyramid of features.

    Raises `ConfigError` where timm is not installed, or the keys ask for what there is not.
    """
    import_timm(f"MODEL.BACKBONE.NAME {cfg.MODEL.BACKBONE.NAME}")
    cfg = with_our_keys(cfg)
    keys = cfg.MODEL.HRNET
    if keys.WIDTH not in WIDTHS:
        raise ConfigError(f"MODEL.HRNET.WIDTH is {keys.WIDTH}; there are {', '.join(map(str, WIDTHS))}.")
    if keys.NORM not in ("BN", "SyncBN"):
        raise ConfigError(f"MODEL.HRNET.NORM is {keys.NORM!r}; there are BN and SyncBN.")
    fixed = cfg.MODEL.BACKBONE.FIXED_NORM_STATISTICS
    if fixed and keys.NORM != "BN":
        raise ConfigError(f"MODEL.HRNET.NORM is {keys.NORM!r}; MODEL.BACKBONE.FIXED_NORM_STATISTICS needs BN.")
    return HRNet(
        keys.WIDTH,
        in_channels=input_shape.channels,
        bilinear=keys.BILINEAR,
        synchronised=keys.NORM == "SyncBN",
        fixed_norm_statistics=fixed,
    )


@BACKBONE_REGISTRY.register()
def build_hrnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> HRFPN:
    """Builds an `HRFPN` of ``MODEL.FPN.OUT_CHANNELS`` channels over an HRNet; raises as `build_hrnet_backbone`."""
    return HRFPN(build_hrnet_backbone(cfg, input_shape), cfg.MODEL.FPN.OUT_CHANNELS)
