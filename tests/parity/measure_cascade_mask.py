"""Cascade Mask R-CNN against mmdet 3.3.0: inference at two sizes, and a training step."""

from collections.abc import Iterator

from comparing import Line, load_golden
from measure_torchvision_backbones import detector_config, inference_lines, training_lines

TITLE, CONFIG, GOLDEN = (
    "Cascade Mask R-CNN",
    "ins_seg/cascade_mask_rcnn_R_50_FPN_1x",
    "openmmlab/cascade_mask_rcnn_r50",
)


def measure_cascade_mask_inference() -> Iterator[Line]:
    """One image of each of two sizes."""
    yield from inference_lines(TITLE, detector_config(CONFIG), load_golden(GOLDEN))


def measure_cascade_mask_training() -> Iterator[Line]:
    """A step on two images of different sizes, every anchor and proposal sampled."""
    yield from training_lines(TITLE, detector_config(CONFIG), load_golden(GOLDEN))


CASCADE_MASK_MEASUREMENTS = (measure_cascade_mask_inference, measure_cascade_mask_training)
