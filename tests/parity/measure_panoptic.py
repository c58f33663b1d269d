"""Panoptic FPN against mmdet 3.3.0: inference at two sizes, from proposals to the merged map, and a training step."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from comparing import Line, build_seeded, difference, load_golden, match_boxes, our_names, sampled
from detectron2.config import CfgNode
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from seeded import ellipses, seeded_boxes, seeded_image, seeded_mask
from torch import Tensor, nn

import bdd100k_d2

TITLE = "Panoptic FPN R-50"
# The second is padded to 288x480.
SIZES = ((256, 320), (264, 456))
THINGS, STUFF, IGNORED = 10, 30, 255
# mmdet's names of losses -> ours.
_LOSSES = {"loss_rpn_bbox": "loss_rpn_loc", "loss_bbox": "loss_box_reg", "loss_seg": "loss_sem_seg"}
# An instance's value in mmdet's map is its class and so many times its number.
_OFFSET = 1000


def measure_panoptic_inference() -> Iterator[Line]:
    """One image of each of two sizes."""
    golden = load_golden("openmmlab/panoptic_fpn_r50")
    model = build_seeded(_config(), golden).eval()
    seen = [_measure_image(model, *size, golden) for size in SIZES]
    far_proposals, far, apart, logits, pixels, counts = zip(*seen, strict=True)
    yield Line(TITLE, "1000 of 1000 proposals, two sizes", 0.01, max(far_proposals), "px")
    yield Line(TITLE, f"{' and '.join(map(str, counts))} detections of one NMS, two sizes", 0.01, max(far), "px")
    yield Line(TITLE, "their scores, two sizes", 1e-4, max(apart))
    yield Line(TITLE, "semantic logits, two sizes", 1e-3, max(logits))
    yield Line(TITLE, "share of pixels of another segment, two sizes", 1e-3, max(pixels))


def measure_panoptic_training() -> Iterator[Line]:
    """A step on two images of different sizes, every anchor and proposal sampled."""
    golden = load_golden("openmmlab/panoptic_fpn_r50")
    cfg = _config()
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 10**6
    cfg.MODEL.RPN.POSITIVE_FRACTION = cfg.MODEL.ROI_HEADS.POSITIVE_FRACTION = 1.0
    model = build_seeded(cfg, golden).train()
    with EventStorage():
        losses = model([_labelled(256, 320, 0), _labelled(260, 300, 1)])
    names = {name: name.removeprefix("train/") for name in golden if name.startswith("train/loss")}
    theirs = {_LOSSES.get(loss, loss): float(golden[name]) for name, loss in names.items()}
    assert losses.keys() == theirs.keys()
    apart = max(abs(float(losses[name].detach()) / value - 1) for name, value in theirs.items())
    yield Line(TITLE, f"{len(theirs)} losses, relative", 1e-3, apart)
    sum(losses.values()).backward()
    ours = our_names(golden)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    order = [ours[name] for name in json.loads(str(golden["train/trained"]))]
    assert sorted(order) == sorted(trained)
    norms = np.array([float(trained[name].grad.norm()) for name in order])
    apart = float(np.abs(norms / golden["train/gradient_norms"] - 1).max())
    yield Line(TITLE, f"gradient norm of each of {len(order)} parameters, relative", 1e-2, apart)


def _config() -> CfgNode:
    cfg = bdd100k_d2.get_config("pan_seg/panoptic_fpn_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def _image(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(seeded_image(height, width, seed)).permute(2, 0, 1)


@torch.no_grad()
def _measure_image(model: nn.Module, height: int, width: int, golden: Mapping[str, np.ndarray]) -> tuple[Any, ...]:
    """Largest differences in pixels, score and logits, the share of pixels that differ, the number of detections."""
    expected = {
        name.rpartition("/")[2]: value for name, value in golden.items() if name.startswith(f"{height}x{width}/")
    }
    images = model.preprocess_image([{"image": _image(height, width)}])
    features = model.backbone(images.tensor)
    (proposals,), _ = model.proposal_generator(images, features)
    (found,), _ = model.roi_heads(images, features, [proposals])
    boxes, objectness = proposals.proposal_boxes.tensor, proposals.objectness_logits
    far_proposals, _, _ = match_boxes(
        boxes, objectness.sigmoid(), None, expected["proposals"], expected["proposal_scores"], None
    )
    detections = (found.pred_boxes.tensor, found.scores, found.pred_classes)
    far, apart, _ = match_boxes(*detections, expected["boxes"], expected["scores"], expected["classes"])
    # The class of all things is their last, and our first.
    logits = model.sem_seg_head.layers(features).roll(-1, dims=1)
    (result,) = model([{"image": _image(height, width)}])
    merged = _merged(*result["panoptic_seg"])
    differing = float((merged != expected["panoptic"]).mean())
    return far_proposals, far, apart, difference(sampled(logits), expected["semantic_logits"]), differing, len(found)


def _merged(segments: Tensor, infos: list[dict[str, Any]]) -> np.ndarray:
    """Our segments in mmdet's numbers: things first, then stuff, then what is neither."""
    values = np.full(len(infos) + 1, THINGS + STUFF)
    for number, info in enumerate(infos, 1):
        k = info["category_id"]
        values[info["id"]] = k + number * _OFFSET if info["isthing"] else THINGS + k - 1
    merged: np.ndarray = values[segments.numpy()]
    return merged


def _labelled(height: int, width: int, seed: int) -> dict[str, Any]:
    instances = Instances((height, width))
    boxes = seeded_boxes(height, width, 12, seed=seed)
    instances.gt_boxes = Boxes(torch.from_numpy(boxes))
    instances.gt_classes = torch.arange(12) % THINGS
    instances.gt_masks = BitMasks(torch.from_numpy(ellipses(boxes, height, width)))
    theirs = seeded_mask(height, width, THINGS + STUFF, seed=seed)
    ours = np.where(theirs == IGNORED, IGNORED, np.maximum(theirs - (THINGS - 1), 0))
    return {"image": _image(height, width, seed), "instances": instances, "sem_seg": torch.from_numpy(ours)}


PANOPTIC_MEASUREMENTS = (measure_panoptic_inference, measure_panoptic_training)
