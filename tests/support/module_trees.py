"""The tensors' names and shapes of OpenMMLab's and Vis4D's models, as their module trees make them."""

import re
from collections.abc import Iterator

import torch
from torch import Tensor

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
# Small, so that a test takes a second: what the configs' WIDTH_PER_GROUP and the like are set to.
WIDTH, FPN, FC, SEM_SEG = 8, 32, 24, 32
Shapes = dict[str, tuple[int, ...]]


def norm(name: str, channels: int, statistics: bool = True) -> Shapes:
    names = ("weight", "bias", *(("running_mean", "running_var") if statistics else ()))
    counter = {f"{name}.num_batches_tracked": ()} if statistics else {}
    return {f"{name}.{part}": (channels,) for part in names} | counter


def layer(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def resnet(prefix: str = "", depth: int = 50, width: int = WIDTH, deep_stem: bool = False) -> Shapes:
    shapes: Shapes = {}
    if deep_stem:
        for i, (inner, outer) in enumerate(((3, width // 2), (width // 2, width // 2), (width // 2, width))):
            shapes |= {f"stem.{3 * i}.weight": (outer, inner, 3, 3)} | norm(f"stem.{3 * i + 1}", outer)
    else:
        shapes |= {"conv1.weight": (width, 3, 7, 7)} | norm("bn1", width)
    expansion = 1 if depth == 18 else 4
    inner = width
    for stage, blocks in enumerate(BLOCKS[depth], 1):
        planes = width * 2 ** (stage - 1)
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            sizes = ((inner, 3), (planes, 3)) if expansion == 1 else ((inner, 1), (planes, 3), (planes, 1))
            for i, (channels, kernel) in enumerate(sizes, 1):
                outer = planes * expansion if i == len(sizes) else planes
                shapes[f"{name}.conv{i}.weight"] = (outer, channels, kernel, kernel)
                shapes |= norm(f"{name}.bn{i}", outer)
            if inner != planes * expansion:
                shapes[f"{name}.downsample.0.weight"] = (planes * expansion, inner, 1, 1)
                shapes |= norm(f"{name}.downsample.1", planes * expansion)
            inner = planes * expansion
    return {prefix + key: shape for key, shape in shapes.items()}


def pyramid(start: int = 0, extra: int = 0, extra_channels: int = 32 * WIDTH) -> Shapes:
    shapes: Shapes = {}
    for i in range(4 - start):
        shapes |= layer(f"neck.lateral_convs.{i}.conv", FPN, 4 * WIDTH * 2 ** (i + start), 1, 1)
        shapes |= layer(f"neck.fpn_convs.{i}.conv", FPN, FPN, 3, 3)
    for i in range(extra):
        channels = extra_channels if i == 0 else FPN
        shapes |= layer(f"neck.fpn_convs.{4 - start + i}.conv", FPN, channels, 3, 3)
    return shapes


def box_head(prefix: str, classes: int, boxes: int) -> Shapes:
    shapes = layer(f"{prefix}.shared_fcs.0", FC, FPN * 49) | layer(f"{prefix}.shared_fcs.1", FC, FC)
    return shapes | layer(f"{prefix}.fc_cls", classes + 1, FC) | layer(f"{prefix}.fc_reg", 4 * boxes, FC)


def rpn() -> Shapes:
    shapes = layer("rpn_head.rpn_conv", FPN, FPN, 3, 3) | layer("rpn_head.rpn_cls", 3, FPN, 1, 1)
    return shapes | layer("rpn_head.rpn_reg", 12, FPN, 1, 1)


def faster_rcnn(classes: int = 10) -> Shapes:
    return resnet("backbone.") | pyramid() | rpn() | box_head("roi_head.bbox_head", classes, classes)


def semantic_head(stuff: int = 30) -> Shapes:
    shapes = layer("semantic_head.conv_logits", stuff + 1, SEM_SEG, 1, 1)
    for level in range(4):
        for step in range(max(level, 1)):
            name = f"semantic_head.conv_upsample_layers.{level}.conv.{step}"
            shapes[f"{name}.conv.weight"] = (SEM_SEG, SEM_SEG if step else FPN, 3, 3)
            shapes |= norm(f"{name}.gn", SEM_SEG, statistics=False)
    return shapes


def panoptic_fpn() -> Shapes:
    return mask_rcnn(10) | semantic_head()


def mask_head(prefix: str, classes: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(4):
        shapes |= layer(f"{prefix}.convs.{i}.conv", FPN, FPN, 3, 3)
    return shapes | layer(f"{prefix}.upsample", FPN, FPN, 2, 2) | layer(f"{prefix}.conv_logits", classes, FPN, 1, 1)


def mask_rcnn(classes: int = 8) -> Shapes:
    return faster_rcnn(classes) | mask_head("roi_head.mask_head", classes)


def cascade_rcnn(classes: int = 10) -> Shapes:
    shapes = resnet("backbone.") | pyramid() | rpn()
    for stage in range(3):
        shapes |= box_head(f"roi_head.bbox_head.{stage}", classes, 1)
    return shapes


def cascade_mask_rcnn(classes: int = 8) -> Shapes:
    shapes = cascade_rcnn(classes)
    for stage in range(3):
        shapes |= mask_head(f"roi_head.mask_head.{stage}", classes)
    return shapes


def retinanet(classes: int = 10) -> Shapes:
    shapes = resnet("backbone.") | pyramid(start=1, extra=2)
    for i in range(4):
        shapes |= layer(f"bbox_head.cls_convs.{i}.conv", FPN, FPN, 3, 3)
        shapes |= layer(f"bbox_head.reg_convs.{i}.conv", FPN, FPN, 3, 3)
    return shapes | layer("bbox_head.retina_cls", 9 * classes, FPN, 3, 3) | layer("bbox_head.retina_reg", 36, FPN, 3, 3)


def atss(classes: int = 10) -> Shapes:
    shapes = resnet("backbone.") | pyramid(start=1, extra=2, extra_channels=FPN)
    for name in (f"bbox_head.{tower}_convs.{i}" for tower in ("cls", "reg") for i in range(4)):
        shapes |= {f"{name}.conv.weight": (FPN, FPN, 3, 3)} | norm(f"{name}.gn", FPN, statistics=False)
    for name, channels in (("cls", classes), ("reg", 4), ("centerness", 1)):
        shapes |= layer(f"bbox_head.atss_{name}", channels, FPN, 3, 3)
    return shapes | {f"bbox_head.scales.{i}.scale": () for i in range(5)}


def point_rend(classes: int = 19) -> Shapes:
    shapes = {key.replace("decode_head.", "decode_head.0."): shape for key, shape in semantic_fpn(classes).items()}
    for i in range(3):
        shapes |= layer(f"decode_head.1.fcs.{i}.conv", 256, (256 if i else FPN) + classes, 1)
    return shapes | layer("decode_head.1.fc_seg", classes, 256 + classes, 1)


def semantic_fpn(classes: int = 19, group_norm: bool = False) -> Shapes:
    shapes = resnet("backbone.", deep_stem=True) | pyramid()
    for level, steps in enumerate((1, 1, 2, 3)):
        for step in range(steps):
            name = f"decode_head.scale_heads.{level}.{2 * step}"
            shapes[f"{name}.conv.weight"] = (SEM_SEG, FPN if step == 0 else SEM_SEG, 3, 3)
            shapes |= norm(f"{name}.{'gn' if group_norm else 'bn'}", SEM_SEG, statistics=not group_norm)
    return shapes | layer("decode_head.conv_seg", classes, SEM_SEG, 1, 1)


def deformable(shapes: Shapes) -> Shapes:
    """A model whose ResNet has deformable convolutions of version 1 in its last three stages."""
    offsets: Shapes = {}
    for key, shape in shapes.items():
        if re.fullmatch(r"backbone\.layer[234]\.\d+\.conv2\.weight", key):
            offsets |= layer(f"{key.removesuffix('.weight')}.conv_offset", 18, shape[1], 3, 3)
    return shapes | offsets


def deformable_head(shapes: Shapes) -> Shapes:
    """A Semantic FPN with those of version 2 in its head."""
    offsets: Shapes = {}
    for key, shape in shapes.items():
        if key.startswith("decode_head.scale_heads.") and key.endswith(".conv.weight"):
            offsets |= layer(f"{key.removesuffix('.weight')}.conv_offset", 27, shape[1], 3, 3)
    return shapes | offsets


# Vis4D's trees are OpenMMLab's with other names for these.
VIS4D = (
    ("backbone.", "basemodel."),
    ("neck.lateral_convs.", "fpn.inner_blocks."),
    ("neck.fpn_convs.", "fpn.layer_blocks."),
    ("rpn_head.rpn_reg", "rpn_head.rpn_box"),
    ("rpn_head.", "faster_rcnn_head.rpn_head."),
    ("roi_head.bbox_head.", "faster_rcnn_head.roi_head."),
    ("roi_head.mask_head.", "mask_head."),
    ("bbox_head.", "retinanet_head."),
    ("decode_head.", "seg_head."),
    (".bn.", ".norm."),
)


def as_vis4d(shapes: Shapes, sequences: bool = True) -> Shapes:
    """Vis4D's names; ``sequences`` as with torchvision from 0.14 on."""
    return dict(_as_vis4d(shapes, sequences))


def _as_vis4d(shapes: Shapes, sequences: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    for key, shape in shapes.items():
        for theirs, ours in VIS4D:
            if theirs == ".bn." or key.startswith(theirs):
                key = key.replace(theirs, ours)
        key = key.replace(".conv.", ".0." if key.startswith("fpn.") and sequences else ".")
        for i in (3, 4):
            if shapes.get("bbox_head.retina_cls.bias") and key.startswith(f"fpn.layer_blocks.{i}."):
                key = f"fpn.extra_blocks.convs.{i - 3}.{key.rpartition('.')[2]}"
        yield key, shape


def random_tensors(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        key: torch.tensor(7) if key.endswith("num_batches_tracked") else torch.rand(shape, generator=generator)
        for key, shape in shapes.items()
    }
