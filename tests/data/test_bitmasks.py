"""Bitmasks: what the four channels mean, round trips, and files that cannot be read."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bdd100k_d2.data.bitmasks import (
    CROWD,
    IGNORED,
    Bitmask,
    decode_bitmask,
    encode_bitmask,
    read_bitmask,
    shared_pixels,
)
from bdd100k_d2.errors import DataError


def random_bitmask(seed: int, height: int = 23, width: int = 37, count: int = 12) -> Bitmask:
    rng = np.random.default_rng(seed)
    return Bitmask(
        np.concatenate([np.arange(count + 1), rng.integers(0, count + 1, height * width - count - 1)])
        .reshape(height, width)
        .astype(np.int32),
        np.sort(rng.choice(np.arange(1, 1 << 16), count, replace=False)).astype(np.int32),
        rng.integers(0, 41, count).astype(np.int32),
        rng.integers(0, 16, count).astype(np.uint8),
    )


def assert_equal(first: Bitmask, second: Bitmask) -> None:
    for a, b in zip(first, second, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_the_channels() -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0] = (3, IGNORED | CROWD, 1, 4)  # id 260
    pixels[0, 1] = (8, 0, 0, 7)
    pixels[1, 2] = (9, 5, 0, 0)  # no annotation id: background
    bitmask = decode_bitmask(pixels, "a.png")
    assert bitmask.instances.tolist() == [[2, 1, 0], [0, 0, 0]]
    assert bitmask.instances.dtype == np.int32
    assert (bitmask.ids.tolist(), bitmask.categories.tolist(), bitmask.attributes.tolist()) == (
        [7, 260],
        [8, 3],
        [0, 3],
    )


@pytest.mark.parametrize("seed", range(3))
def test_round_trip_through_a_file(tmp_path: Path, seed: int) -> None:
    bitmask = random_bitmask(seed)
    Image.fromarray(encode_bitmask(bitmask)).save(tmp_path / "a.png")
    assert_equal(read_bitmask(tmp_path / "a.png"), bitmask)


def test_nothing_in_the_frame() -> None:
    bitmask = decode_bitmask(np.zeros((4, 5, 4), np.uint8), "a.png")
    assert bitmask.instances.shape == (4, 5)
    assert not bitmask.instances.any()
    assert len(bitmask.ids) == len(bitmask.categories) == len(bitmask.attributes) == 0
    assert not encode_bitmask(bitmask).any()


def test_pixels_that_are_a_view() -> None:
    bitmask = random_bitmask(5)
    assert_equal(decode_bitmask(encode_bitmask(bitmask)[::-1][::-1], "a.png"), bitmask)
    wide = np.zeros((23, 50, 4), np.uint8)
    wide[:, :37] = encode_bitmask(bitmask)
    assert_equal(decode_bitmask(wide[:, :37], "a.png"), bitmask)


def test_shared_pixels() -> None:
    first, second = random_bitmask(1), random_bitmask(2, count=7)
    shared = shared_pixels(first, second)
    assert shared.dtype == np.int64
    for i in range(13):
        for j in range(8):
            assert shared[i, j] == np.count_nonzero((first.instances == i) & (second.instances == j))


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_toolkit(seed: int) -> None:
    pytest.importorskip("bdd100k", reason="the official toolkit is not installed: pip install -e .[toolkit]")
    from bdd100k.common.bitmask import parse_bitmask

    pixels = encode_bitmask(random_bitmask(seed))
    theirs = parse_bitmask(pixels)
    ours = decode_bitmask(pixels, "a.png")
    for mine, other in zip((ours.instances, ours.ids, ours.attributes, ours.categories), theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (0, r"a\.png: annotation id 5 has several categories \(1, 2\)"),
        (1, r"a\.png: annotation id 5 has several attributes \(0, 2\)"),
    ],
)
def test_an_instance_of_two_meanings_is_named(channel: int, message: str) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0] = (1, 0, 0, 5)
    pixels[0, 1, channel] = 2
    with pytest.raises(DataError, match=message):
        decode_bitmask(pixels, "a.png")


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (np.zeros((4, 5, 3), np.uint8), "RGB of 8 bits"),
        (np.zeros((4, 5), np.uint8), "grey of 8 bits"),
        (np.zeros((4, 5), np.uint16), "grey of 16 bits"),
        (np.zeros((4, 5, 4), np.uint16), "RGBA of 16 bits"),
    ],
)
def test_other_images_are_named(tmp_path: Path, pixels: np.ndarray, kind: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    with pytest.raises(DataError, match=f"a.png: a bitmask has four channels .RGBA. of 8 bits, this image is {kind}"):
        read_bitmask(tmp_path / "a.png")


def test_a_palette_is_not_a_bitmask(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 5), np.uint8)).convert("P").save(tmp_path / "a.png", transparency=0)
    with pytest.raises(DataError, match="this image is palette"):
        read_bitmask(tmp_path / "a.png")


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(DataError, match="a.png: the bitmask cannot be read .*No such file"):
        read_bitmask(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="a.png: the bitmask is an empty file"):
        read_bitmask(path)
    path.write_text('[{"name": "a.jpg"}]')
    with pytest.raises(DataError, match="a.png: the bitmask cannot be read .it is no PNG file, or cut off."):
        read_bitmask(path)
    Image.fromarray(encode_bitmask(random_bitmask(0, 64, 64))).save(path)
    whole = path.read_bytes()
    for length in (20, 30, 60, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="a.png: the bitmask cannot be read"):
            read_bitmask(path)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="a.png: the bitmask cannot be read"):
        read_bitmask(path)


def test_ids_that_do_not_fit_are_refused() -> None:
    bitmask = random_bitmask(0)
    with pytest.raises(DataError, match="annotation ids 1 to 65535, not 0 to"):
        encode_bitmask(bitmask._replace(ids=bitmask.ids - bitmask.ids.min()))
    with pytest.raises(DataError, match="category ids 0 to 255, not"):
        encode_bitmask(bitmask._replace(categories=bitmask.categories + 250))
