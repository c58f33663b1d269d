"""Run lengths: the same as pycocotools reads, and refused where pycocotools would read past its memory."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from bdd100k_d2.data.labels import RLE
from bdd100k_d2.data.rle import areas, check_rle, overlap, run_lengths
from bdd100k_d2.errors import DataError


def encode(mask: np.ndarray) -> RLE:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return RLE(counts=rle["counts"].decode(), size=tuple(rle["size"]))


def check(rle: RLE, size: tuple[int, int] = (4, 5)) -> dict:
    return check_rle(rle, size, "a.json: frame f.jpg, label 3 (car)")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99, 1])
def test_run_lengths_are_the_mask(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    # Whole squares of pixels give long runs, and so numbers of several digits.
    mask = np.kron(rng.random(rng.integers(1, 60, 2)) < share, np.ones((1, 1) if seed % 2 else (17, 9))).astype(bool)
    runs = run_lengths(encode(mask).counts)
    np.testing.assert_array_equal(np.repeat(np.arange(len(runs)) % 2, runs), mask.ravel(order="F"))
    assert coco_mask.area(check(encode(mask), mask.shape)) == mask.sum()


def test_a_mask_by_hand() -> None:
    # 3 of background, 2 of mask, 5 of background; the third run is still stored whole.
    assert run_lengths("325").tolist() == [3, 2, 5]
    # The fourth is 2 - 1: -1 is 31 with the sign's bit, 79 is "O".
    assert run_lengths("325O").tolist() == [3, 2, 5, 1]
    # 100 is 4 + 3 * 32: "T" is 4 with another digit to follow, then 3.
    assert run_lengths("T3").tolist() == [100]
    assert run_lengths("").tolist() == []


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("d0", "add up to 20 pixels"),
        ("e0", "add up to 21 pixels, a mask of 4x6 has 24"),
        ("", "add up to 0 pixels"),
        ("d0 ", "hold a character"),
        ("dé", "hold a character"),
        ("3~", "hold a character"),
        ("d", "end within a number"),
        ("3O5", "hold a negative length"),
        ("ooooooooooooo1", "hold a number that is larger than any image"),
        # Their sums wrap around in 64 bits, and each length in the 32 bits of pycocotools.
        ("oooooo?" * 50_000, "hold one of .* pixels, a mask of 4x6 has 24"),
        ("`````P400", "hold one of .* pixels"),
    ],
)
def test_broken_run_lengths_are_named(counts: str, message: str) -> None:
    with pytest.raises(DataError, match=f"a.json: frame f.jpg, label 3 .car.: the run lengths {message}"):
        check(RLE(counts=counts, size=(4, 6)), (4, 6))


def test_another_size_is_named() -> None:
    rle = encode(np.ones((4, 5)))
    assert check(rle) == {"size": [4, 5], "counts": rle.counts.encode()}
    with pytest.raises(DataError, match=r"label 3 \(car\): the mask has 4x5 pixels, the image 5x4"):
        check(rle, (5, 4))


def test_overlap_and_areas() -> None:
    left, right, all_of_it = np.zeros((3, 4, 5))
    left[:, :2], right[:, 2:], all_of_it[:] = 1, 1, 1
    masks = [check(encode(mask)) for mask in (left, right, all_of_it, np.zeros((4, 5)))]
    assert areas(masks).tolist() == [8, 12, 20, 0]
    assert areas([]).tolist() == []
    assert not overlap([])
    assert not overlap(masks[:1])
    assert not overlap([masks[0], masks[1], masks[3]])
    assert overlap([masks[0], masks[3], masks[2]])


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((0, 0), "the mask is 0x0 pixels"),
        ((-4, -6), "the mask is -6x-4 pixels"),
        ((10**8, 10**8), "the mask is 100000000x100000000 pixels, more than 100,000,000 in all; .*BDD100K_MAX_PIXELS"),
        ((10**900, 1), r"the mask is 1x10+\.\.\.0+ pixels"),
    ],
)
def test_sizes_that_no_image_has(size: tuple[int, int], message: str) -> None:
    with pytest.raises(DataError, match=f"label 3 .car.: {message}"):
        check(RLE(counts="", size=size), size)


@pytest.mark.parametrize("count", (1, 255, 256, 300, 600))
def test_areas_of_any_number_of_masks(count: int) -> None:
    pixels = [np.arange(900).reshape(30, 30) % (count + 1) == i for i in range(count)]
    masks = [check(encode(mask), (30, 30)) for mask in pixels]
    found = areas(masks)
    assert found.dtype == np.int64 and found.tolist() == [int(mask.sum()) for mask in pixels]
    assert not overlap(masks)
    assert overlap([*masks, masks[0]])
