"""The layouts of Vis4D: OpenMMLab's modules under other names."""

import re
from collections.abc import Set

from . import from_openmmlab
from .rules import Layout

# Vis4D's names from OpenMMLab's, in turn.
_RENAMED = (
    (r"^backbone\.", "basemodel."),
    (r"^neck\.lateral_convs\.(\d)\.conv$", r"fpn.inner_blocks.\1.0"),
    (r"^neck\.fpn_convs\.(\d)\.conv$", r"fpn.layer_blocks.\1.0"),
    (r"^rpn_head\.rpn_reg$", "faster_rcnn_head.rpn_head.rpn_box"),
    (r"^rpn_head\.", "faster_rcnn_head.rpn_head."),
    (r"^roi_head\.bbox_head\.", "faster_rcnn_head.roi_head."),
    (r"^roi_head\.mask_head\.", "mask_head."),
    (r"^bbox_head\.", "retinanet_head."),
    (r"^decode_head\.", "seg_head."),
    (r"\.bn$", ".norm"),
    (r"\.conv$", ""),
)


def layout_of(modules: Set[str]) -> Layout | None:
    """The layout of a state dict with these modules; None if it is not Vis4D's."""
    if "basemodel.layer1.0.conv1" not in modules:
        return None
    backbone = from_openmmlab.resnet_backbone("basemodel.stem.0" in modules, "backbone.bottom_up.")
    if any(module.startswith("seg_head.") for module in modules):
        return _renamed(from_openmmlab.semantic_fpn(backbone))
    if "retinanet_head.retina_cls" in modules:
        extra = {f"fpn.layer_blocks.{i}.0": f"fpn.extra_blocks.convs.{i - 3}" for i in (3, 4)}
        return _renamed(from_openmmlab.retinanet(backbone), extra)
    detector = from_openmmlab.mask_rcnn if "mask_head.conv_logits" in modules else from_openmmlab.faster_rcnn
    return _renamed(detector(backbone))


def _renamed(layout: Layout, extra: dict[str, str] | None = None) -> Layout:
    names = {}
    for module in layout.modules:
        name = module
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        names[module] = (extra or {}).get(name, name)
    modules = {names[module]: ours for module, ours in layout.modules.items()}
    # Before torchvision 0.14 the convolutions of an FPN had no sequence around them.
    modules |= {a.removesuffix(".0"): b for a, b in modules.items() if re.match(r"fpn\.(inner|layer)_blocks", a)}
    architecture = layout.source.partition(" ")[2]
    return Layout(f"Vis4D {architecture}", modules, {names[module]: do for module, do in layout.reorder.items()})
