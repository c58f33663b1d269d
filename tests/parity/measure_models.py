"""Inference, one training step and initial values of the zoo's models against Vis4D 1.0.0."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from comparing import (
    Row,
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
from seeded import seeded_boxes, seeded_mask, seeded_picture
from torch import nn

import bdd100k_d2


def measure_detection() -> Iterator[Row]:
    """Inference of Faster R-CNN on one picture of 720x1280."""
    golden = load_golden("detector")
    model = build_seeded(detector_config(), golden).eval()
    picture = torch.from_numpy(seeded_picture(720, 1280)).permute(2, 0, 1)
    with torch.no_grad():
        images = model.preprocess_image([{"image": picture}])
        features = model.backbone(images.tensor)
        logits, deltas = model.proposal_generator.rpn_head([features[f"p{k}"] for k in range(2, 7)])
        proposals, _ = model.proposal_generator(images, features)
        (found,), _ = model.roi_heads(images, features, proposals)
    name = "Faster R-CNN"
    seen = max(difference(sampled(features[f"p{k}"]), golden[f"test/p{k}"]) for k in range(2, 7))
    yield Row(name, "features P2 to P6", 1e-3, seen)
    rpn = enumerate(zip(logits, deltas, strict=True), start=2)
    seen = max(
        max(
            difference(sampled(objectness), golden[f"test/objectness{k}"]),
            difference(sampled(delta), golden[f"test/deltas{k}"]),
        )
        for k, (objectness, delta) in rpn
    )
    yield Row(name, "RPN logits and deltas", 1e-4, seen)
    boxes, scores = proposals[0].proposal_boxes.tensor, proposals[0].objectness_logits.sigmoid()
    far, apart, _ = match_boxes(boxes, scores, None, golden["test/proposals"], golden["test/proposal_scores"], None)
    yield Row(name, "1000 of 1000 proposals", 0.01, far, "px")
    yield Row(name, "their scores", 1e-6, apart)
    far, apart, _ = match_boxes(
        found.pred_boxes.tensor,
        found.scores,
        found.pred_classes,
        golden["test/boxes"],
        golden["test/scores"],
        golden["test/classes"],
    )
    yield Row(name, "100 of 100 detections", 0.05, far, "px")
    yield Row(name, "their scores", 1e-6, apart)


def measure_detector_training() -> Iterator[Row]:
    """One training step of Faster R-CNN on two pictures of different sizes, every anchor and proposal sampled."""
    golden = load_golden("detector")
    cfg = detector_config()
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 10**6
    cfg.MODEL.RPN.POSITIVE_FRACTION = cfg.MODEL.ROI_HEADS.POSITIVE_FRACTION = 1.0
    model = build_seeded(cfg, golden).train()
    batch = []
    for i, size in enumerate([(240, 400), (224, 416)]):
        instances = Instances(size)
        instances.gt_boxes = Boxes(torch.from_numpy(seeded_boxes(*size, 12, seed=i)))
        instances.gt_classes = torch.arange(12) % 10
        picture = torch.from_numpy(seeded_picture(*size, seed=i)).permute(2, 0, 1)
        batch.append({"image": picture, "instances": instances})
    yield from _measure_step("Faster R-CNN", cfg, model, batch, golden)


def measure_segmentation() -> Iterator[Row]:
    """Inference of Semantic FPN on one picture of 720x1280 without padding."""
    golden = load_golden("segmenter")
    model = build_seeded(segmenter_config(), golden).eval()
    picture = torch.from_numpy(seeded_picture(720, 1280)).permute(2, 0, 1)
    with torch.no_grad():
        images = ImageList.from_tensors([(picture - model.pixel_mean) / model.pixel_std])
        features = model.backbone(images.tensor)
        (result,) = model([{"image": picture}])
    seen = max(difference(sampled(features[f"p{k}"]), golden[f"test/p{k}"]) for k in range(2, 6))
    yield Row("Semantic FPN", "features P2 to P5", 1e-3, seen)
    logits = result["sem_seg"]
    yield Row("Semantic FPN", "logits", 1e-4, difference(sampled(logits), golden["test/logits"]))
    other = np.count_nonzero(logits.argmax(dim=0).numpy() != golden["test/classes"])
    yield Row("Semantic FPN", "pixels of another class, of 921,600", 0, other)


def measure_segmenter_training() -> Iterator[Row]:
    """One training step of Semantic FPN on two crops, dropout off."""
    golden = load_golden("segmenter")
    cfg = segmenter_config()
    cfg.MODEL.SEM_SEG_HEAD.DROPOUT = 0.0
    model = build_seeded(cfg, golden).train()
    size = (128, 224)
    batch = [
        {
            "image": torch.from_numpy(seeded_picture(*size, seed=i)).permute(2, 0, 1),
            "sem_seg": torch.from_numpy(seeded_mask(*size, 19, seed=i)),
        }
        for i in range(2)
    ]
    yield from _measure_step("Semantic FPN", cfg, model, batch, golden)
    seen = max(
        difference(model.get_buffer(ours), golden[f"train/{theirs}"])
        for ours, theirs in (
            ("backbone.bottom_up.stem.conv1.norm.running_mean", "basemodel.stem.1.running_mean"),
            ("sem_seg_head.p5.4.norm.running_var", "seg_head.scale_heads.3.4.norm.running_var"),
        )
    )
    yield Row("Semantic FPN", "statistics of batch norm after the step", 1e-5, seen)


def measure_initial_values() -> Iterator[Row]:
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
        yield Row(model, "initial values: deviation of each tensor, relative", 0.1, max(deviations))
        yield Row(model, "initial values: kurtosis of each tensor, relative", 0.25, max(shapes))


def _measure_step(
    name: str, cfg: CfgNode, model: nn.Module, batch: list[dict[str, Any]], golden: Mapping[str, np.ndarray]
) -> Iterator[Row]:
    with EventStorage():
        losses = model(batch)
    for loss, value in losses.items():
        yield Row(name, f"`{loss}`, relative", 1e-3, abs(float(value.detach()) / float(golden[f"train/{loss}"]) - 1))
    sum(losses.values()).backward()
    trained = {key: value for key, value in model.named_parameters() if value.requires_grad}
    names = [our_names(golden)[key] for key in json.loads(str(golden["train/trained"]))]
    assert sorted(names) == sorted(trained)
    gradients = np.array([float(trained[key].grad.norm()) for key in names])
    apart = relative(gradients, golden["train/gradient_norms"])
    yield Row(name, "gradient norm of each parameter, relative", 1e-2, apart)
    # A stage of the backbone, a level of the FPN, a layer of a head.
    groups = np.array([key.split(".")[:3] for key in names])
    inverse = np.unique(groups, axis=0, return_inverse=True)[1].ravel()
    ours, theirs = (np.sqrt(np.bincount(inverse, n**2)) for n in (gradients, golden["train/gradient_norms"]))
    yield Row(
        name, f"gradient norm of each of {len(ours)} groups of parameters, relative", 1e-3, relative(ours, theirs)
    )
    before = {key: value.detach().clone() for key, value in trained.items()}
    optimizer = bdd100k_d2.Trainer.build_optimizer(cfg, model)
    optimizer.step()
    optimizer.step()
    moved = np.array([float((trained[key].detach() - before[key]).norm()) for key in names])
    apart = relative(moved, golden["train/step_norms"])
    yield Row(name, "how far two steps move each parameter, relative", 1e-2, apart)


MODEL_MEASUREMENTS = (
    measure_detection,
    measure_segmentation,
    measure_detector_training,
    measure_segmenter_training,
    measure_initial_values,
)
