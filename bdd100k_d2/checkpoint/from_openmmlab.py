"""The layouts of mmdet 2.x and 3.x, mmseg, and the deep-stem ResNets that OpenMMLab publishes."""

from collections.abc import Set
from dataclasses import replace

from . import hrnet
from .convnext_swin import openmmlab_convnext, openmmlab_swin
from .panoptic_fpn import is_panoptic, panoptic_fpn
from .rules import CLASSIFIER, STEM_V1C, Layout, resnet, swap_ratios_and_scales


def layout_of(modules: Set[str]) -> Layout | None:
    """The layout of a state dict with these modules; None if it is not OpenMMLab's."""
    if "decode_head.conv_seg" in modules and "decode_head.scale_heads.0.0.conv" not in modules:
        without_fpn = _backbone_of(modules, "backbone.")
        return None if without_fpn is None else segmenter(without_fpn)
    backbone = _backbone_of(modules, "backbone.bottom_up.")
    if backbone is not None:
        if "decode_head.1.fc_seg" in modules:
            return point_rend(backbone, "gn" if any(module.endswith(".gn") for module in modules) else "bn")
        if any(module.startswith("decode_head.") for module in modules):
            return semantic_fpn(backbone, "gn" if any(module.endswith(".gn") for module in modules) else "bn")
        if "bbox_head.retina_cls" in modules:
            return retinanet(backbone)
        if "bbox_head.atss_cls" in modules:
            return atss(backbone)
        if "roi_head.mask_head.0.conv_logits" in modules:
            return cascade_mask_rcnn(backbone)
        if any(module.startswith("roi_head.bbox_head.0.") for module in modules):
            return cascade_rcnn(backbone)
        if is_panoptic(modules):
            return panoptic_fpn(mask_rcnn(backbone))
        if "roi_head.mask_head.conv_logits" in modules:
            return mask_rcnn(backbone)
        if "roi_head.bbox_head.fc_cls" in modules:
            return faster_rcnn(backbone)
        if backbone.source != "ResNet" and not any(module.startswith("neck.") for module in modules):
            # An ImageNet classifier's, which `convnext_swin.classifier_layout` reads.
            return None
        return backbone.extended(f"an OpenMMLab model with a {backbone.source}", _fpn())
    if "stem.0" in modules and "layer1.0.conv1" in modules:
        return Layout("open-mmlab ResNet-v1c", resnet("", "", STEM_V1C), dropped=CLASSIFIER, matching_heuristics=True)
    return None


def layout_for_detectron2(names: Set[str]) -> Layout | None:
    """OpenMMLab's layout for a Detectron2 state dict with these tensors; None if there is none."""
    ours = "backbone." if "sem_seg_head.conv_seg.weight" in names else "backbone.bottom_up."
    if f"{ours}res2.0.conv1.weight" in names:
        backbone = resnet_backbone(f"{ours}stem.conv3.weight" in names, ours)
    elif f"{ours}features.1.0.block.0.weight" in names:
        backbone = openmmlab_convnext("backbone.", ours)
    elif f"{ours}features.1.0.attn.qkv.weight" in names:
        backbone = openmmlab_swin("backbone.", ours)
    elif (of_hrnet := hrnet.hrnet_backbone({name.rpartition(".")[0] for name in names}, "backbone.", ours)) is not None:
        backbone = of_hrnet
    else:
        return None
    if {"sem_seg_head.predictor.weight", "roi_heads.mask_head.predictor.weight"} <= names:
        return panoptic_fpn(mask_rcnn(backbone))
    if "sem_seg_head.conv_seg.weight" in names:
        return segmenter(backbone)
    if "sem_seg_head.point_head.predictor.weight" in names:
        has_statistics = "sem_seg_head.coarse_sem_seg_head.p2.0.norm.running_mean" in names
        return point_rend(backbone, "bn" if has_statistics else "gn")
    if "sem_seg_head.predictor.weight" in names:
        return semantic_fpn(backbone, "bn" if "sem_seg_head.p2.0.norm.running_mean" in names else "gn")
    if "head.centerness.weight" in names:
        return atss(backbone)
    if "head.cls_score.weight" in names:
        return retinanet(backbone)
    if "roi_heads.mask_head.0.predictor.weight" in names:
        return cascade_mask_rcnn(backbone)
    if "roi_heads.box_predictor.0.cls_score.weight" in names:
        return cascade_rcnn(backbone)
    if "roi_heads.mask_head.predictor.weight" in names:
        return mask_rcnn(backbone)
    return faster_rcnn(backbone) if "roi_heads.box_predictor.cls_score.weight" in names else None


def resnet_backbone(deep_stem: bool, ours: str) -> Layout:
    """A ResNet; ``ours`` is what its modules begin with in Detectron2."""
    return Layout("ResNet", resnet("backbone.", ours, STEM_V1C if deep_stem else None))


def faster_rcnn(backbone: Layout) -> Layout:
    """Faster R-CNN with FPN; the levels of the FPN are C2 to C5."""
    return backbone.extended(
        _source("mmdet Faster R-CNN", backbone), _proposals() | _box_head("roi_head.bbox_head", "")
    )


def mask_rcnn(backbone: Layout) -> Layout:
    """Faster R-CNN with a mask head of four convolutions."""
    return faster_rcnn(backbone).extended(_source("mmdet Mask R-CNN", backbone), _mask_head(""))


def cascade_rcnn(backbone: Layout) -> Layout:
    """Three box heads after each other, without masks."""
    modules = _proposals()
    for stage in range(3):
        modules |= _box_head(f"roi_head.bbox_head.{stage}", f"{stage}.")
    return backbone.extended(_source("mmdet Cascade R-CNN", backbone), modules)


def cascade_mask_rcnn(backbone: Layout) -> Layout:
    """Three box heads and three mask heads."""
    masks = {theirs: ours for stage in range(3) for theirs, ours in _mask_head(f"{stage}.").items()}
    return cascade_rcnn(backbone).extended(_source("mmdet Cascade Mask R-CNN", backbone), masks)


def retinanet(backbone: Layout) -> Layout:
    """RetinaNet, whose FPN begins at C3 and makes P6 and P7 by convolutions."""
    modules = _dense_fpn()
    for i in range(4):
        # A ReLU follows each convolution.
        modules[f"bbox_head.cls_convs.{i}.conv"] = f"head.cls_subnet.{2 * i}"
        modules[f"bbox_head.reg_convs.{i}.conv"] = f"head.bbox_subnet.{2 * i}"
    outputs = {"bbox_head.retina_cls": "head.cls_score", "bbox_head.retina_reg": "head.bbox_pred"}
    reorder = dict.fromkeys(outputs, swap_ratios_and_scales)
    return backbone.extended(_source("mmdet RetinaNet", backbone), modules | outputs, reorder)


def atss(backbone: Layout) -> Layout:
    """ATSS, whose FPN begins at C3 and makes P6 and P7 by convolutions; with a norm in each convolution of the head."""
    modules = _dense_fpn()
    for name, subnet in (("cls_convs", "cls_subnet"), ("reg_convs", "bbox_subnet")):
        modules |= {f"bbox_head.{name}.{i}.conv": f"head.{subnet}.{i}" for i in range(4)}
        modules |= {f"bbox_head.{name}.{i}.gn": f"head.{subnet}.{i}.norm" for i in range(4)}
    outputs = {"atss_cls": "cls_score", "atss_reg": "bbox_pred", "atss_centerness": "centerness"}
    modules |= {f"bbox_head.{theirs}": f"head.{ours}" for theirs, ours in outputs.items()}
    scales = {f"bbox_head.scales.{i}.scale": f"head.scales.{i}.scale" for i in range(5)}
    layout = backbone.extended(_source("mmdet ATSS", backbone), modules)
    return replace(layout, tensors={**layout.tensors, **scales})


def semantic_fpn(backbone: Layout, norm: str = "bn") -> Layout:
    """Semantic FPN (mmseg's FPNHead); ``norm`` is what mmseg calls the head's norms, bn or gn."""
    modules = _fpn() | _fpn_head("decode_head", "sem_seg_head", norm)
    return backbone.extended(_source("mmseg Semantic FPN", backbone), modules)


def point_rend(backbone: Layout, norm: str = "bn") -> Layout:
    """PointRend (mmseg's FPNHead and PointHead in a cascade); ``norm`` as of `semantic_fpn`."""
    modules = _fpn() | _fpn_head("decode_head.0", "sem_seg_head.coarse_sem_seg_head", norm)
    modules |= {f"decode_head.1.fcs.{i}.conv": f"sem_seg_head.point_head.fc{i + 1}" for i in range(3)}
    modules["decode_head.1.fc_seg"] = "sem_seg_head.point_head.predictor"
    return backbone.extended(_source("mmseg PointRend", backbone), modules)


def segmenter(backbone: Layout) -> Layout:
    """A backbone without FPN and any of the heads of `modeling.decode_heads`, whose modules are called as mmseg's."""
    modules = _decode_head("decode_head", "sem_seg_head") | _decode_head("auxiliary_head", "auxiliary_head")
    return backbone.extended(_source("mmseg segmenter", backbone), modules)


def _decode_head(theirs: str, ours: str) -> dict[str, str]:
    separable = [f"sep_bottleneck.{i}" for i in range(2)] + [f"aspp_modules.{i}" for i in range(1, 4)]
    convs = [f"{name}.{part}" for name in separable for part in ("depthwise_conv", "pointwise_conv")]
    convs += ["conv_cat", "bottleneck", "image_pool.1", "c1_bottleneck", "fpn_bottleneck"]
    convs += [f"{name}.{i}" for name in ("convs", "aspp_modules", "lateral_convs", "fpn_convs") for i in range(4)]
    convs += [f"psp_modules.{i}.1" for i in range(4)]
    convs += [f"{block}.{name}" for block in ("nl_block", "dnl_block") for name in ("g", "theta", "phi", "conv_out")]
    # A convolution with its norm, which is a part of it in Detectron2.
    modules = {f"{theirs}.{name}.conv": f"{ours}.{name}" for name in convs}
    modules |= {f"{theirs}.{name}.bn": f"{ours}.{name}.norm" for name in convs}
    others = ["conv_seg", "dnl_block.conv_mask", "gc_block.conv_mask"]
    others += [f"gc_block.channel_add_conv.{i}" for i in (0, 1, 3)]
    return modules | {f"{theirs}.{name}": f"{ours}.{name}" for name in others}


def _source(model: str, backbone: Layout) -> str:
    return model if backbone.source == "ResNet" else f"{model} with a {backbone.source}"


def _backbone_of(modules: Set[str], ours: str) -> Layout | None:
    if (backbone := hrnet.hrnet_backbone(modules, "backbone.", ours)) is not None:
        return backbone
    if "backbone.layer1.0.conv1" in modules:
        return resnet_backbone("backbone.stem.0" in modules, ours)
    if "backbone.downsample_layers.0.0" in modules:
        return openmmlab_convnext("backbone.", ours)
    return openmmlab_swin("backbone.", ours) if "backbone.patch_embed.projection" in modules else None


def _fpn() -> dict[str, str]:
    names = {"lateral_convs": "fpn_lateral", "fpn_convs": "fpn_output"}
    return {f"neck.{a}.{i}.conv": f"backbone.{b}{i + 2}" for a, b in names.items() for i in range(4)}


def _fpn_head(theirs: str, ours: str, norm: str) -> dict[str, str]:
    modules = {f"{theirs}.conv_seg": f"{ours}.predictor"}
    for level in range(4):
        for step in range(max(level, 1)):
            a, b = f"{theirs}.scale_heads.{level}.{2 * step}", f"{ours}.p{level + 2}.{2 * step}"
            modules |= {f"{a}.conv": b, f"{a}.conv.conv_offset": f"{b}.offset", f"{a}.{norm}": f"{b}.norm"}
    return modules


def _dense_fpn() -> dict[str, str]:
    modules = {f"neck.fpn_convs.{i}.conv": f"backbone.top_block.p{i + 3}" for i in (3, 4)}
    for i in range(3):
        modules[f"neck.lateral_convs.{i}.conv"] = f"backbone.fpn_lateral{i + 3}"
        modules[f"neck.fpn_convs.{i}.conv"] = f"backbone.fpn_output{i + 3}"
    return modules


def _proposals() -> dict[str, str]:
    names = {"rpn_conv": "conv", "rpn_cls": "objectness_logits", "rpn_reg": "anchor_deltas"}
    rpn = {f"rpn_head.{a}": f"proposal_generator.rpn_head.{b}" for a, b in names.items()}
    return _fpn() | rpn


def _box_head(theirs: str, stage: str) -> dict[str, str]:
    modules = {f"{theirs}.shared_fcs.{i}": f"roi_heads.box_head.{stage}fc{i + 1}" for i in range(2)}
    names = {"fc_cls": "cls_score", "fc_reg": "bbox_pred"}
    return modules | {f"{theirs}.{a}": f"roi_heads.box_predictor.{stage}{b}" for a, b in names.items()}


def _mask_head(stage: str) -> dict[str, str]:
    names = {f"convs.{i}.conv": f"mask_fcn{i + 1}" for i in range(4)} | {
        "upsample": "deconv",
        "conv_logits": "predictor",
    }
    return {f"roi_head.mask_head.{stage}{a}": f"roi_heads.mask_head.{stage}{b}" for a, b in names.items()}
