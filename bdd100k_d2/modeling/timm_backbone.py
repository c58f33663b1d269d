"""Backbones from timm, by name: whatever it builds with ``features_only=True``, under an FPN."""

from typing import TYPE_CHECKING, Any, cast

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..config import with_our_keys
from ..errors import ConfigError, did_you_mean
from .resnet_backbone import AnySizeFPN

if TYPE_CHECKING:
    from timm.models import FeatureInfo

# Detectron2's names of levels -> their strides in pixels.
_STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}


def dotted(name: str) -> str:
    """A name of a module or tensor in which timm's ``stages_0``, where it takes a model apart, is ``stages.0``."""
    return name.replace("_", ".")


class TimmBackbone(Backbone):
    """A feature extractor of timm as a Detectron2 backbone, whose levels are called res2 (stride 4) to res5 (32).

    Parameters and buffers keep timm's names, with nothing before them. Norms of fixed statistics are kept in evaluation
    mode, because timm's own classes of norms hold an activation (`FixedStatisticsBatchNorm2d` would replace it).

    ``body`` is what ``timm.create_model(..., features_only=True)`` returns; of levels of one stride the last is used.
    ``frozen_stages`` of timm's feature stages are fixed, and all that comes before the last of them. With
    ``fixed_norm_statistics`` all batch norms keep their statistics in training, while scale and shift are trained.
    """

    # The config's key that says which model it is.
    name_key = "MODEL.TIMM.NAME"

    def __init__(self, body: nn.Module, *, frozen_stages: int = 0, fixed_norm_statistics: bool = False) -> None:
        super().__init__()
        # timm is there, but need not be where other backbones are built.
        from .same_padding import make_exportable

        make_exportable(body)
        # The body lives outside of the module tree and lends it its content, so that names are timm's.
        object.__setattr__(self, "_body", body)
        self._modules, self._parameters, self._buffers = body._modules, body._parameters, body._buffers
        # PyTorch's types say of any attribute that it is a tensor or a module.
        info = cast("FeatureInfo", body.feature_info)
        names = {stride: name for name, stride in _STRIDES.items()}
        levels = zip(info.reduction(), info.channels(), strict=True)
        self._levels = {names[stride]: i for i, (stride, _) in enumerate(levels) if stride in names}
        self._out_features = [name for name in _STRIDES if name in self._levels]
        self._out_feature_strides = {name: _STRIDES[name] for name in self._out_features}
        self._out_feature_channels = {name: info.channels()[self._levels[name]] for name in self._out_features}
        self._channels_last = str(getattr(body, "output_fmt", "")).endswith("NHWC")
        self._fixed_norms = [m for m in body.modules() if isinstance(m, _BatchNorm)] if fixed_norm_statistics else []
        # The names of timm's stages, with dots alone and one at the end.
        self.stages = [f"{dotted(one['module'])}." for one in info.info]
        self._freeze(frozen_stages)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps images (N, 3, H, W) to levels (N, C, ceil(H / stride), ceil(W / stride))."""
        maps = self._body(x)
        if self._channels_last:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        return {name: maps[self._levels[name]] for name in self._out_features}

    def train(self, mode: bool = True) -> "TimmBackbone":
        """Sets the mode; norms of fixed statistics stay in evaluation."""
        super().train(mode)
        self._body.training = mode
        for norm in self._fixed_norms:
            norm.eval()
        return self

    def _freeze(self, stages: int) -> None:
        if stages == 0:
            return
        if not 0 < stages <= len(self.stages):
            raise ConfigError(f"MODEL.TIMM.FROZEN_STAGES is {stages}; the model has {len(self.stages)} stages.")
        modules = list(self._body.named_modules())
        inside = [i for i, (name, _) in enumerate(modules) if f"{dotted(name)}.".startswith(self.stages[stages - 1])]
        if not inside:
            raise ConfigError(
                f"MODEL.TIMM.FROZEN_STAGES is {stages}; no module of that stage is in {type(self._body).__name__}; "
                "set it to 0 or another number."
            )
        for _, module in modules[: inside[-1] + 1]:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad = False
            if isinstance(module, _BatchNorm) and module not in self._fixed_norms:
                self._fixed_norms.append(module)


def build_timm_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> TimmBackbone:
    """Builds the model ``MODEL.TIMM.NAME`` with random weights; ``MODEL.WEIGHTS`` fills it.

    Raises:
        ConfigError: timm is not installed, has no such model, or the model is not what the config asks for.
    """
    timm = import_timm("MODEL.TIMM.NAME")
    cfg = with_our_keys(cfg)
    name = cfg.MODEL.TIMM.NAME
    body = create_features(
        name,
        in_chans=input_shape.channels,
        **({"out_indices": tuple(cfg.MODEL.TIMM.OUT_INDICES)} if cfg.MODEL.TIMM.OUT_INDICES else {}),
        **({"drop_path_rate": cfg.MODEL.TIMM.DROP_PATH} if cfg.MODEL.TIMM.DROP_PATH else {}),
    )
    if timm.get_pretrained_cfg(name) is not None and timm.get_pretrained_cfg(name).fixed_input_size:
        raise ConfigError(f"MODEL.TIMM.NAME: {name} takes images of one size only; choose a convolutional model.")
    fixed_norms = cfg.MODEL.BACKBONE.FIXED_NORM_STATISTICS
    backbone = TimmBackbone(body, frozen_stages=cfg.MODEL.TIMM.FROZEN_STAGES, fixed_norm_statistics=fixed_norms)
    missing = [one for one in cfg.MODEL.FPN.IN_FEATURES if one not in backbone.output_shape()]
    if missing:
        there = ", ".join(f"{one} (stride {_STRIDES[one]})" for one in backbone.output_shape())
        raise ConfigError(
            f"MODEL.FPN.IN_FEATURES asks for {', '.join(missing)}; {name} has {there or 'no such level'}. Change it, "
            "MODEL.TIMM.OUT_INDICES or the model."
        )
    return backbone


def create_features(name: str, **arguments: Any) -> nn.Module:  # noqa: ANN401, timm's
    """What ``timm.create_model(name, features_only=True)`` returns, its errors as a `ConfigError` in one sentence."""
    timm = import_timm("MODEL.TIMM.NAME")
    if not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models())
        raise ConfigError(f"MODEL.TIMM.NAME: timm {timm.__version__} has no model {name!r}.{hint and f' {hint}'}")
    try:
        body: nn.Module = timm.create_model(name, features_only=True, **arguments)
        return body
    except (AssertionError, AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"MODEL.TIMM: timm cannot build {name} with features of several strides and {arguments} ({reason}). "
            "Change the keys under MODEL.TIMM, or the model."
        ) from error


def import_timm(wanted_by: str) -> Any:  # noqa: ANN401, a module that may be missing
    """The module timm; raises a `ConfigError` that says that ``wanted_by`` needs it where it is not installed."""
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ConfigError(f"{wanted_by} needs timm, which is not installed: pip install 'bdd100k_d2[timm]'.") from error
    return timm


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Builds Detectron2's FPN with P2 to P6 over a model of timm."""
    body, fpn = build_timm_backbone(cfg, input_shape), cfg.MODEL.FPN
    return FPN(body, fpn.IN_FEATURES, fpn.OUT_CHANNELS, fpn.NORM, LastLevelMaxPool(), fpn.FUSE_TYPE)


@BACKBONE_REGISTRY.register()
def build_timm_semantic_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> AnySizeFPN:
    """Builds an `AnySizeFPN` with P2 to P5 over a model of timm."""
    body, fpn = build_timm_backbone(cfg, input_shape), cfg.MODEL.FPN
    return AnySizeFPN(body, fpn.IN_FEATURES, fpn.OUT_CHANNELS, fpn.NORM, fuse_type=fpn.FUSE_TYPE)
