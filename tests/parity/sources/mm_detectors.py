"""What mmdet's detectors give for seeded weights, with the configs of the BDD100K zoo. Environment: make_golden.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mm_backbones import CHANNELS, convnext_t, hrnet, swin_t
from mm_record import SIZES, TRAIN_SIZES, batch, fill, gradients, meta, prefixed, published_eps, sample, samples

import mmdet  # isort: skip, after mm_record
import mmdet.models
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from seeded import ellipses, seeded_boxes, seeded_mask
from torch import Tensor, nn

CONFIGS = Path(mmdet.__file__).parent / ".mim/configs"
CLASSES = 10
# Random draws would differ between frameworks: every anchor and every proposal is sampled.
EVERYTHING = {"num": 10**6, "pos_fraction": 1.0}


@dataclass(frozen=True)
class Detector:
    """A golden detector: mmdet's config, what the zoo changes in it, and its own scales of seeded weights."""

    config: str
    change: Callable[[ConfigDict], None] = lambda cfg: None
    scales: Mapping[str, float] = field(default_factory=dict)
    train: bool = False


def detector(name: str) -> dict[str, np.ndarray]:
    """Inference on pictures of two sizes and, of some, the losses and gradients of a batch."""
    init_default_scope("mmdet")
    recipe = DETECTORS[name]
    cfg = _config(recipe)
    model = MODELS.build(cfg)
    published_eps(model)
    arrays = fill(model, recipe.scales)
    with torch.no_grad():
        for size in SIZES:
            arrays |= prefixed("{}x{}".format(*size), _detect(model, size))
    if recipe.train:
        arrays |= prefixed("train", _train(cfg, recipe.scales))
    training = f"batch of {TRAIN_SIZES}, every anchor and proposal sampled, no drop path" if recipe.train else None
    return {"meta": meta(cfg, training=training), **arrays}


def _config(recipe: Detector) -> ConfigDict:
    cfg = Config.fromfile(CONFIGS / recipe.config).model
    cfg.pop("data_preprocessor", None)
    cfg.backbone.init_cfg = None
    if "roi_head" in cfg:
        heads = cfg.roi_head.bbox_head
        for head in heads if isinstance(heads, list) else [heads]:
            head.num_classes = CLASSES
        if "mask_head" in cfg.roi_head:
            cfg.roi_head.mask_head.num_classes = CLASSES
    else:
        cfg.bbox_head.num_classes = CLASSES
    recipe.change(cfg)
    return cfg


def _detect(model: nn.Module, size: tuple[int, int]) -> dict[str, np.ndarray]:
    images = batch([size], 32)
    data = [_data_sample(size, images)]
    outputs = model.backbone(images)
    features = model.neck(outputs)
    arrays = {**samples("backbone", outputs), **samples("neck", features)}
    if hasattr(model, "rpn_head"):
        logits, deltas = model.rpn_head(features)
        (proposals,) = model.rpn_head.predict(features, data, rescale=False)
        arrays |= {**samples("rpn_logits", logits), **samples("rpn_deltas", deltas)}
        arrays |= {"proposals": proposals.bboxes.numpy(), "proposal_scores": proposals.scores.numpy()}
    else:
        for name, maps in zip(("logits", "deltas", "centerness"), model.bbox_head(features), strict=True):
            arrays |= samples(name, maps)
    if hasattr(model, "roi_head"):
        # PanopticFPN.predict keeps only the merged map.
        (found,) = model.roi_head.predict(features, [proposals], data, rescale=False)
    else:
        found = model.predict(images, data)[0].pred_instances
    arrays |= {
        "boxes": found.bboxes.numpy(),
        "scores": found.scores.numpy(),
        "classes": found.labels.numpy().astype(np.uint8),
    }
    if "masks" in found:
        arrays["masks"] = np.packbits(np.asarray(found.masks), axis=-1)
    if hasattr(model, "semantic_head"):
        arrays["semantic_logits"] = sample(model.semantic_head(features)["seg_preds"])
        (result,) = model.predict(images, data)
        arrays["panoptic"] = result.pred_panoptic_seg.sem_seg[0].numpy().astype(np.int32)
    return arrays


def _train(cfg: ConfigDict, scales: Mapping[str, float]) -> dict[str, np.ndarray]:
    samplers = [cfg.train_cfg.rpn] if "rpn" in cfg.train_cfg else []
    stages = cfg.train_cfg.get("rcnn", [])
    for part in (*samplers, *(stages if isinstance(stages, list) else [stages])):
        part.sampler.update(EVERYTHING)
    model = MODELS.build(cfg)
    published_eps(model)
    fill(model, scales)
    model.train()
    images = batch(TRAIN_SIZES, 32)
    data = [_data_sample(size, images, seed) for seed, size in enumerate(TRAIN_SIZES)]
    return gradients(model, model.loss(images, data))


def _data_sample(size: tuple[int, int], images: Tensor, seed: int | None = None) -> DetDataSample:
    """What mmdet's pipeline knows of a picture; with a seed also its labels."""
    padded = tuple(images.shape[-2:])
    data = DetDataSample(
        metainfo={
            "img_shape": size,
            "ori_shape": size,
            "pad_shape": padded,
            "batch_input_shape": padded,
            "scale_factor": (1, 1),
        }
    )
    if seed is not None:
        boxes = seeded_boxes(*size, 12, seed=seed)
        masks = np.zeros((12, *padded), np.uint8)
        masks[:, : size[0], : size[1]] = ellipses(boxes, *size)
        labels = torch.arange(12) % CLASSES
        data.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes), labels=labels, masks=BitmapMasks(masks, *padded)
        )
        ids = np.full(padded, 255)
        ids[: size[0], : size[1]] = seeded_mask(*size, 40, seed=seed)
        data.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(ids)[None])
    return data


def _backbone(name: str, make: Callable[[], dict[str, Any]]) -> Callable[[ConfigDict], None]:
    def change(cfg: ConfigDict) -> None:
        cfg.backbone = ConfigDict(make())
        cfg.neck.in_channels = CHANNELS[name]

    return change


def _dconv(cfg: ConfigDict) -> None:
    """Deformable convolutions without a mask, which the zoo calls v2."""
    cfg.backbone.dcn = {"type": "DCN", "deform_groups": 1, "fallback_on_stride": False}
    cfg.backbone.stage_with_dcn = (False, True, True, True)


def _hrnet_w18(cfg: ConfigDict) -> None:
    cfg.backbone = ConfigDict(hrnet(18))
    cfg.neck.in_channels = CHANNELS["w18"]


def _panoptic(cfg: ConfigDict) -> None:
    for part in (cfg.semantic_head, cfg.panoptic_fusion_head):
        part.update(num_things_classes=10, num_stuff_classes=30)


# Of features that left a LayerNorm.
NORMED = {"rpn_cls": 0.03, "fc_cls": 0.02, "fc_reg": 0.02}
# The values of a ResNet share a mean, by which one class would win every box that is above the zoo's threshold of 0.6.
CENTRED = {"lateral_convs": 0.015, "rpn_cls": 0.02, "shared_fcs.0": 0.0126, "shared_fcs.1": 0.044, "fc_cls": 0.02}
# One stage, whose towers are the convolutions before the classes.
TOWERS = {"lateral_convs": 0.015, "cls_convs": 0.03, "reg_convs": 0.03, "atss_cls": 0.02, "atss_reg": 0.01}
# HRNet adds up more than a ResNet.
SUMMED = {"reduction_conv": 0.002, "rpn_cls": 0.03, "fc_cls": 0.02, "fc_reg": 0.02}
# Deformable convolutions look a pixel or two aside.
OFFSETS = {"conv_offset": 0.02}

DETECTORS = {
    "faster_rcnn_convnext-t": Detector(
        "_base_/models/faster-rcnn_r50_fpn.py", _backbone("convnext-t", convnext_t), NORMED, train=True
    ),
    "cascade_rcnn_swin-t": Detector(
        "_base_/models/cascade-rcnn_r50_fpn.py", _backbone("swin-t", swin_t), NORMED, train=True
    ),
    "panoptic_fpn_r50": Detector("panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py", _panoptic, CENTRED, train=True),
    "faster_rcnn_r50_dconv": Detector("_base_/models/faster-rcnn_r50_fpn.py", _dconv, CENTRED | OFFSETS, train=True),
    "mask_rcnn_r50_dconv": Detector("_base_/models/mask-rcnn_r50_fpn.py", _dconv, CENTRED | OFFSETS),
    "faster_rcnn_hrnetv2p_w18": Detector("hrnet/faster-rcnn_hrnetv2p-w32-1x_coco.py", _hrnet_w18, SUMMED, train=True),
    "atss_r50": Detector("atss/atss_r50_fpn_1x_coco.py", scales=TOWERS, train=True),
    "cascade_mask_rcnn_r50": Detector("_base_/models/cascade-mask-rcnn_r50_fpn.py", scales=CENTRED, train=True),
}
