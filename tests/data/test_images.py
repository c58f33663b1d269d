"""Images are read as Detectron2 reads them, pixel for pixel."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from PIL import Image, PngImagePlugin

from bdd100k_d2.data import images
from bdd100k_d2.data.images import load_image
from bdd100k_d2.errors import UnreadableError

RNG = np.random.default_rng(0)
# A smooth image with some noise, of no round size.
PIXELS = (np.add.outer(np.arange(93), np.arange(157))[..., None] / 250 * [255, 200, 90]).astype(np.uint8)
PIXELS += RNG.integers(0, 30, PIXELS.shape, np.uint8)


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + chunk + zlib.crc32(chunk).to_bytes(4, "big")


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


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_of_any_channels(tmp_path: Path, mode: str) -> None:
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / "a.png")
    assert_read_alike(tmp_path / "a.png")


SIXTEEN = PIXELS.astype(np.uint16) * 257
"""What eight bits are in sixteen: 0 to 65,535."""


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("colors", [False, True])
def test_sixteen_bits_are_scaled_by_their_range(tmp_path: Path, ending: str, colors: bool) -> None:
    expected = PIXELS if colors else PIXELS[..., :1].repeat(3, axis=2)
    path = tmp_path / f"a.{ending}"
    cv2.imwrite(str(path), SIXTEEN[..., ::-1] if colors else SIXTEEN[..., 0])
    np.testing.assert_array_equal(load_image(path, "RGB"), expected)
    np.testing.assert_array_equal(load_image(path, "BGR"), expected[..., ::-1])
    # Twelve bits of a camera are dark, as in every viewer.
    cv2.imwrite(str(path), SIXTEEN[..., 0] >> 4)
    np.testing.assert_array_equal(load_image(path, "RGB")[..., 0], PIXELS[..., 0] >> 4)


def test_sixteen_bits_that_the_camera_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(SIXTEEN[..., 0]).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png", "RGB")[..., 0], np.rot90(PIXELS[..., 0], -1))


def test_a_tiff_file_is_turned_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.tif", exif=exif)
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif", "RGB"), np.rot90(PIXELS, -1))


@pytest.mark.parametrize(("dtype", "kind"), [(np.float32, "floating point"), (np.int32, "32-bit or signed")])
def test_numbers_without_a_range_are_refused(tmp_path: Path, dtype: type, kind: str) -> None:
    Image.fromarray((PIXELS[..., 0] / 255).astype(dtype)).save(tmp_path / "a.tif")
    with pytest.raises(UnreadableError) as caught:
        load_image(tmp_path / "a.tif", "RGB")
    assert str(caught.value) == (
        f"{tmp_path}/a.tif: the image holds {kind} numbers, and nothing says which is white; save it with 8 or 16 bits."
    )


def test_other_files_by_their_content(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert_read_alike(tmp_path / "a.jpg")


def test_real_images(real_root: Path) -> None:
    for path in sorted((real_root / "bdd100k/images/100k/val").glob("*.jpg"))[:5]:
        assert_read_alike(path)


def too_large(*_: object) -> None:
    raise cv2.error("image is too large")


@pytest.mark.parametrize("imdecode", [too_large, lambda *_: None])
def test_jpeg_that_opencv_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, imdecode: object) -> None:
    monkeypatch.setattr(images.cv2, "imdecode", imdecode)
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    assert_read_alike(tmp_path / "a.jpg")


def test_jpeg_is_decoded_by_opencv_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    expected = read_image(str(tmp_path / "a.jpg"), "RGB")
    monkeypatch.setattr(images, "_channels", None)
    np.testing.assert_array_equal(load_image(tmp_path / "a.jpg", "RGB"), expected)


def test_jpeg_with_something_behind_it(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    with (tmp_path / "a.jpg").open("ab") as file:
        file.write(b"more")
    assert_read_alike(tmp_path / "a.jpg")


@pytest.mark.parametrize("content", ["", "cut", "text", "eps", "too many text chunks"])
def test_what_is_no_image(tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    whole, eps, text = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.fromarray(PIXELS).save(whole, "JPEG")
    Image.fromarray(PIXELS).save(eps, "EPS")
    # Pillow's ValueError, for text that unpacks to more than it likes.
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("a", "b" * 2_000_000, zip=True)
    Image.fromarray(PIXELS).save(text, "PNG", pnginfo=chunks)
    contents = {"cut": whole.getvalue()[:2000], "text": b"<html>", "eps": eps.getvalue()}
    (tmp_path / "a.jpg").write_bytes(contents.get(content, text.getvalue() if content else b""))
    with pytest.raises(UnreadableError, match=r"a\.jpg: the image cannot be read .*; download it again"):
        load_image(tmp_path / "a.jpg", "RGB")


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_a_header_that_promises_too_much(tmp_path: Path, image_format: str) -> None:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, image_format)
    if image_format == "PNG":
        content = png_header(100_000, 100_000) + file.getvalue()[33:]
    else:
        place = file.getvalue().index(b"\xff\xc0") + 5
        content = file.getvalue()[:place] + b"\xff\xdc\xff\xdc" + file.getvalue()[place + 4 :]
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnreadableError, match=r"a\.jpg: the image is \d+x\d+ pixels, more than 100,000,000 in all"):
        load_image(tmp_path / "a.jpg", "RGB")


def test_a_name_that_no_file_has() -> None:
    with pytest.raises(UnreadableError, match="the image cannot be read .*null byte"):
        load_image("a\0.jpg", "RGB")
