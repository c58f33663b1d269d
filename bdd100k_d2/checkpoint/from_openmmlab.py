"""The layouts of mmdet 2.x and 3.x, mmseg, and the deep-stem ResNets that OpenMMLab publishes."""

from collections.abc import Set

from .rules import CLASSIFIER, STEM_V1C, Layout, resnet, swap_ratios_and_scales


def layout_of(modules: Set[str]) -> Layout | None:
    """The layout of a state dict with these modules; None if it is not OpenMMLab's."""
    if "backbone.layer1.0.conv1" in modules:
        deep = "backbone.stem.0" in modules
        if "decode_head.scale_heads.0.0.conv" not in modules and "decode_head.conv_seg" in modules:
            return segmenter(deep)
        if any(module.startswith("decode_head.") for module in modules):
            return semantic_fpn(deep, "gn" if any(module.endswith(".gn") for module in modules) else "bn")
        if "bbox_head.retina_cls" in modules:
            return retinanet(deep)
        if any(module.startswith("roi_head.bbox_head.0.") for module in modules):
            return cascade_rcnn(deep)
        if "roi_head.mask_head.conv_logits" in modules:
            return mask_rcnn(deep)
        if "roi_head.bbox_head.fc_cls" in modules:
            return faster_rcnn(deep)
        return Layout("an OpenMMLab model with a ResNet", _backbone(deep) | _fpn())
    if "stem.0" in modules and "layer1.0.conv1" in modules:
        return Layout("open-mmlab ResNet-v1c", resnet("", "", STEM_V1C), dropped=CLASSIFIER, matching_heuristics=True)
    return None


def layout_for_detectron2(names: Set[str]) -> Layout | None:
    """OpenMMLab's layout for a Detectron2 state dict with these tensors; None if there is none."""
    if "backbone.res2.0.conv1.weight" in names and "sem_seg_head.conv_seg.weight" in names:
        return segmenter("backbone.stem.conv3.weight" in names)
    if "backbone.bottom_up.res2.0.conv1.weight" not in names:
        return None
    deep = "backbone.bottom_up.stem.conv3.weight" in names
    if "sem_seg_head.predictor.weight" in names:
        return semantic_fpn(deep, "bn" if "sem_seg_head.p2.0.norm.running_mean" in names else "gn")
    if "head.cls_score.weight" in names:
        return retinanet(deep)
    if "roi_heads.box_predictor.0.cls_score.weight" in names:
        return cascade_rcnn(deep)
    if "roi_heads.mask_head.predictor.weight" in names:
        return mask_rcnn(deep)
    return faster_rcnn(deep) if "roi_heads.box_predictor.cls_score.weight" in names else None


def faster_rcnn(deep_stem: bool = False) -> Layout:
    """Faster R-CNN with FPN; the levels of the FPN are C2 to C5."""
    return Layout("mmdet Faster R-CNN", _proposals(deep_stem) | _box_head("roi_head.bbox_head", ""))


def mask_rcnn(deep_stem: bool = False) -> Layout:
    """Faster R-CNN with a mask head of four convolutions."""
    masks = {f"convs.{i}.conv": f"mask_fcn{i + 1}" for i in range(4)}
    masks |= {"upsample": "deconv", "conv_logits": "predictor"}
    head = {f"roi_head.mask_head.{a}": f"roi_heads.mask_head.{b}" for a, b in masks.items()}
    return Layout("mmdet Mask R-CNN", {**faster_rcnn(deep_stem).modules, **head})


def cascade_rcnn(deep_stem: bool = False) -> Layout:
    """Three box heads after each other, without masks."""
    modules = _proposals(deep_stem)
    for stage in range(3):
        modules |= _box_head(f"roi_head.bbox_head.{stage}", f"{stage}.")
    return Layout("mmdet Cascade R-CNN", modules)


def retinanet(deep_stem: bool = False) -> Layout:
    """RetinaNet, whose FPN begins at C3 and makes P6 and P7 by convolutions."""
    modules = _backbone(deep_stem)
    for i in range(3):
        modules[f"neck.lateral_convs.{i}.conv"] = f"backbone.fpn_lateral{i + 3}"
        modules[f"neck.fpn_convs.{i}.conv"] = f"backbone.fpn_output{i + 3}"
    modules |= {f"neck.fpn_convs.{i}.conv": f"backbone.top_block.p{i + 3}" for i in (3, 4)}
    for i in range(4):
        # A ReLU follows each convolution.
        modules[f"bbox_head.cls_convs.{i}.conv"] = f"head.cls_subnet.{2 * i}"
        modules[f"bbox_head.reg_convs.{i}.conv"] = f"head.bbox_subnet.{2 * i}"
    outputs = {"bbox_head.retina_cls": "head.cls_score", "bbox_head.retina_reg": "head.bbox_pred"}
    return Layout("mmdet RetinaNet", modules | outputs, dict.fromkeys(outputs, swap_ratios_and_scales))


def semantic_fpn(deep_stem: bool = True, norm: str = "bn") -> Layout:
    """Semantic FPN (mmseg's FPNHead); ``norm`` is what mmseg calls the head's norms, bn or gn."""
    modules = _backbone(deep_stem) | _fpn()
    for level in range(4):
        for step in range(max(level, 1)):
            a, b = f"decode_head.scale_heads.{level}.{2 * step}", f"sem_seg_head.p{level + 2}.{2 * step}"
            modules |= {f"{a}.conv": b, f"{a}.{norm}": f"{b}.norm"}
    return Layout("mmseg Semantic FPN", modules | {"decode_head.conv_seg": "sem_seg_head.predictor"})


def segmenter(deep_stem: bool = True) -> Layout:
    """A ResNet with any of the heads of `modeling.decode_heads`, whose modules are called as mmseg's."""
    modules = resnet("backbone.", "backbone.", STEM_V1C if deep_stem else None)
    for theirs, ours in (("decode_head", "sem_seg_head"), ("auxiliary_head", "auxiliary_head")):
        modules |= _decode_head(theirs, ours)
    return Layout("mmseg segmenter", modules)


def _decode_head(theirs: str, ours: str) -> dict[str, str]:
    separable = [f"sep_bottleneck.{i}" for i in range(2)] + [f"aspp_modules.{i}" for i in range(1, 4)]
    convs = [f"{name}.{part}" for name in separable for part in ("depthwise_conv", "pointwise_conv")]
    convs += ["conv_cat", "bottleneck", "image_pool.1", "c1_bottleneck", "fpn_bottleneck"]
    convs += [f"{name}.{i}" for name in ("convs", "aspp_modules", "lateral_convs", "fpn_convs") for i in range(4)]
    convs += [f"psp_modules.{i}.1" for i in range(4)]
    # A convolution with its norm, which is a part of it in Detectron2.
    modules = {f"{theirs}.{name}.conv": f"{ours}.{name}" for name in convs}
    modules |= {f"{theirs}.{name}.bn": f"{ours}.{name}.norm" for name in convs}
    return modules | {f"{theirs}.conv_seg": f"{ours}.conv_seg"}


def _backbone(deep_stem: bool) -> dict[str, str]:
    return resnet("backbone.", "backbone.bottom_up.", STEM_V1C if deep_stem else None)


def _fpn() -> dict[str, str]:
    names = {"lateral_convs": "fpn_lateral", "fpn_convs": "fpn_output"}
    return {f"neck.{a}.{i}.conv": f"backbone.{b}{i + 2}" for a, b in names.items() for i in range(4)}


def _proposals(deep_stem: bool) -> dict[str, str]:
    names = {"rpn_conv": "conv", "rpn_cls": "objectness_logits", "rpn_reg": "anchor_deltas"}
    rpn = {f"rpn_head.{a}": f"proposal_generator.rpn_head.{b}" for a, b in names.items()}
    return _backbone(deep_stem) | _fpn() | rpn


def _box_head(theirs: str, stage: str) -> dict[str, str]:
    modules = {f"{theirs}.shared_fcs.{i}": f"roi_heads.box_head.{stage}fc{i + 1}" for i in range(2)}
    names = {"fc_cls": "cls_score", "fc_reg": "bbox_pred"}
    return modules | {f"{theirs}.{a}": f"roi_heads.box_predictor.{stage}{b}" for a, b in names.items()}
