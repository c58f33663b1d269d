"""The zoo's models infer and train as Vis4D 1.0.0 does, and converted checkpoints put out what mmdet and mmseg do."""

from collections.abc import Callable, Iterator

import pytest
from comparing import GOLDEN, Line, assert_within
from measure_atss import ATSS_MEASUREMENTS
from measure_converted import measure_converted_checkpoints
from measure_models import MODEL_MEASUREMENTS
from measure_segmenters import SEGMENTER_MEASUREMENTS
from measure_torchvision_backbones import TORCHVISION_MEASUREMENTS


@pytest.mark.parametrize(
    "measure",
    [
        *MODEL_MEASUREMENTS,
        measure_converted_checkpoints,
        *TORCHVISION_MEASUREMENTS,
        *SEGMENTER_MEASUREMENTS,
        *ATSS_MEASUREMENTS,
    ],
)
def test_nothing_is_further_off_than_allowed(measure: Callable[[], Iterator[Line]]) -> None:
    assert_within(list(measure()))


def test_the_golden_files_are_small() -> None:
    assert 0 < sum(path.stat().st_size for path in GOLDEN.glob("*.npz")) < 1_000_000
