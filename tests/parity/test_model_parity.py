"""The zoo's models infer and train as Vis4D 1.0.0 does, and converted checkpoints put out what mmdet and mmseg do."""

from collections.abc import Callable, Iterator

import pytest
from comparing import GOLDEN, Line, assert_within
from measure_atss import ATSS_MEASUREMENTS
from measure_cascade_mask import CASCADE_MASK_MEASUREMENTS
from measure_converted import measure_converted_checkpoints
from measure_deformable import DEFORMABLE_MEASUREMENTS, measure_deformable_boxes, measure_deformable_masks
from measure_hrnet import HRNET_MEASUREMENTS
from measure_models import MODEL_MEASUREMENTS, measure_detection, measure_detector_training, measure_segmentation
from measure_panoptic import measure_panoptic_inference, measure_panoptic_training
from measure_segmenters import measure_segmenter_inference, measure_segmenter_training
from measure_torchvision_backbones import measure_torchvision_inference, measure_torchvision_training

SLOW = (
    measure_detection,
    measure_segmentation,
    measure_converted_checkpoints,
    measure_torchvision_inference,
    measure_panoptic_inference,
    measure_detector_training,
    measure_deformable_boxes,
    measure_deformable_masks,
    measure_torchvision_training,
    measure_segmenter_inference,
    measure_segmenter_training,
    measure_panoptic_training,
    *(one for one in (*DEFORMABLE_MEASUREMENTS, *HRNET_MEASUREMENTS) if one.__name__.endswith("training")),
    *CASCADE_MASK_MEASUREMENTS,
)
QUICK = (
    one
    for one in (*MODEL_MEASUREMENTS, *DEFORMABLE_MEASUREMENTS, *HRNET_MEASUREMENTS, *ATSS_MEASUREMENTS)
    if one not in SLOW
)
MEASUREMENTS = [*QUICK, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)]


@pytest.mark.parametrize("measure", MEASUREMENTS)
def test_nothing_is_further_off_than_allowed(measure: Callable[[], Iterator[Line]]) -> None:
    if measure in HRNET_MEASUREMENTS:
        pytest.importorskip("timm", reason="the extra 'timm' is not installed")
    assert_within(list(measure()))


def test_the_golden_files_are_small() -> None:
    assert 0 < sum(path.stat().st_size for path in GOLDEN.glob("*.npz")) < 1_000_000
