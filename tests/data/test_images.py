"""Images are read as Detectron2 reads them, pixel for pixel."""

import io
from pathlib import Path

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from PIL import Image

from bdd100k_d2.data import images
from bdd100k_d2.data.images import load_image
from bdd100k_d2.errors import UnreadableError

RNG = np.random.default_rng(0)
# A smooth image with some noise, of no round size.
PIXELS = (np.add.outer(np.arange(93), np.arange(157))[..., None] / 250 * [255, 200, 90]).astype(np.uint8)
PIXELS += RNG.integers(0, 30, PIXELS.shape, np.uint8)


def assert_read_alike(path: Path) -> None:
    for image_format in ("RGB", "BGR", "L"):
        ours, theirs = load_image(path, image_format), read_image(str(path), image_format)
        assert ours.dtype == theirs.dtype == np.uint8
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("more", [{}, {"quality": 30}, {"subsampling": 0}, {"progressive": True}])
def test_jpeg(tmp_path: Path, more: dict) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", **more)
    assert_read_alike(tmp_path / "a.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_that_the_camera_turned(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    assert_read_alike(tmp_path / "a.jpg")
    assert load_image(tmp_path / "a.jpg", "RGB").shape[:2] == ((93, 157) if orientation < 5 else (157, 93))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpeg_of_other_channels(tmp_path: Path, mode: str) -> None:
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / "a.jpg")
    assert_read_alike(tmp_path / "a.jpg")


def test_other_files_by_their_content(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert_read_alike(tmp_path / "a.jpg")


def test_real_images(real_root: Path) -> None:
    for path in sorted((real_root / "bdd100k/images/100k/val").glob("*.jpg"))[:5]:
        assert_read_alike(path)


def test_jpeg_that_opencv_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: None)
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    assert_read_alike(tmp_path / "a.jpg")


def test_jpeg_is_decoded_by_opencv_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    expected = read_image(str(tmp_path / "a.jpg"), "RGB")
    monkeypatch.setattr(images, "read_image", None)
    np.testing.assert_array_equal(load_image(tmp_path / "a.jpg", "RGB"), expected)


def test_jpeg_with_something_behind_it(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    with (tmp_path / "a.jpg").open("ab") as file:
        file.write(b"more")
    assert_read_alike(tmp_path / "a.jpg")


@pytest.mark.parametrize("content", ["", "cut", "text"])
def test_what_is_no_image(tmp_path: Path, content: str) -> None:
    whole = io.BytesIO()
    Image.fromarray(PIXELS).save(whole, "JPEG")
    (tmp_path / "a.jpg").write_bytes({"": b"", "cut": whole.getvalue()[:2000], "text": b"<html>"}[content])
    with pytest.raises(UnreadableError, match=r"a\.jpg: the image cannot be read .*; download it again"):
        load_image(tmp_path / "a.jpg", "RGB")
