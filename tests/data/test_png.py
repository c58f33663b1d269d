"""Masks and bitmasks are whole PNG files, whatever they are called: what is damaged or of another format is refused."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hotcoco.semantic import SemanticEval
from PIL import Image

from bdd100k_d2.data.bitmasks import read_bitmask
from bdd100k_d2.data.masks import read_mask
from bdd100k_d2.data.png import GREY, damage, missing_pixels, png_header, png_pixels, read_header, save_png
from bdd100k_d2.errors import UnreadableError
from bdd100k_d2.evaluation.submission.masks import submitted_form

IDS = np.repeat(np.arange(19, dtype=np.uint8), 40).reshape(19, 40)
BITMASK = np.stack([IDS % 8 + 1, IDS * 0, IDS * 0, IDS + 1], axis=2).astype(np.uint8)
PIXELS = {"mask": IDS, "bitmask": BITMASK}
READ: dict[str, Callable[[Path], object]] = {"mask": read_mask, "bitmask": read_bitmask}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, color_type: int = GREY) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0))


def chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each chunk, where its data begin, and where they end."""
    place = 8
    while place < len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], place + 8, end
        place = end + 4


@pytest.fixture(params=PIXELS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path, kind: str) -> Path:
    save_png(PIXELS[kind], tmp_path / "a.png")
    return tmp_path / "a.png"


def refused(kind: str, path: Path, reason: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        READ[kind](path)
    assert str(caught.value) == f"{path}: the {kind} cannot be read ({reason}); download or write it again."


@pytest.mark.parametrize("where", ["first", "middle", "last", "checksum"])
def test_a_changed_byte_of_the_pixels_is_damage(path: Path, kind: str, where: str) -> None:
    content = bytearray(path.read_bytes())
    start, end = next((start, end) for name, start, end in chunks(bytes(content)) if name == b"IDAT")
    content[{"first": start, "middle": (start + end) // 2, "last": end - 1, "checksum": end}[where]] ^= 4
    path.write_bytes(content)
    refused(kind, path, "the checksum of its IDAT chunk is wrong")


@pytest.mark.parametrize("name", ["IHDR", "PLTE", "IEND"])
def test_so_is_one_of_what_says_how_to_read_them(tmp_path: Path, name: str) -> None:
    image = Image.fromarray(IDS, "P")
    image.putpalette(list(range(57)))
    image.save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[next(end for found, _, end in chunks(bytes(content)) if found == name.encode())] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    refused("mask", tmp_path / "a.png", f"the checksum of its {name} chunk is wrong")


def test_whatever_is_cut_off_is_refused(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    for length in range(33, len(whole)):
        path.write_bytes(whole[:length])
        refused(kind, path, "it is cut off")
    for length in range(1, 26):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableError, match=f"the {kind} cannot be read .it is no PNG file, or cut off."):
            READ[kind](path)


def test_more_behind_the_image_does_no_harm(path: Path, kind: str) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 9 + b"more")
    READ[kind](path)


def test_many_chunks_of_pixels_and_unknown_ones_are_read() -> None:
    data = zlib.compress(b"\0" + bytes(range(5)) + b"\0" + bytes(range(5, 10)))
    parts = b"".join(chunk(b"IDAT", bytes([one])) for one in data)
    content = header(5, 2) + chunk(b"tEXt", b"k\0v") + parts + chunk(b"IEND", b"")
    form = submitted_form(GREY)
    assert png_pixels(content, form).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    twice = content[:33] + header(50, 20)[8:] + content[33:]
    with pytest.raises(UnreadableError, match=r"is a damaged PNG file \(it has two headers\)"):
        png_pixels(twice, form)


def test_another_chunk_of_a_wrong_checksum_is_damage_too() -> None:
    text = bytearray(chunk(b"tEXt", b"k\0v"))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 12))
    for wrong, reason in ((9, "the checksum of its tEXt chunk is wrong"), (5, "it has a chunk without a name")):
        bad = text.copy()
        bad[wrong] ^= 0x80
        for content in (header(5, 2) + bad + data, header(5, 2) + data + bad):
            assert damage(content + chunk(b"IEND", b"")) == reason


def test_the_faster_reader_gets_sound_files_alone(tmp_path: Path) -> None:
    sound = header(5, 2) + chunk(b"IDAT", zlib.compress(b"\0" * 12)) + chunk(b"IEND", b"")
    for content in (
        sound,
        sound[:-1],
        sound[:-12],
        header(5, 2) + sound[8:],
        header(15_000, 15_000) + sound[33:],
        b"GIF8",
    ):
        (tmp_path / "a.png").write_bytes(content)
        assert read_header(tmp_path / "a.png") == ((5, 2, 8, GREY) if content is sound else None)
    assert read_header(tmp_path / "none.png") is None


def test_pixels_that_are_too_few_are_damage() -> None:
    content = header(500, 200) + chunk(b"IDAT", zlib.compress(bytes(50))) + chunk(b"IEND", b"")
    with pytest.raises(UnreadableError, match="is a damaged PNG file"):
        png_pixels(content, submitted_form(GREY))


def packed(color_type: int, bits: int, interlaced: int, data: bytes) -> bytes:
    """A file of 13 x 11 pixels."""
    head = struct.pack(">IIBBBBB", 13, 11, bits, color_type, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


# Of an interlaced file the widths and heights of its parts are 2x2, 2x2, 4x1, 3x3, 7x3, 6x6 and 13x5.
@pytest.mark.parametrize(
    ("color_type", "bits", "interlaced", "wanted"),
    [
        (GREY, 8, 0, 11 * 14),
        (3, 4, 0, 11 * 8),
        (3, 1, 0, 11 * 3),
        (2, 16, 0, 11 * 79),
        (4, 8, 0, 11 * 27),
        (6, 8, 0, 11 * 53),
        (GREY, 8, 1, 6 + 6 + 5 + 12 + 24 + 42 + 70),
    ],
)
def test_rows_of_pixels_that_are_missing_are_damage(color_type: int, bits: int, interlaced: int, wanted: int) -> None:
    """With right checksums, from which Pillow makes rows of zeros."""
    for size in (0, wanted // 2, wanted - 1):
        reason = f"its pixels are cut off, {size} bytes of {wanted}"
        assert missing_pixels(packed(color_type, bits, interlaced, zlib.compress(bytes(size)))) == reason
    for size in (wanted, wanted + 1, wanted + (1 << 24)):
        assert missing_pixels(packed(color_type, bits, interlaced, zlib.compress(bytes(size)))) is None


def test_a_mask_of_half_the_rows_is_refused(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + bytes([5] * 13) for _ in range(11))
    form = submitted_form(GREY)
    assert png_pixels(packed(GREY, 8, 0, zlib.compress(rows)), form).tolist() == [[5] * 13] * 11
    # Pillow takes one without the checksum of its pixels, and so does the official toolkit.
    assert png_pixels(packed(GREY, 8, 0, zlib.compress(rows)[:-4]), form).tolist() == [[5] * 13] * 11
    (tmp_path / "a.png").write_bytes(packed(GREY, 8, 0, zlib.compress(rows[:70])))
    refused("mask", tmp_path / "a.png", "its pixels are cut off, 70 bytes of 154")
    with pytest.raises(UnreadableError, match=r"is a damaged PNG file \(its pixels are cut off, 70 bytes of 154\)"):
        png_pixels((tmp_path / "a.png").read_bytes(), form)


def test_the_faster_reader_refuses_half_the_rows_too(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + bytes([5] * 13) for _ in range(11))
    (tmp_path / "a.png").write_bytes(packed(GREY, 8, 0, zlib.compress(rows)))
    (tmp_path / "b.png").write_bytes(packed(GREY, 8, 0, zlib.compress(rows[:70])))
    for pair in ("ab", "ba"):
        with pytest.raises(ValueError, match="does not have enough data"):
            SemanticEval(19).update_png(*(str(tmp_path / f"{name}.png") for name in pair))


def test_an_interlaced_mask_without_its_last_rows_is_refused(tmp_path: Path) -> None:
    rows = b"\0\5\5" * 4 + b"\0" + b"\5" * 4 + (b"\0" + b"\5" * 3) * 3 + (b"\0" + b"\5" * 7) * 3
    rows += (b"\0" + b"\5" * 6) * 6 + (b"\0" + b"\5" * 13) * 5
    (tmp_path / "a.png").write_bytes(packed(GREY, 8, 1, zlib.compress(rows)))
    assert read_mask(tmp_path / "a.png").tolist() == [[5] * 13] * 11
    (tmp_path / "a.png").write_bytes(packed(GREY, 8, 1, zlib.compress(rows[:-14])))
    refused("mask", tmp_path / "a.png", "its pixels are cut off, 151 bytes of 165")


@pytest.mark.parametrize("methods", [(9, 0, 0), (0, 1, 0), (0, 0, 2)])
def test_methods_and_chunks_that_png_files_do_not_have(methods: tuple[int, int, int]) -> None:
    data = chunk(b"IDAT", zlib.compress(bytes(11 * 14))) + chunk(b"IEND", b"")
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 13, 11, 8, GREY, *methods))
    assert damage(head + data) == "its header names a method that PNG files do not have"
    unknown = header(13, 11) + chunk(b"ABCD", b"xx") + data
    assert damage(unknown) == "it has a chunk ABCD, without which nobody can tell its pixels"
    assert damage(header(13, 11) + chunk(b"abCD", b"xx") + data) is None


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (15_000, 15_000), (2**31 - 1, 2**31 - 1)])
def test_a_header_that_promises_too_much(tmp_path: Path, kind: str, width: int, height: int) -> None:
    content = header(width, height, {"mask": 0, "bitmask": 6}[kind])
    (tmp_path / "a.png").write_bytes(content + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b""))
    with pytest.raises(UnreadableError) as caught:
        READ[kind](tmp_path / "a.png")
    assert str(caught.value) == (
        f"{tmp_path}/a.png: the image is {width}x{height} pixels, more than 100,000,000 in all; if it is that large, "
        "set BDD100K_MAX_PIXELS to more."
    )


@pytest.mark.parametrize("image_format", ["JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_another_format_called_png_is_refused_by_name(tmp_path: Path, kind: str, image_format: str) -> None:
    file = io.BytesIO()
    Image.fromarray(PIXELS[kind]).convert("RGB" if kind == "bitmask" else "L").save(file, image_format)
    (tmp_path / "a.png").write_bytes(file.getvalue())
    with pytest.raises(UnreadableError) as caught:
        READ[kind](tmp_path / "a.png")
    remedy = {
        "mask": "masks are PNG files, download or write it again",
        "bitmask": "bitmasks are PNG files with four channels (RGBA)",
    }[kind]
    assert str(caught.value) == f"{tmp_path}/a.png: the {kind} cannot be read (it is a {image_format} file); {remedy}."


def test_an_eps_file_called_png_starts_no_program(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 19\n%%EndComments\nshowpage\n")
    with pytest.raises(UnreadableError, match="it is a PostScript file"):
        READ[kind](tmp_path / "a.png")


def test_a_header_is_the_first_chunk() -> None:
    assert png_header(header(5, 2)) == (5, 2, 8, GREY)
    assert png_header(header(5, 2).replace(b"IHDR", b"CgBI")) is None
