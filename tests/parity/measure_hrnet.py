"""Models on an HRNet against mmdet 3.3.0 and mmseg 1.2.2: inference at two sizes, a training step."""

from collections.abc import Iterator

from comparing import Line, load_golden
from measure_deformable import logits_lines
from measure_torchvision_backbones import detector_config, inference_lines, training_lines

TITLE, CONFIG, GOLDEN = "Faster R-CNN HRNet-W18", "det/faster_rcnn_hrnet_W18_3x", "openmmlab/faster_rcnn_hrnetv2p_w18"


def measure_hrnet_inference() -> Iterator[Line]:
    """Faster R-CNN on one image of each of two sizes."""
    yield from inference_lines(TITLE, detector_config(CONFIG), load_golden(GOLDEN))


def measure_hrnet_training() -> Iterator[Line]:
    """A step on two images of different sizes, every anchor and proposal sampled."""
    yield from training_lines(TITLE, detector_config(CONFIG), load_golden(GOLDEN))


def measure_hrnet_segmenter() -> Iterator[Line]:
    """The segmenter on an HRNet-W48, whose second image's sides do not divide by 32."""
    cfg = detector_config("sem_seg/fcn_hrnet_W48_40k")
    yield from logits_lines("FCN HRNet-W48", cfg, load_golden("openmmlab/fcn_hr48"))


HRNET_MEASUREMENTS = (measure_hrnet_inference, measure_hrnet_training, measure_hrnet_segmenter)
