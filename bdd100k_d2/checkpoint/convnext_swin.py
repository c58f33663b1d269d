"""ConvNeXt and Swin in the layouts of OpenMMLab, Meta, Microsoft, timm and torchvision, for `TorchvisionBackbone`."""

from collections.abc import Set
from dataclasses import replace

from torch import Tensor

from .rules import Layout

# Blocks in the longest stage, the third of ConvNeXt-S and its like.
_BLOCKS = 27
_STAGES = 4
# OpenMMLab's, Meta's and timm's names of a block's modules -> their places in torchvision's, of ConvNeXt and of Swin.
_CONVNEXT_BLOCKS = (
    {"depthwise_conv": "0", "norm": "2", "pointwise_conv1": "3", "pointwise_conv2": "5"},
    {"dwconv": "0", "norm": "2", "pwconv1": "3", "pwconv2": "5"},
    {"conv_dw": "0", "norm": "2", "mlp.fc1": "3", "mlp.fc2": "5"},
)
_SWIN_BLOCKS = (
    {"ffn.layers.0.0": "mlp.0", "ffn.layers.1": "mlp.3", "attn.w_msa": "attn"},
    {"mlp.fc1": "mlp.0", "mlp.fc2": "mlp.3", "attn": "attn"},
)
_MERGING = ("norm", "reduction")
# A classifier's norm, after the pooling, by Meta, timm and torchvision.
_LAST_NORMS = ("norm", "head.norm", "classifier.0")
_CLASSIFIER = "the ImageNet classifier"
_CONSTANT = "constants of Swin's windows"


def layout_of(modules: Set[str]) -> Layout | None:
    """The layout of an ImageNet classifier's state dict with these modules; None if it is of neither family."""
    prefix = "backbone." if "backbone.downsample_layers.0.0" in modules else ""
    if "backbone.patch_embed.projection" in modules:
        prefix = "backbone."
    backbone = backbone_of(modules, prefix, "")
    if backbone is None:
        return None
    names = dict(backbone.modules)
    dropped = dict.fromkeys(("head", "head.fc", "classifier.2"), _CLASSIFIER)
    for norm in _LAST_NORMS:
        if backbone.source == "Swin":
            dropped[norm] = _CLASSIFIER
        else:
            # OpenMMLab's detectors start the norm of their last output from it.
            names[norm] = "norms.res5"
    source = f"ImageNet {backbone.source}"
    dropped |= backbone.dropped
    return replace(backbone, source=source, modules=names, dropped=dropped, matching_heuristics=True)


def backbone_of(modules: Set[str], theirs: str, ours: str) -> Layout | None:
    """The layout of the backbone under the prefix ``theirs``, its names put under ``ours``; None if it is neither.

    Both prefixes are empty or have a dot at their end. The layout's source is "ConvNeXt" or "Swin".
    """
    for names in _CONVNEXT_BLOCKS:
        first = next(iter(names))
        if f"{theirs}stages.0.0.{first}" in modules or f"{theirs}stages.0.blocks.0.{first}" in modules:
            return _convnext(theirs, ours, names, in_blocks=f"{theirs}stages.0.blocks.0.{first}" in modules)
    if f"{theirs}stages.0.blocks.0.attn.w_msa.qkv" in modules:
        return openmmlab_swin(theirs, ours)
    if f"{theirs}layers.0.blocks.0.attn.qkv" in modules:
        return _microsoft_swin(theirs, ours, shifted_by=int(f"{theirs}layers.3.downsample.norm" in modules))
    if f"{theirs}features.1.0.block.0" in modules or f"{theirs}features.1.0.attn.qkv" in modules:
        return _torchvision(theirs, ours, is_swin=f"{theirs}features.1.0.attn.qkv" in modules)
    return None


def openmmlab_convnext(theirs: str, ours: str) -> Layout:
    """mmcls.ConvNeXt, which mmpretrain's is too; prefixes as in `backbone_of`."""
    return _convnext(theirs, ours, _CONVNEXT_BLOCKS[0], in_blocks=False)


def openmmlab_swin(theirs: str, ours: str) -> Layout:
    """SwinTransformer of mmdet and mmseg; prefixes as in `backbone_of`."""
    modules = {
        f"{theirs}patch_embed.projection": f"{ours}features.0.0",
        f"{theirs}patch_embed.norm": f"{ours}features.0.2",
    }
    modules |= {f"{theirs}norm{i}": f"{ours}norms.res{i + 2}" for i in range(_STAGES)}
    merging: dict[str, str] = {}
    for i in range(_STAGES - 1):
        merging |= {f"{theirs}stages.{i}.downsample.{name}": f"{ours}features.{2 * i + 2}.{name}" for name in _MERGING}
    blocks, tensors, dropped = _swin_blocks(f"{theirs}stages", ours, _SWIN_BLOCKS[0])
    return Layout(
        "Swin",
        modules | merging | blocks,
        dict.fromkeys(merging, to_concatenated_blocks),
        dropped,
        tensors=tensors,
        undo=dict.fromkeys(merging, to_unfolded_blocks),
    )


def to_concatenated_blocks(tensor: Tensor) -> Tensor:
    """Reorders the last axis, of 4 * C channels, of a patch merging from OpenMMLab's order to torchvision's.

    OpenMMLab unfolds: all four pixels of a channel, by rows, then the next channel. torchvision, as Microsoft,
    concatenates the channels of the four pixels, by columns.
    """
    by_pixel = tensor.reshape(*tensor.shape[:-1], -1, 4).transpose(-1, -2)
    return by_pixel[..., [0, 2, 1, 3], :].reshape(tensor.shape)


def to_unfolded_blocks(tensor: Tensor) -> Tensor:
    """The inverse of `to_concatenated_blocks`."""
    by_pixel = tensor.reshape(*tensor.shape[:-1], 4, -1)[..., [0, 2, 1, 3], :]
    return by_pixel.transpose(-1, -2).reshape(tensor.shape)


def _convnext(theirs: str, ours: str, block: dict[str, str], *, in_blocks: bool) -> Layout:
    """``in_blocks`` as timm names them, with the stem and the downsampling elsewhere than Meta's and OpenMMLab's."""
    modules: dict[str, str] = {}
    scales: dict[str, str] = {}
    for i in range(_STAGES):
        downsample = f"{theirs}downsample_layers.{i}"
        if in_blocks:
            downsample = f"{theirs}stages.{i}.downsample" if i else f"{theirs}stem"
        modules |= {f"{downsample}.{part}": f"{ours}features.{2 * i}.{part}" for part in (0, 1)}
        modules[f"{theirs}norm{i}"] = f"{ours}norms.res{i + 2}"
        for j in range(_BLOCKS):
            a, b = f"{theirs}stages.{i}{'.blocks' if in_blocks else ''}.{j}", f"{ours}features.{2 * i + 1}.{j}"
            modules |= {f"{a}.{name}": f"{b}.block.{place}" for name, place in block.items()}
            scales[f"{a}.gamma"] = f"{b}.layer_scale"
    return Layout(
        "ConvNeXt",
        modules,
        dict.fromkeys(scales, lambda gamma: gamma[:, None, None]),
        tensors=scales,
        undo=dict.fromkeys(scales, lambda scale: scale.flatten()),
    )


def _microsoft_swin(theirs: str, ours: str, *, shifted_by: int) -> Layout:
    """``shifted_by`` is 1 for timm's, which merges patches at a stage's beginning, not at the end of the one before."""
    modules = {f"{theirs}patch_embed.{a}": f"{ours}features.0.{b}" for a, b in (("proj", 0), ("norm", 2))}
    for i in range(_STAGES - 1):
        a, b = f"{theirs}layers.{i + shifted_by}.downsample", f"{ours}features.{2 * i + 2}"
        modules |= {f"{a}.{name}": f"{b}.{name}" for name in _MERGING}
    blocks, tensors, dropped = _swin_blocks(f"{theirs}layers", ours, _SWIN_BLOCKS[1])
    return Layout("Swin", modules | blocks, dropped=dropped, tensors=tensors)


def _torchvision(theirs: str, ours: str, *, is_swin: bool) -> Layout:
    names = (openmmlab_swin if is_swin else openmmlab_convnext)("", "")
    modules = {f"{theirs}{name}": f"{ours}{name}" for name in names.modules.values()}
    tensors = {f"{theirs}{name}": f"{ours}{name}" for name in names.tensors.values()}
    if is_swin:
        constants = {name.replace("_bias_table", "_index"): _CONSTANT for name in tensors}
        return Layout("Swin", modules, dropped=constants, tensors=tensors)
    return Layout("ConvNeXt", modules, tensors=tensors)


def _swin_blocks(
    stages: str, ours: str, names: dict[str, str]
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The modules and the bare tensors of all blocks by their new names, and the constants that are dropped."""
    modules: dict[str, str] = {}
    tensors: dict[str, str] = {}
    dropped: dict[str, str] = {}
    (first, second, attention) = names
    for i in range(_STAGES):
        for j in range(_BLOCKS):
            a, b = f"{stages}.{i}.blocks.{j}", f"{ours}features.{2 * i + 1}.{j}"
            modules |= {f"{a}.{name}": f"{b}.{name}" for name in ("norm1", "norm2")}
            modules |= {f"{a}.{name}": f"{b}.{names[name]}" for name in (first, second)}
            modules |= {f"{a}.{attention}.{name}": f"{b}.attn.{name}" for name in ("qkv", "proj")}
            tensors[f"{a}.{attention}.relative_position_bias_table"] = f"{b}.attn.relative_position_bias_table"
            dropped |= dict.fromkeys((f"{a}.{attention}.relative_position_index", f"{a}.attn_mask"), _CONSTANT)
    return modules, tensors, dropped
