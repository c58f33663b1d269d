"""ConvNeXt (Liu et al., 2022) and Swin (Liu et al., 2021) from torchvision, with what the zoo's models add to them."""

from dataclasses import dataclass
from functools import partial

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.swin_transformer import SwinTransformer, SwinTransformerBlock

from ..config import with_our_keys
from ..errors import ConfigError, did_you_mean
from .window_attention import WindowAttention

_STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}
# Side of the squares of pixels that both families begin with.
_PATCH = 4
_WINDOW = 7
CONVNEXT_EPS = 1e-6
SWIN_EPS = 1e-5


@dataclass(frozen=True)
class Architecture:
    """A size of one of the two families: channels and blocks of its four stages, and heads where it is a Swin."""

    title: str
    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    heads: tuple[int, ...] = ()

    @property
    def is_swin(self) -> bool:
        """Whether it is a Swin, else it is a ConvNeXt."""
        return bool(self.heads)


_NARROW, _WIDE = (96, 192, 384, 768), (128, 256, 512, 1024)
# torchvision's names of the models.
ARCHITECTURES = {
    "convnext_tiny": Architecture("ConvNeXt-T", _NARROW, (3, 3, 9, 3)),
    "convnext_small": Architecture("ConvNeXt-S", _NARROW, (3, 3, 27, 3)),
    "convnext_base": Architecture("ConvNeXt-B", _WIDE, (3, 3, 27, 3)),
    "swin_t": Architecture("Swin-T", _NARROW, (2, 2, 6, 2), (3, 6, 12, 24)),
    "swin_s": Architecture("Swin-S", _NARROW, (2, 2, 18, 2), (3, 6, 12, 24)),
    "swin_b": Architecture("Swin-B", _WIDE, (2, 2, 18, 2), (4, 8, 16, 32)),
}


class TorchvisionBackbone(Backbone):
    """A ConvNeXt or Swin of torchvision as a Detectron2 backbone for images of any size, without padding to a stride.

    ``features`` keeps torchvision's names. With ``out_norms`` each output has a layer norm of its own, ``norms.res2``
    and so on, which the next stage does not see, as in mmdet and mmsegmentation. ``downsample_eps`` is the epsilon of
    the norms before ConvNeXt's downsampling convolutions. Stages behind the last of ``out_features`` are left out.
    """

    def __init__(
        self,
        name: str,
        *,
        out_features: tuple[str, ...] = tuple(_STRIDES),
        drop_path: float = 0.0,
        out_norms: bool = True,
        downsample_eps: float = CONVNEXT_EPS,
    ) -> None:
        super().__init__()
        self.architecture = ARCHITECTURES[name]
        self.is_swin = self.architecture.is_swin
        self.downsample_eps = downsample_eps
        stages = [i for i, level in enumerate(_STRIDES) if level in out_features]
        build = _swin if self.is_swin else _convnext
        features = build(self.architecture, drop_path)
        self.features = features[: 2 * stages[-1] + 2]
        if not self.is_swin:
            for i in range(2, len(self.features), 2):
                self.features.get_submodule(f"{i}.0").eps = downsample_eps  # type: ignore[assignment]  # a norm's
        self._out_features = [level for level in _STRIDES if level in out_features]
        self._out_feature_strides = {level: _STRIDES[level] for level in self._out_features}
        self._out_feature_channels = {
            level: self.architecture.channels[i] for level, i in zip(self._out_features, stages, strict=True)
        }
        norm = partial(nn.LayerNorm, eps=SWIN_EPS if self.is_swin else CONVNEXT_EPS)
        channels = self._out_feature_channels
        self.norms = nn.ModuleDict(
            {level: norm(channels[level]) if out_norms else nn.Identity() for level in self._out_features}
        )
        # Where in `features` a stage ends whose map is put out.
        self._ends = [2 * i + 1 for i in stages]

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps images (N, 3, H, W) to res2 to res5, (N, C, h, w), whose channels are last in memory.

        The sizes are those of a division by 4, and by 2 from level to level: rounded down in ConvNeXt, up in Swin.
        """
        if self.is_swin:
            x = F.pad(x, (0, -x.shape[3] % 4, 0, -x.shape[2] % 4))
        elif not x.is_cuda:
            # On a CPU it takes half the time.
            x = x.contiguous(memory_format=torch.channels_last)
        maps: list[Tensor] = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self._ends:
                maps.append(x if self.is_swin else x.permute(0, 2, 3, 1))
        result: dict[str, Tensor] = {}
        for i, (level, norm) in enumerate(self.norms.items()):
            result[level] = norm(maps[i]).permute(0, 3, 1, 2)
        return result


def _convnext(architecture: Architecture, drop_path: float) -> nn.Sequential:
    channels = architecture.channels
    stages = zip(channels, (*channels[1:], None), architecture.blocks, strict=True)
    # The scale that its branches start from in mmdet's recipes.
    body = ConvNeXt([CNBlockConfig(*stage) for stage in stages], drop_path, layer_scale=1.0, num_classes=1)
    features: nn.Sequential = body.features
    return features


def _swin(architecture: Architecture, drop_path: float) -> nn.Sequential:
    body = SwinTransformer(
        [_PATCH, _PATCH],
        architecture.channels[0],
        list(architecture.blocks),
        list(architecture.heads),
        [_WINDOW, _WINDOW],
        stochastic_depth_prob=drop_path,
        num_classes=1,
        block=partial(SwinTransformerBlock, attn_layer=WindowAttention),
    )
    features: nn.Sequential = body.features
    return features


@BACKBONE_REGISTRY.register()
def build_torchvision_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> TorchvisionBackbone:
    """Builds the model ``MODEL.TORCHVISION.NAME`` with random weights; ``MODEL.WEIGHTS`` fills it.

    Raises `ConfigError` for a name or a level that there is not, or images of other than three channels.
    """
    keys = with_our_keys(cfg).MODEL.TORCHVISION
    if keys.NAME not in ARCHITECTURES:
        hint = did_you_mean(keys.NAME, ARCHITECTURES)
        names = ", ".join(ARCHITECTURES)
        raise ConfigError(f"MODEL.TORCHVISION.NAME is {keys.NAME!r}; there are {names}.{hint and f' {hint}'}")
    if not keys.OUT_FEATURES or set(keys.OUT_FEATURES) - set(_STRIDES):
        raise ConfigError(f"MODEL.TORCHVISION.OUT_FEATURES is {keys.OUT_FEATURES}; give some of {', '.join(_STRIDES)}.")
    if not 0 <= keys.DROP_PATH < 1:
        raise ConfigError(f"MODEL.TORCHVISION.DROP_PATH is {keys.DROP_PATH}; give a probability from 0 to below 1.")
    if input_shape.channels != 3:
        raise ConfigError(f"{keys.NAME} takes images of 3 channels, not {input_shape.channels}; see MODEL.PIXEL_MEAN.")
    return TorchvisionBackbone(
        keys.NAME,
        out_features=tuple(keys.OUT_FEATURES),
        drop_path=keys.DROP_PATH,
        out_norms=keys.OUT_NORMS,
        downsample_eps=keys.DOWNSAMPLE_EPS,
    )


@BACKBONE_REGISTRY.register()
def build_torchvision_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Builds Detectron2's FPN with P2 to P6 over a model of torchvision; raises `ConfigError` as the model's."""
    body, fpn = build_torchvision_backbone(cfg, input_shape), cfg.MODEL.FPN
    missing = [level for level in fpn.IN_FEATURES if level not in body.output_shape()]
    if missing:
        raise ConfigError(
            f"MODEL.FPN.IN_FEATURES asks for {', '.join(missing)}; MODEL.TORCHVISION.OUT_FEATURES has "
            f"{', '.join(body.output_shape())}. Let both have the same levels."
        )
    return FPN(body, fpn.IN_FEATURES, fpn.OUT_CHANNELS, fpn.NORM, LastLevelMaxPool(), fpn.FUSE_TYPE)
