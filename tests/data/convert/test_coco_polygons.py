"""Masks <-> polygons without loss, held by pycocotools."""

import re

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from support.conversion_cases import random_regions

from bdd100k_d2.data.convert.polygons import mask_to_polygons
from bdd100k_d2.data.rle import polygons_to_rle
from bdd100k_d2.errors import DataError


def rle(mask: np.ndarray) -> bytes:
    return coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"]


@pytest.mark.parametrize("share", (0.1, 0.3, 0.5, 0.7, 0.9, 1.0))
def test_random_masks_come_back_exactly(share: float) -> None:
    rng = np.random.default_rng(int(share * 10))
    for _ in range(80):
        mask = rng.random(rng.integers(1, 24, 2)) < share
        polygons = mask_to_polygons(mask)
        if not mask.any():
            assert polygons == []
            continue
        assert polygons_to_rle(polygons, mask.shape)["counts"] == rle(mask)


def test_regions_with_holes_come_back_exactly() -> None:
    for seed in range(40):
        regions = random_regions(np.random.default_rng(seed), 60, 90, 6)
        for i in np.unique(regions):
            mask = regions == i
            assert polygons_to_rle(mask_to_polygons(mask), mask.shape)["counts"] == rle(mask)


def test_a_rectangle_has_the_corners_of_its_pixels() -> None:
    mask = np.zeros((10, 20), bool)
    mask[2:5, 3:9] = True
    assert mask_to_polygons(mask) == [[3, 2, 9, 2, 9, 5, 3, 5]]


def test_parts_are_polygons_and_holes_are_cut_into_them() -> None:
    mask = np.ones((9, 9), bool)
    mask[4] = False
    mask[1:3, 4:6] = False
    polygons = mask_to_polygons(mask)
    assert len(polygons) == 2
    # Another rasteriser, which fills by the even-odd rule too, agrees about the inside of the ring.
    drawn = np.zeros((90, 90), np.uint8)
    cv2.fillPoly(drawn, [np.reshape(polygon, (-1, 2)).astype(np.int32) * 10 for polygon in polygons], 1)
    assert (drawn[5::10, 5::10] == mask).all()


def test_overlapping_polygons_are_united() -> None:
    square, other = [0.0, 0, 4, 0, 4, 4, 0, 4], [2.0, 2, 6, 2, 6, 6, 2, 6]
    mask = coco_mask.decode(polygons_to_rle([square, other], (8, 8)))
    assert mask.sum() == 16 + 16 - 4


@pytest.mark.parametrize(
    ("polygons", "message"),
    (
        ([[0, 0, 1, 1]], "three corners or more, not 4 numbers"),
        ([[0, 0, 1, 1, 2, 0, 5]], "three corners or more, not 7 numbers"),
        ([[0, 0, 1e9, 1, 2, 0]], "leads far out of the image of 8x6 pixels"),
        ([[0, 0, float("nan"), 1, 2, 0]], "leads far out of the image"),
        ([], "there is no polygon"),
    ),
)
def test_bad_polygons(polygons: list[list[float]], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        polygons_to_rle(polygons, (6, 8))
