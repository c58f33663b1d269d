"""ATSS against mmdet 3.3.0: inference at two sizes, and a training step."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from comparing import Line, build_seeded, difference, load_golden, match_boxes, of_size, picture, sampled, step_lines
from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from seeded import seeded_boxes
from torch import Tensor, nn

import bdd100k_d2

TITLE = "ATSS R-50"
# The second is padded to 288x480.
SIZES = ((256, 320), (264, 456))
# mmdet's names of losses -> ours.
_LOSSES = {"loss_cls": "loss_cls", "loss_bbox": "loss_box_reg", "loss_centerness": "loss_centerness"}
_LEVELS = 5


def measure_atss_inference() -> Iterator[Line]:
    """One image of each of two sizes."""
    golden = load_golden("openmmlab/atss_r50")
    model = build_seeded(_config(), golden).eval()
    seen = [_measure_image(model, *size, golden) for size in SIZES]
    pyramid, outputs, far, apart = (max(values) for values in zip(*seen, strict=True))
    yield Line(TITLE, "features P3 to P7, two sizes", 1e-4, pyramid)
    yield Line(TITLE, "logits, deltas and centerness, two sizes", 1e-3, outputs)
    yield Line(TITLE, "100 of 100 detections, two sizes", 0.01, far, "px")
    yield Line(TITLE, "their scores, two sizes", 1e-5, apart)


def measure_atss_training() -> Iterator[Line]:
    """A step on two images of different sizes, the first with its padding: mmdet was told that it is a part of it."""
    golden = load_golden("openmmlab/atss_r50")
    model = build_seeded(_config(), golden).train()
    first, second = _labelled(256, 320, 0), _labelled(260, 300, 1)
    padded = model.pixel_mean.repeat(1, 288, 320)
    padded[:, :256] = first["image"]
    first["image"], first["instances"]._image_size = padded, (288, 320)
    with EventStorage():
        losses = model([first, second])
    yield from step_lines(TITLE, model, losses, golden, _LOSSES)


def _config() -> CfgNode:
    cfg = bdd100k_d2.get_config("det/atss_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "cpu"
    return cfg


@torch.no_grad()
def _measure_image(model: nn.Module, height: int, width: int, golden: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    """Largest differences of the FPN's maps, of the head's, and of detections in pixels and in score."""
    expected, image = of_size(golden, height, width), picture(height, width)
    features = model.backbone(model.preprocess_image([{"image": image}]).tensor)
    levels = [features[name] for name in model.head_in_features]
    pyramid = max(difference(sampled(levels[i]), expected[f"neck{i}"]) for i in range(_LEVELS))
    maps = zip(("logits", "deltas", "centerness"), model.head(levels), strict=True)
    outputs = max(
        difference(sampled(of_level[i]), expected[f"{name}{i}"]) for name, of_level in maps for i in range(_LEVELS)
    )
    found = model([{"image": image}])[0]["instances"]
    detections = (found.pred_boxes.tensor, found.scores, found.pred_classes)
    far, apart, _ = match_boxes(*detections, expected["boxes"], expected["scores"], expected["classes"])
    return pyramid, outputs, far, apart


def _labelled(height: int, width: int, seed: int) -> dict[str, Tensor | Instances]:
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(torch.from_numpy(seeded_boxes(height, width, 12, seed=seed)))
    instances.gt_classes = torch.arange(12) % 10
    return {"image": picture(height, width, seed), "instances": instances}


ATSS_MEASUREMENTS = (measure_atss_inference, measure_atss_training)
