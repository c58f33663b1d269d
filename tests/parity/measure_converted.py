"""Converted checkpoints of mmdet 3.3.0 and mmseg 1.2.2 against what those frameworks put out."""

from collections.abc import Iterator

import numpy as np
import torch
from comparing import Line, build_seeded, difference, load_golden, match_boxes, sampled
from seeded import seeded_image

import bdd100k_d2

# Part of zoo.npz -> title, and the config that builds the same model.
CONVERTED = {
    "faster-rcnn": ("mmdet Faster R-CNN", "det/faster_rcnn_R_50_FPN_1x"),
    "cascade-rcnn": ("mmdet Cascade R-CNN", "det/cascade_rcnn_R_50_FPN_1x"),
    "retinanet": ("mmdet RetinaNet", "det/retinanet_R_50_FPN_1x"),
    "mask-rcnn": ("mmdet Mask R-CNN", "ins_seg/mask_rcnn_R_50_FPN_1x"),
    "fpn": ("mmseg Semantic FPN", "sem_seg/semantic_fpn_R_50_40k"),
    "fpn-gn": ("mmseg Semantic FPN, GN", "sem_seg/semantic_fpn_R_50_40k_gn"),
}


def measure_converted_checkpoints() -> Iterator[Line]:
    """Converted checkpoints of mmdet and mmseg against those frameworks on one image of 192x320."""
    arrays = load_golden("zoo")
    image = torch.from_numpy(seeded_image(192, 320)).permute(2, 0, 1)
    for key, (title, config) in CONVERTED.items():
        golden = {name.removeprefix(f"{key}/"): value for name, value in arrays.items() if name.startswith(f"{key}/")}
        cfg = bdd100k_d2.get_config(config)
        cfg.MODEL.DEVICE = "cpu"
        # The golden models have the classes of det, also where ours are built for the eight of ins_seg.
        cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
        # mmdet drops proposals without area; the configs keep them, as Vis4D does.
        cfg.MODEL.PROPOSAL_GENERATOR.MIN_SIZE = 0
        model = build_seeded(cfg, golden).eval()
        with torch.no_grad():
            (result,) = model([{"image": image, "height": 192, "width": 320}])
        if "sem_seg" in result:
            yield Line(title, "logits", 1e-4, difference(sampled(result["sem_seg"]), golden["logits"]))
            continue
        found = result["instances"]
        far, apart, nearest = match_boxes(
            found.pred_boxes.tensor,
            found.scores,
            found.pred_classes,
            golden["boxes"],
            golden["scores"],
            golden["classes"],
        )
        yield Line(title, "100 of 100 detections", 0.05, far, "px")
        yield Line(title, "their scores", 1e-5, apart)
        if "masks" in golden:
            masks = np.unpackbits(golden["masks"], axis=-1).astype(bool)[nearest]
            other = np.count_nonzero(found.pred_masks.numpy() != masks) / masks.sum()
            yield Line(title, "mask pixels that differ, of those in masks", 1e-3, other)
