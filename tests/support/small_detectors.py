"""Detectors of the zoo at a fraction of their size, whose random weights find something, and what they find."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from seeded import seeded_image
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.export.detection import detect
from bdd100k_d2.modeling.norms import adapt_sync_norms, fold_norms

# Few classes, so that graphs are small; not fewer channels, or ReLUs make scores equal, which have no right order.
_SMALL = (
    "MODEL.DEVICE cpu MODEL.RESNETS.DEPTH 18 MODEL.RESNETS.RES2_OUT_CHANNELS 64 MODEL.FPN.OUT_CHANNELS 32 "
    "MODEL.ROI_BOX_HEAD.FC_DIM 32 MODEL.ROI_HEADS.NUM_CLASSES 3 MODEL.RETINANET.NUM_CLASSES 3 "
    "MODEL.RETINANET.NUM_CONVS 1 MODEL.ROI_MASK_HEAD.CONV_DIM 16 MODEL.ROI_MASK_HEAD.NUM_CONV 1 "
    "MODEL.SEM_SEG_HEAD.CONVS_DIM 32"
)
# Deformable convolutions are in blocks of fifty layers alone.
_NARROW_R50 = (
    "MODEL.RESNETS.DEPTH 50 MODEL.RESNETS.WIDTH_PER_GROUP 16 MODEL.RESNETS.STEM_OUT_CHANNELS 16 "
    "MODEL.RESNETS.RES2_OUT_CHANNELS 64"
)

FAMILIES: dict[str, tuple[str, Sequence[object]]] = {
    "Faster R-CNN": ("det/faster_rcnn_R_50_FPN_1x", ()),
    "one NMS": ("det/faster_rcnn_R_50_FPN_1x", ("MODEL.ROI_HEADS.CLASS_AGNOSTIC_NMS", True)),
    "focal loss": ("det/faster_rcnn_R_50_FPN_1x", ("MODEL.ROI_BOX_HEAD.CLS_LOSS", "sigmoid_focal")),
    "Cascade R-CNN": ("det/cascade_rcnn_R_50_FPN_1x", ()),
    "focal cascade": ("det/cascade_rcnn_R_50_FPN_1x", ("MODEL.ROI_BOX_HEAD.CLS_LOSS", "sigmoid_focal")),
    "cascade of probabilities": (
        "det/cascade_rcnn_R_50_FPN_1x",
        ("MODEL.ROI_BOX_CASCADE_HEAD.AVERAGE_LOGITS", False),
    ),
    "RetinaNet": ("det/retinanet_R_50_FPN_1x", ()),
    "ATSS": ("det/atss_R_50_FPN_1x", ()),
    "Mask R-CNN": ("ins_seg/mask_rcnn_R_50_FPN_1x", ()),
    "Cascade Mask R-CNN": ("ins_seg/cascade_mask_rcnn_R_50_FPN_1x", ()),
    "Panoptic FPN": ("pan_seg/panoptic_fpn_R_50_FPN_1x", ()),
    "deformable": ("det/faster_rcnn_R_50_FPN_dconv_1x", _NARROW_R50.split()),
    "EfficientNet-Lite0": ("det/faster_rcnn_efficientnet_lite0_FPN", ()),
    "HRNet": ("det/faster_rcnn_hrnet_W18_1x", ()),
    "ConvNeXt": ("det/faster_rcnn_convnext_T_FPN_fp16_1x", ()),
    "Swin": ("det/faster_rcnn_swin_T_FPN_1x", ()),
}
"""The name of each kind's config, and more keys and values in turn."""

Outputs = dict[str, Tensor]


class DetectorGraph(nn.Module):
    """What a test exports: `detect` in frames of one size, or of the images' own; it gives the tensors in a tuple."""

    def __init__(self, model: nn.Module, frame: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.model, self.frame = model, frame

    def outputs(self, images: Tensor) -> Outputs:
        return detect(self.model, images, *(self.frame or images.shape[2:]))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.outputs(images).values())


def images(number: int, height: int, width: int) -> Tensor:
    """Images (number, 3, height, width), float32, 0 to 255, with structure."""
    arrays = [seeded_image(height, width, seed=i) for i in range(number)]
    return torch.stack([torch.from_numpy(one).permute(2, 0, 1).float() for one in arrays])


def small_config(family: str) -> CfgNode:
    name, overrides = FAMILIES[family]
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.WEIGHTS = ""
    cfg.merge_from_list([*_SMALL.split(), *overrides])
    return cfg


def small_detector(family: str) -> nn.Module:
    """The model with random weights, its norms folded, in evaluation mode."""
    return folded_detector(small_config(family))


def folded_detector(cfg: CfgNode) -> nn.Module:
    model = random_detector(cfg)
    adapt_sync_norms(model)
    model.eval()
    fold_norms(model)
    return model.requires_grad_(False)


def random_detector(cfg: CfgNode) -> nn.Module:
    """The model of a config with such weights, as it is built."""
    torch.manual_seed(0)
    model = build_model(cfg)
    for name, parameter in model.named_parameters():
        # Detectron2's own are so small that many scores would be the same.
        if name.startswith("head."):
            nn.init.normal_(parameter, std=0.05)
        elif "cls_score" in name or "objectness" in name:
            nn.init.normal_(parameter, std=0.1)
    many_sums = "hrnet" in cfg.MODEL.BACKBONE.NAME or cfg.MODEL.RESNETS.DEPTH == 50
    if many_sums or "timm" in cfg.MODEL.BACKBONE.NAME:
        # Of many sums none stays small, and scores would be 1; of timm's some would be near to another's.
        for module in model.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 0.5 if many_sums else 0.85)
    return model


@torch.no_grad()
def found_by(model: nn.Module, images: Tensor, frame: Sequence[int]) -> Outputs:
    """What the model itself finds, in the form of a graph's outputs; of masks only where they are there."""
    results = model([{"image": one, "height": frame[0], "width": frame[1]} for one in images])
    instances = [one["instances"] for one in results]
    fields: dict[str, Any] = {
        "boxes": torch.cat([one.pred_boxes.tensor for one in instances]),
        "scores": torch.cat([one.scores for one in instances]),
        "classes": torch.cat([one.pred_classes for one in instances]),
        "counts": torch.tensor([len(one) for one in instances]),
    }
    if all(one.has("pred_masks") for one in instances):
        fields["masks"] = torch.cat([one.pred_masks.bool() for one in instances])
    if "sem_seg" in results[0]:
        fields["sem_seg"] = torch.stack([one["sem_seg"].argmax(dim=0).to(torch.uint8) for one in results])
    return fields


def assert_equal(found: Mapping[str, Any], expected: Outputs, pixels: float = 0.01, scores: float = 1e-5) -> None:
    """That boxes and scores are as near as that, and masks and ids equal but for ties.

    Detections whose scores are as near as that may stand in another order.
    """
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in found.items()}
    assert tensors.keys() == expected.keys()
    assert all(tensors[name].dtype == expected[name].dtype for name in expected)
    assert tensors["counts"].tolist() == expected["counts"].tolist()
    places = _same(tensors, expected, scores)
    assert torch.equal(tensors["classes"][places], expected["classes"])
    torch.testing.assert_close(tensors["boxes"][places], expected["boxes"], rtol=0, atol=pixels)
    torch.testing.assert_close(tensors["scores"], expected["scores"], rtol=0, atol=scores)
    ordered = {"masks": places, "sem_seg": slice(None)}
    for name in ordered.keys() & expected.keys():
        assert tensors[name].shape == expected[name].shape
        # Of random weights a few pixels are on the threshold.
        assert (tensors[name][ordered[name]] != expected[name]).sum() <= 2e-4 * expected[name].numel()


def _same(found: Outputs, expected: Outputs, scores: float) -> Tensor:
    """Of each detection that is expected the place of the nearest one that is found with its score, each once."""
    free = torch.ones(len(found["scores"]), dtype=torch.bool)
    image = torch.repeat_interleave(torch.arange(len(expected["counts"])), expected["counts"])
    places = []
    for i, box in enumerate(expected["boxes"]):
        near = (found["scores"] - expected["scores"][i]).abs() <= scores
        apart = (found["boxes"] - box).abs().amax(dim=1)
        place = torch.where(free & near & (image == image[i]), apart, torch.inf).argmin()
        free[place] = False
        places.append(int(place))
    return torch.tensor(places, dtype=torch.int64)
