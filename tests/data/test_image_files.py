"""Image files are opened as what they may be, and no larger than images may be."""

import ast
import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bdd100k_d2
from bdd100k_d2.data.image_files import IMAGE_FORMATS, image_size, open_image, upright
from bdd100k_d2.data.images import load_image
from bdd100k_d2.data.masks import read_mask
from bdd100k_d2.errors import UnreadableError

PIXELS = (np.add.outer(np.arange(20), np.arange(30))[..., None] * [1, 2, 3]).astype(np.uint8)
ENDINGS = {"BMP": "bmp", "JPEG": "jpg", "PNG": "png", "TIFF": "tif", "WEBP": "webp"}


def content(image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, image_format, **options)
    return file.getvalue()


def png(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that says a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    return struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 70, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("image_format", ENDINGS)
def test_each_format_of_images_is_opened(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / f"a.{ENDINGS[image_format]}"
    path.write_bytes(content(image_format))
    assert image_format in IMAGE_FORMATS
    assert image_size(path) == (20, 30)
    with open_image(path.read_bytes()) as image:
        assert image.format == image_format
        assert upright(image).size == (30, 20)


def test_an_mpo_file_of_a_phone_is_opened(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.fromarray(PIXELS)])
    assert image_size(tmp_path / "a.jpg") == (20, 30)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_size_is_that_of_the_turned_image(tmp_path: Path, image_format: str) -> None:
    exif = Image.Exif()
    for orientation, size in ((0, (20, 30)), (1, (20, 30)), (3, (20, 30)), (6, (30, 20)), (9, (20, 30))):
        exif[274] = orientation
        path = tmp_path / f"{orientation}.{ENDINGS[image_format]}"
        path.write_bytes(content(image_format, exif=exif))
        assert image_size(path) == size
        with open_image(path.read_bytes()) as image:
            assert upright(image).size == size[::-1]


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "a PostScript file"),
        (content("GIF"), "a GIF file"),
        (content("PPM"), "of no format that is known"),
        (b"\n<!DOCTYPE html><html>", "a HTML file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer file"),
        (b"", "of no format that is known"),
    ],
)
def test_other_formats_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes, kind: str
) -> None:
    def run(*_: object, **__: object) -> None:
        pytest.fail("a program was started")

    monkeypatch.setattr("subprocess.Popen", run)
    monkeypatch.setattr("os.system", run)
    path = tmp_path / "a.jpg"
    path.write_bytes(start)
    with pytest.raises(UnreadableError) as caught:
        image_size(path)
    assert str(caught.value) == (
        f"{path}: the image cannot be read (it is {kind}, not BMP, JPEG, PNG, TIFF or WEBP); download it again."
    )


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, MemoryError, OSError])
def test_what_a_program_does_with_an_image_is_not_said_of_the_image(error: type[Exception]) -> None:
    with pytest.raises(error, match="mine") as caught, open_image(content("JPEG"), "a: "):
        raise error("mine")
    assert not isinstance(caught.value, UnreadableError)


def test_memory_that_is_missing_is_no_damage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def load(image: Image.Image) -> None:
        raise MemoryError

    (tmp_path / "a.png").write_bytes(content("PNG"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(MemoryError):
        load_image(tmp_path / "a.png", "RGB")


def test_a_format_of_pixels_that_there_is_not_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content("JPEG"))
    with pytest.raises(ValueError, match="mode") as caught:
        load_image(tmp_path / "a.jpg", "bgr")
    assert not isinstance(caught.value, UnreadableError)


def test_only_the_formats_that_are_asked_for() -> None:
    wrong = r"^a: \(it is a JPEG file, not PNG\)$"
    with pytest.raises(UnreadableError, match=wrong), open_image(content("JPEG"), "a: ", "({error})", ["PNG"]):
        pass


@pytest.mark.parametrize("make", [png, bmp])
@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (15_000, 15_000)])
def test_a_size_that_no_image_has_is_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[int, int], bytes], width: int, height: int
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(make(width, height))
    with pytest.raises(UnreadableError) as caught:
        image_size(path)
    assert str(caught.value) == (
        f"{path}: the image is {width}x{height} pixels, more than 100,000,000 in all; if it is that large, set "
        "BDD100K_MAX_PIXELS to more."
    )
    # Pillow has no say: it would refuse both, and warn of less.
    monkeypatch.setenv("BDD100K_MAX_PIXELS", "10000000000")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image_size(path) == (height, width)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of TIFF files' tags
@pytest.mark.parametrize("image_format", ENDINGS)
def test_what_is_cut_off_or_changed_has_one_error(image_format: str) -> None:
    whole, rng = content(image_format), np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(0, len(damaged), rng.integers(1, 4)):
            damaged[place] = rng.choice([0, 127, 128, 255, rng.integers(256)])
        try:
            with open_image(bytes(damaged), "a: ") as image:
                upright(image, "a: ").convert("RGB")
        except UnreadableError as error:
            assert str(error).startswith("a: the image ") and "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.png", "No such file or directory"),
        ("nul\0.png", "embedded null byte"),
        ("folder.png", "it is no file"),
        ("pipe.png", "it is no file"),
        ("device.png", "it is no file"),
        ("sparse.png", "it has 10,000,000,000,000 bytes, more than any image"),
    ],
)
def test_a_path_that_is_no_file(tmp_path: Path, name: str, reason: str) -> None:
    """Reading a pipe waits for ever, and reading a device has no end."""
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(10**13)
    path = tmp_path / name
    for read in (image_size, partial(load_image, image_format="RGB")):
        with pytest.raises(UnreadableError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: the image cannot be read ({reason}); download it again."
    with pytest.raises(UnreadableError) as caught:
        read_mask(path)
    assert str(caught.value) == f"{path}: the mask cannot be read ({reason}); download or write it again."


def test_no_other_module_opens_images_by_pillow() -> None:
    """Else a file may be opened as what it must not be, or take memory for a size that its header makes up."""
    package, wrong = Path(bdd100k_d2.__file__).parent, []
    for path in package.rglob("*.py"):
        if path.name == "image_files.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
            imported = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if name in ("Image.open", "cv2.imread", "read_image") or imported.endswith("ImagePlugin"):
                wrong.append(f"{path.relative_to(package)}, line {node.lineno}: {name or imported}")
    assert not wrong, "\n".join(wrong)
