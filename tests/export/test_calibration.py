"""The images that ranges are measured on."""

import logging
from pathlib import Path

import numpy as np
import pytest
from support.frames import write_image

from bdd100k_d2.data.images import load_image
from bdd100k_d2.errors import DataError
from bdd100k_d2.export.calibration import Calibration, CalibrationImages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(7):
        write_image(tmp_path / f"{i}.jpg", 48 if i == 3 else 32, 64, seed=i)
    return tmp_path


def test_images_are_taken_at_equal_distances(folder: Path) -> None:
    images = CalibrationImages(str(folder), 3, None, 1)
    assert [path.name for path in images.paths] == ["0.jpg", "2.jpg", "4.jpg"]
    assert CalibrationImages(str(folder), 3, None, 1).paths == images.paths
    assert len(Calibration(str(folder)).images(None, 1)) == 7


def test_images_of_another_size_are_left_out_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        images = CalibrationImages(str(folder), 300, (32, 64), 1)
    assert [path.name for path in images.paths] == [f"{i}.jpg" for i in range(7) if i != 3]
    assert "1 images are left out, which are not of 32x64" in caplog.text


def test_batches_are_filled_up(folder: Path) -> None:
    images = CalibrationImages(str(folder), 300, (32, 64), 4)
    first, last = images
    assert len(images) == 2 and first.shape == last.shape == (4, 32, 64, 3) and first.dtype == np.uint8
    assert (last[1] == load_image(folder / "6.jpg", "RGB")).all()
    assert (last[1] == last[2]).all() and (last[1] == last[3]).all() and (last[0] != last[1]).any()


def test_batches_of_a_graph_that_takes_any_size(folder: Path) -> None:
    images = CalibrationImages(str(folder), 300, None, 2)
    assert [batch.shape for batch in images] == [(2, 48 if i == 3 else 32, 64, 3) for i in range(7)]
    assert len(images) == 7 and [batch.shape for batch in images] == [batch.shape for batch in images]


def test_no_image_of_the_size(folder: Path) -> None:
    with pytest.raises(DataError, match="no image of 720x1280, the size that the graph takes; give others"):
        CalibrationImages(str(folder), 300, (720, 1280), 1)


def test_a_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(DataError, match="is a video; calibrate with images"):
        CalibrationImages(str(tmp_path / "a.mp4"), 300, None, 1)
