"""Detectors on ConvNeXt-T and Swin-T against mmdet 3.3.0: inference at two sizes, and a training step."""

import json
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from comparing import Line, build_seeded, difference, load_golden, match_boxes, our_names, sampled
from detectron2.config import CfgNode
from detectron2.modeling import detector_postprocess
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from seeded import ellipses, seeded_boxes, seeded_image
from torch import Tensor, nn

import bdd100k_d2

# Golden file -> title, and the config that builds the same model.
DETECTORS = {
    "faster_rcnn_convnext-t": ("Faster R-CNN ConvNeXt-T", "det/faster_rcnn_convnext_T_FPN_fp16_3x"),
    "cascade_rcnn_swin-t": ("Cascade R-CNN Swin-T", "det/cascade_rcnn_swin_T_FPN_3x"),
}
# The second is padded to 288x480 for a detector, and its maps are no multiples of Swin's windows.
SIZES = ((256, 320), (264, 456))
# mmdet's names of losses -> ours, of Faster R-CNN.
_LOSSES = {"loss_rpn_bbox": "loss_rpn_loc", "loss_bbox": "loss_box_reg"}
# Gradients that are zero in theory, as those of the biases of keys, are noise.
_NOISE = 1e-3


def measure_torchvision_inference() -> Iterator[Line]:
    """Detectors on one image of each of two sizes."""
    for stem, (title, config) in DETECTORS.items():
        yield from inference_lines(title, detector_config(config), load_golden(f"openmmlab/{stem}"))


def measure_torchvision_training() -> Iterator[Line]:
    """A step on two images of different sizes, every anchor and proposal sampled and no branch dropped."""
    for stem, (title, config) in DETECTORS.items():
        yield from training_lines(title, detector_config(config), load_golden(f"openmmlab/{stem}"))


def inference_lines(title: str, cfg: CfgNode, golden: Mapping[str, np.ndarray]) -> Iterator[Line]:
    """What the model of ``cfg`` gives for one image of each of two sizes."""
    model = build_seeded(cfg, golden).eval()
    seen = [_measure_image(model, *size, golden) for size in SIZES]
    features, pyramid, far_proposals, far, apart, masks = (max(values) for values in zip(*seen, strict=True))
    yield Line(title, "features C2 to C5, two sizes", 1e-4, features)
    yield Line(title, "features P2 to P6, two sizes", 1e-4, pyramid)
    yield Line(title, "1000 of 1000 proposals, two sizes", 0.01, far_proposals, "px")
    yield Line(title, "100 of 100 detections, two sizes", 0.01, far, "px")
    yield Line(title, "their scores, two sizes", 5e-5, apart)
    if model.roi_heads.mask_on:
        yield Line(title, "mask pixels that differ, of those in masks, two sizes", 1e-3, masks)


def training_lines(title: str, cfg: CfgNode, golden: Mapping[str, np.ndarray]) -> Iterator[Line]:
    """The losses and gradients of a step on two images of different sizes, every anchor and proposal sampled."""
    cfg.MODEL.TORCHVISION.DROP_PATH = 0.0
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 10**6
    cfg.MODEL.RPN.POSITIVE_FRACTION = cfg.MODEL.ROI_HEADS.POSITIVE_FRACTION = 1.0
    model = build_seeded(cfg, golden).train()
    with EventStorage():
        losses = model([_labelled(256, 320, 0), _labelled(260, 300, 1)])
    theirs = {
        _our_loss(name): float(value) for name, value in golden.items() if name.startswith("train/") and "loss" in name
    }
    assert losses.keys() == theirs.keys()
    apart = max(abs(float(losses[name].detach()) / value - 1) for name, value in theirs.items())
    yield Line(title, f"{len(theirs)} losses, relative", 1e-3, apart)
    sum(losses.values()).backward()
    names = our_names(golden)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    order = [names[name] for name in json.loads(str(golden["train/trained"]))]
    assert sorted(order) == sorted(trained)
    ours = np.array([float(trained[name].grad.norm()) for name in order])
    norms = golden["train/gradient_norms"]
    apart = float((np.abs(ours - norms) / np.maximum(norms, _NOISE)).max())
    yield Line(title, f"gradient norm of each of {len(order)} parameters, relative", 1e-2, apart)


def detector_config(name: str) -> CfgNode:
    """A shipped config on the CPU, of the golden models' ten classes."""
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    return cfg


def _image(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(seeded_image(height, width, seed)).permute(2, 0, 1)


@torch.no_grad()
def _measure_image(model: nn.Module, height: int, width: int, golden: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    """The largest differences of the backbone's and the FPN's maps, of proposals, and of detections and their scores.

    The last is the share of pixels of masks that differ, zero where there are none.
    """
    expected = {
        name.rpartition("/")[2]: value for name, value in golden.items() if name.startswith(f"{height}x{width}/")
    }
    images = model.preprocess_image([{"image": _image(height, width)}])
    bottom_up = model.backbone.bottom_up(images.tensor)
    features = model.backbone(images.tensor)
    maps = max(difference(sampled(bottom_up[f"res{i + 2}"]), expected[f"backbone{i}"]) for i in range(4))
    pyramid = max(difference(sampled(features[f"p{i + 2}"]), expected[f"neck{i}"]) for i in range(5))
    (proposals,), _ = model.proposal_generator(images, features)
    (found,), _ = model.roi_heads(images, features, [proposals])
    boxes, logits = proposals.proposal_boxes.tensor, proposals.objectness_logits
    far_proposals, _, _ = match_boxes(
        boxes, logits.sigmoid(), None, expected["proposals"], expected["proposal_scores"], None
    )
    detections = (found.pred_boxes.tensor, found.scores, found.pred_classes)
    far, apart, nearest = match_boxes(*detections, expected["boxes"], expected["scores"], expected["classes"])
    masks = 0.0
    if "masks" in expected:
        theirs = np.unpackbits(expected["masks"], axis=-1)[nearest, :, :width].astype(bool)
        ours = detector_postprocess(found, height, width).pred_masks.numpy()
        masks = np.count_nonzero(ours != theirs) / theirs.sum()
    return maps, pyramid, far_proposals, far, apart, masks


def _labelled(height: int, width: int, seed: int) -> dict[str, Tensor | Instances]:
    boxes = seeded_boxes(height, width, 12, seed=seed)
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(torch.from_numpy(boxes))
    instances.gt_masks = BitMasks(torch.from_numpy(ellipses(boxes, height, width)))
    instances.gt_classes = torch.arange(12) % 10
    return {"image": _image(height, width, seed), "instances": instances}


def _our_loss(name: str) -> str:
    stage, _, loss = name.removeprefix("train/").rpartition(".")
    loss = _LOSSES.get(loss, loss)
    return f"{loss}_stage{stage[1:]}" if stage else loss


TORCHVISION_MEASUREMENTS = (
    measure_torchvision_inference,
    measure_torchvision_training,
)
