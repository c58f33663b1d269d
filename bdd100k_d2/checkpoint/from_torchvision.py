"""The layouts of torchvision's ResNets and Faster R-CNN, and of timm's ResNets."""

from collections.abc import Set

from .rules import CLASSIFIER, Layout, background_last, resnet

# timm's stem of three convolutions; the last norm is outside of it.
_TIMM_DEEP_STEM = {
    "conv1.0": "stem.conv1",
    "conv1.1": "stem.conv1.norm",
    "conv1.3": "stem.conv2",
    "conv1.4": "stem.conv2.norm",
    "conv1.6": "stem.conv3",
    "bn1": "stem.conv3.norm",
}


def layout_of(modules: Set[str]) -> Layout | None:
    """The layout of a state dict with these modules; None if it is neither torchvision's nor timm's."""
    if "backbone.body.layer1.0.conv1" in modules:
        return faster_rcnn()
    if "layer1.0.conv1" not in modules:
        return None
    if "conv1.0" in modules:
        named = resnet("", "", _TIMM_DEEP_STEM)
        return Layout("timm ResNet with a deep stem", named, dropped=CLASSIFIER, matching_heuristics=True)
    if "conv1" in modules:
        return Layout("torchvision or timm ResNet", resnet("", ""), dropped=CLASSIFIER, matching_heuristics=True)
    return None


def faster_rcnn() -> Layout:
    """``fasterrcnn_resnet50_fpn`` and its like, whose first class is the background."""
    modules = resnet("backbone.body.", "backbone.bottom_up.")
    for i in range(4):
        for a, b in (("inner_blocks", "fpn_lateral"), ("layer_blocks", "fpn_output")):
            # torchvision 0.14 put a sequence around each convolution.
            modules |= {f"backbone.fpn.{a}.{i}{end}": f"backbone.{b}{i + 2}" for end in ("", ".0")}
    rpn = {"conv": "conv", "conv.0.0": "conv", "cls_logits": "objectness_logits", "bbox_pred": "anchor_deltas"}
    modules |= {f"rpn.head.{a}": f"proposal_generator.rpn_head.{b}" for a, b in rpn.items()}
    modules |= {f"roi_heads.box_head.fc{i + 5}": f"roi_heads.box_head.fc{i}" for i in (1, 2)}
    predictor = "roi_heads.box_predictor"
    modules |= {f"{predictor}.{name}": f"{predictor}.{name}" for name in ("cls_score", "bbox_pred")}
    return Layout(
        "torchvision Faster R-CNN",
        modules,
        reorder={f"{predictor}.cls_score": background_last},
        cut={f"{predictor}.bbox_pred": (4, "the background's boxes, which Detectron2 does not predict")},
    )
