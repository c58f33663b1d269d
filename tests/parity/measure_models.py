"""Inference, one training step and initial values of the zoo's models against Vis4D 1.0.0."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from comparing import (
    Line,
    build_seeded,
    detector_config,
    difference,
    load_golden,
    match_boxes,
    our_names,
    relative,
    sampled,
    segmenter_config,
)
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage
from measure_recipe import in_floating_point
from seeded import seeded_boxes, seeded_image, seeded_mask
from torch import nn
from torchvision.transforms.v2 import functional as color

import bdd100k_d2
from bdd100k_d2.data.augmentation import ColorAdjustmentTransform, LinearResizeTransform


def measure_detection() -> Iterator[Line]:
    """Inference of Faster R-CNN on one image of 720x1280."""
    golden = load_golden("detector")
    model = build_seeded(detector_config(), golden).eval()
    image = torch.from_numpy(seeded_image(720, 1280)).permute(2, 0, 1)
    with torch.no_grad():
        images = model.preprocess_image([{"image": image}])
        features = model.backbone(images.tensor)
        logits, deltas = model.proposal_generator.rpn_head([features[f"p{k}"] for k in range(2, 7)])
        proposals, _ = model.proposal_generator(images, features)
        (found,), _ = model.roi_heads(images, features, proposals)
    name = "Faster R-CNN"
    seen = max(difference(sampled(features[f"p{k}"]), golden[f"test/p{k}"]) for k in range(2, 7))
    yield Line(name, "features P2 to P6", 1e-3, seen)
    rpn = enumerate(zip(logits, deltas, strict=True), start=2)
    seen = max(
        max(
            difference(sampled(objectness), golden[f"test/objectness{k}"]),
            difference(sampled(delta), golden[f"test/deltas{k}"]),
        )
        for k, (objectness, delta) in rpn
    )
    yield Line(name, "RPN logits and deltas", 1e-4, seen)
    boxes, scores = proposals[0].proposal_boxes.tensor, proposals[0].objectness_logits.sigmoid()
    far, apart, _ = match_boxes(boxes, scores, None, golden["test/proposals"], golden["test/proposal_scores"], None)
    yield Line(name, "1000 of 1000 proposals", 0.01, far, "px")
    yield Line(name, "their scores", 1e-6, apart)
    far, apart, _ = match_boxes(
        found.pred_boxes.tensor,
        found.scores,
        found.pred_classes,
        golden["test/boxes"],
        golden["test/scores"],
        golden["test/classes"],
    )
    yield Line(name, "100 of 100 detections", 0.05, far, "px")
    yield Line(name, "their scores", 1e-6, apart)


def measure_detector_training() -> Iterator[Line]:
    """One training step of Faster R-CNN on two images of different sizes, every anchor and proposal sampled."""
    golden = load_golden("detector")
    cfg = detector_config()
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 10**6
    cfg.MODEL.RPN.POSITIVE_FRACTION = cfg.MODEL.ROI_HEADS.POSITIVE_FRACTION = 1.0
    model = build_seeded(cfg, golden).train()
    batch = [_labelled(seeded_image(*size, seed=i), i) for i, size in enumerate([(240, 400), (224, 416)])]
    yield from _measure_step("Faster R-CNN", cfg, model, batch, golden)


def measure_segmentation() -> Iterator[Line]:
    """Inference of Semantic FPN on one image of 720x1280 without padding."""
    golden = load_golden("segmenter")
    model = build_seeded(segmenter_config(), golden).eval()
    image = torch.from_numpy(seeded_image(720, 1280)).permute(2, 0, 1)
    with torch.no_grad():
        images = ImageList.from_tensors([(image - model.pixel_mean) / model.pixel_std])
        features = model.backbone(images.tensor)
        (result,) = model([{"image": image}])
    seen = max(difference(sampled(features[f"p{k}"]), golden[f"test/p{k}"]) for k in range(2, 6))
    yield Line("Semantic FPN", "features P2 to P5", 1e-3, seen)
    logits = result["sem_seg"]
    yield Line("Semantic FPN", "logits", 1e-4, difference(sampled(logits), golden["test/logits"]))
    other = np.count_nonzero(logits.argmax(dim=0).numpy() != golden["test/classes"])
    yield Line("Semantic FPN", "pixels of another class, of 921,600", 0, other)


def measure_segmenter_training() -> Iterator[Line]:
    """One training step of Semantic FPN on two crops, dropout off."""
    golden = load_golden("segmenter")
    cfg = segmenter_config()
    cfg.MODEL.SEM_SEG_HEAD.DROPOUT = 0.0
    model = build_seeded(cfg, golden).train()
    size = (128, 224)
    batch = [_labelled(seeded_image(*size, seed=i), i) for i in range(2)]
    yield from _measure_step("Semantic FPN", cfg, model, batch, golden)
    seen = max(
        difference(model.get_buffer(ours), golden[f"train/{theirs}"])
        for ours, theirs in (
            ("backbone.bottom_up.stem.conv1.norm.running_mean", "basemodel.stem.1.running_mean"),
            ("sem_seg_head.p5.4.norm.running_var", "seg_head.scale_heads.3.4.norm.running_var"),
        )
    )
    yield Line("Semantic FPN", "statistics of batch norm after the step", 1e-5, seen)


def measure_rounding() -> Iterator[Line]:
    """What rounding to bytes, where Vis4D keeps floats, does to the losses: after a resize, and after the jitter."""
    cfg = detector_config()
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 10**6
    cfg.MODEL.RPN.POSITIVE_FRACTION = cfg.MODEL.ROI_HEADS.POSITIVE_FRACTION = 1.0
    model = build_seeded(cfg, load_golden("detector")).train()
    image = seeded_image(288, 480)
    pair = LinearResizeTransform(288, 480, 240, 400).apply_image(image), in_floating_point(image, 240, 400)
    yield Line("Rounding", "largest change of a detection loss, resized to 5/6, relative", 1e-2, _change(model, pair))

    cfg = segmenter_config()
    cfg.MODEL.SEM_SEG_HEAD.DROPOUT = 0.0
    model = build_seeded(cfg, load_golden("segmenter")).train()
    image, adjustments = seeded_image(128, 224), [("contrast", 1.3), ("hue", 0.04), ("brightness", 0.95)]
    pixels = torch.from_numpy(image).permute(2, 0, 1) / 255.0
    for name, amount in adjustments:
        pixels = getattr(color, f"adjust_{name}")(pixels, amount)
    pair = ColorAdjustmentTransform(adjustments).apply_image(image), (pixels * 255).permute(1, 2, 0).numpy()
    yield Line("Rounding", "change of the segmentation loss, colours jittered, relative", 1e-2, _change(model, pair))


def measure_initial_values() -> Iterator[Line]:
    """The spread of what the heads and the FPN start from: random, so compared by deviation and largest value."""
    for name, cfg in (("detector", detector_config()), ("segmenter", segmenter_config())):
        golden = load_golden(name)
        torch.manual_seed(1)
        ours = build_model(cfg).state_dict()
        names = our_names(golden)
        deviations, shapes = [], []
        spreads = (golden[f"init/{key}"] for key in ("largest", "deviations", "fourth_moments"))
        for source, *spread in zip(json.loads(str(golden["init/names"])), *spreads, strict=True):
            largest, deviation, fourth_moment = spread
            value = ours[names[source]]
            if deviation == 0:
                assert torch.equal(value, torch.full_like(value, largest)), source
            elif value.numel() > 700:
                deviations.append(abs(float(value.std(unbiased=False)) / deviation - 1))
                # Tells normal values from uniform ones, 3 from 1.8.
                kurtosis = float((value - value.mean()).pow(4).mean() / value.var(unbiased=False) ** 2)
                shapes.append(abs(kurtosis / (fourth_moment / deviation**4) - 1))
        model = "Faster R-CNN" if name == "detector" else "Semantic FPN"
        yield Line(model, "initial values: deviation of each tensor, relative", 0.1, max(deviations))
        yield Line(model, "initial values: kurtosis of each tensor, relative", 0.25, max(shapes))


def _labelled(image: np.ndarray, seed: int) -> dict[str, Any]:
    size = image.shape[:2]
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.from_numpy(seeded_boxes(*size, 12, seed=seed)))
    instances.gt_classes = torch.arange(12) % 10
    ids = torch.from_numpy(seeded_mask(*size, 19, seed=seed))
    return {"image": torch.from_numpy(image).permute(2, 0, 1), "instances": instances, "sem_seg": ids}


def _change(model: nn.Module, images: tuple[np.ndarray, np.ndarray]) -> float:
    """The largest relative change of a loss between two images with equal labels."""
    with EventStorage(), torch.no_grad():
        first, second = (model([_labelled(image, 0)]) for image in images)
    return max(abs(float(second[name] / value) - 1) for name, value in first.items())


def _measure_step(
    name: str, cfg: CfgNode, model: nn.Module, batch: list[dict[str, Any]], golden: Mapping[str, np.ndarray]
) -> Iterator[Line]:
    with EventStorage():
        losses = model(batch)
    for loss, value in losses.items():
        yield Line(name, f"`{loss}`, relative", 1e-3, abs(float(value.detach()) / float(golden[f"train/{loss}"]) - 1))
    sum(losses.values()).backward()
    trained = {key: value for key, value in model.named_parameters() if value.requires_grad}
    ours_of = our_names(golden)
    names = [ours_of[key] for key in json.loads(str(golden["train/trained"]))]
    assert sorted(names) == sorted(trained)
    gradients = np.array([float(trained[key].grad.norm()) for key in names])
    apart = relative(gradients, golden["train/gradient_norms"])
    yield Line(name, "gradient norm of each parameter, relative", 1e-2, apart)
    # A stage of the backbone, a level of the FPN, a layer of a head.
    groups = np.array([key.split(".")[:3] for key in names])
    inverse = np.unique(groups, axis=0, return_inverse=True)[1].ravel()
    ours, theirs = (np.sqrt(np.bincount(inverse, n**2)) for n in (gradients, golden["train/gradient_norms"]))
    yield Line(
        name, f"gradient norm of each of {len(ours)} groups of parameters, relative", 1e-3, relative(ours, theirs)
    )
    before = {key: value.detach().clone() for key, value in trained.items()}
    optimizer = bdd100k_d2.Trainer.build_optimizer(cfg, model)
    optimizer.step()
    optimizer.step()
    moved = np.array([float((trained[key].detach() - before[key]).norm()) for key in names])
    apart = relative(moved, golden["train/step_norms"])
    yield Line(name, "how far two steps move each parameter, relative", 1e-2, apart)


MODEL_MEASUREMENTS = (
    measure_detection,
    measure_segmentation,
    measure_detector_training,
    measure_segmenter_training,
    measure_initial_values,
    measure_rounding,
)
