"""Models with deformable convolutions against mmdet 3.3.0 and mmseg 1.2.2: inference at two sizes, a training step."""

import json
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from comparing import Line, difference, load_converted, load_golden, sampled
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from measure_torchvision_backbones import SIZES, detector_config, inference_lines, training_lines
from seeded import seeded_image, seeded_state

from bdd100k_d2.checkpoint.convert import convert_state

FASTER = ("Faster R-CNN DCN", "det/faster_rcnn_R_50_FPN_dconv_3x", "openmmlab/faster_rcnn_r50_dconv")
MASK = ("Mask R-CNN DCN", "ins_seg/mask_rcnn_R_50_FPN_dconv_3x", "openmmlab/mask_rcnn_r50_dconv")


def measure_deformable_boxes() -> Iterator[Line]:
    """Faster R-CNN on one image of each of two sizes."""
    title, config, stem = FASTER
    yield from inference_lines(title, detector_config(config), load_golden(stem))


def measure_deformable_masks() -> Iterator[Line]:
    """Mask R-CNN on one image of each of two sizes."""
    title, config, stem = MASK
    yield from inference_lines(title, detector_config(config), load_golden(stem))


def measure_deformable_training() -> Iterator[Line]:
    """A step of Faster R-CNN on two images of different sizes, every anchor and proposal sampled."""
    title, config, stem = FASTER
    yield from training_lines(title, detector_config(config), load_golden(stem))


def measure_deformable_head() -> Iterator[Line]:
    """Semantic FPN with deformable convolutions in its head."""
    cfg = detector_config("sem_seg/semantic_fpn_R_50_40k_gn_dconv")
    yield from logits_lines("Semantic FPN, GN, DCNv2", cfg, load_golden("openmmlab/fpn_r50_gn_dconv"))


@torch.no_grad()
def logits_lines(title: str, cfg: CfgNode, golden: Mapping[str, np.ndarray]) -> Iterator[Line]:
    """The logits and classes that the segmenter of ``cfg`` gives for one image of each of two sizes."""
    state = seeded_state(json.loads(str(golden["shapes"])), scales=json.loads(str(golden["scales"])))
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}
    model = load_converted(build_model(cfg), convert_state(tensors, "seeded").model).eval()
    far, others = [], 0
    for height, width in SIZES:
        image = torch.from_numpy(seeded_image(height, width)).permute(2, 0, 1)
        logits = model([{"image": image, "height": height, "width": width}])[0]["sem_seg"]
        far.append(difference(sampled(logits), golden[f"{height}x{width}/logits"]))
        others += int((logits.argmax(dim=0).numpy() != golden[f"{height}x{width}/classes"]).sum())
    yield Line(title, "logits, two sizes", 1e-4, max(far))
    # Of some 150,000, whose two best logits are as close as rounding.
    yield Line(title, "pixels of another class, two sizes", 3, others)


DEFORMABLE_MEASUREMENTS = (
    measure_deformable_boxes,
    measure_deformable_masks,
    measure_deformable_training,
    measure_deformable_head,
)
