"""Objects pasted into an image, in numbers that are computed here."""

from typing import Any

import numpy as np
import pytest
from detectron2.structures import BoxMode
from pycocotools import mask as coco_mask

from bdd100k_d2.data.copy_paste import CopyPaste, Patch, Source, box_corners, decode, visible_box


def box(x1: float, y1: float, x2: float, y2: float, category: int = 0, **fields: object) -> dict[str, Any]:
    return {"bbox": [x1, y1, x2, y2], "bbox_mode": BoxMode.XYXY_ABS, "category_id": category, "iscrowd": 0, **fields}


def masked(mask: np.ndarray, category: int = 0, **fields: object) -> dict[str, Any]:
    packed = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    found = {"bbox": coco_mask.toBbox(packed).tolist(), "bbox_mode": BoxMode.XYWH_ABS, "segmentation": packed}
    return {**found, "category_id": category, "iscrowd": 0, **fields}


def region(*size: int, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[rows, columns] = True
    return mask


def paster(use_masks: bool = False, **keys: object) -> CopyPaste:
    usual: dict[str, Any] = {"scale_range": (1.0, 1.0), "flip_prob": 0.0, "max_cover": 0.5, "blend_sigma": 0.0}
    return CopyPaste(**{**usual, **keys}, use_masks=use_masks)


def numbered(height: int, width: int, start: int = 0) -> np.ndarray:
    """An image in which each pixel has a value of its own."""
    values = np.arange(start, start + height * width).reshape(height, width, 1)
    return np.repeat(values, 3, axis=2).astype(np.uint8)


def test_the_pixels_of_a_pasted_rectangle() -> None:
    source = Source(numbered(10, 12, 100), [box(3, 2, 7, 6, 5)], 0)
    patch, bottom = paster().cut(source)
    assert bottom == 6 and patch.cover.shape == (4, 4) and patch.cover.all()
    image = np.zeros((10, 12, 3), np.uint8)
    found = paster().paste(image, [], patch, 6, 1)
    assert found is not None
    expected = np.zeros((10, 12, 3), np.uint8)
    expected[1:5, 6:10] = source.image[2:6, 3:7]
    np.testing.assert_array_equal(found[0], expected)
    assert [(one["bbox"], one["category_id"], one["iscrowd"]) for one in found[1]] == [([6, 1, 10, 5], 5, 0)]


def test_the_pixels_of_a_pasted_mask() -> None:
    mask = region(10, 12, rows=slice(2, 6), columns=slice(3, 7))
    mask[2, 3] = mask[5, 6] = False
    source = Source(numbered(10, 12, 100), [masked(mask, 5)], 0)
    below = masked(region(10, 12, rows=slice(1, 5), columns=slice(4, 8)), 2)
    paste = paster(use_masks=True)
    image = np.zeros((10, 12, 3), np.uint8)
    patch, bottom = paste.cut(source)
    found = paste.paste(image, [below], patch, 6, 1)
    assert found is not None and bottom == 6
    expected = np.zeros((10, 12, 3), np.uint8)
    shape = mask[2:6, 3:7]
    expected[1:5, 6:10][shape] = source.image[2:6, 3:7][shape]
    np.testing.assert_array_equal(found[0], expected)
    first, second = found[1]
    np.testing.assert_array_equal(decode(second["segmentation"], 10, 12)[1:5, 6:10], shape)
    assert box_corners(second).tolist() == [6, 1, 10, 5] and second["category_id"] == 5
    # The right half is hidden but for the pixel in the corner that the pasted one has not.
    left = region(10, 12, rows=slice(1, 5), columns=slice(4, 6))
    left[1, 6] = True
    np.testing.assert_array_equal(decode(first["segmentation"], 10, 12), left)
    assert box_corners(first).tolist() == [4, 1, 7, 5] and first["category_id"] == 2
    assert box_corners(below).tolist() == [4, 1, 8, 5]


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        ((4, 0, 20, 20), [0, 0, 4, 10]),
        ((0, 0, 4, 10), [4, 0, 10, 10]),
        ((-3, -3, 13, 4), [0, 4, 10, 10]),
        ((0, 7, 10, 12), [0, 0, 10, 7]),
        # A hole, a corner and a band through the middle leave the outer sides.
        ((4, 4, 6, 6), [0, 0, 10, 10]),
        ((5, 5, 12, 12), [0, 0, 10, 10]),
        ((4, 0, 6, 10), [0, 0, 10, 10]),
        ((0, 0, 10, 10), None),
        ((-1, -1, 11, 11), None),
    ],
)
def test_the_box_of_what_is_seen(hidden: tuple[int, int, int, int], expected: list[int] | None) -> None:
    found = visible_box(np.array([0.0, 0, 10, 10]), hidden)
    assert (None if found is None else found.tolist()) == expected


@pytest.mark.parametrize("use_masks", [False, True])
def test_an_object_of_which_nothing_is_left_is_dropped(use_masks: bool) -> None:
    rows, columns = slice(3, 5), slice(3, 5)
    below = masked(region(8, 8, rows=rows, columns=columns), 1) if use_masks else box(3, 3, 5, 5, 1)
    patch = Patch(np.full((4, 4, 3), 9, np.uint8), np.ones((4, 4), bool), np.array([[0.0, 0, 4, 4]]), np.array([2]))
    found = paster(use_masks, max_cover=1.0).paste(np.zeros((8, 8, 3), np.uint8), [below], patch, 2, 2)
    assert found is not None and [one["category_id"] for one in found[1]] == [2]
    image = np.zeros((8, 8, 3), np.uint8)
    assert paster(use_masks).paste(image, [below], patch, 2, 2) is None and not image.any()


@pytest.mark.parametrize("use_masks", [False, True])
def test_a_crowd_stays_and_no_place_is_refused_for_it(use_masks: bool) -> None:
    mask = region(8, 8, rows=slice(3, 5), columns=slice(3, 5))
    crowd = masked(mask, 1, iscrowd=1) if use_masks else box(3, 3, 5, 5, 1, iscrowd=1)
    patch = Patch(np.full((4, 4, 3), 9, np.uint8), np.ones((4, 4), bool), np.array([[0.0, 0, 4, 4]]), np.array([2]))
    found = paster(use_masks, max_cover=0.0).paste(np.zeros((8, 8, 3), np.uint8), [crowd], patch, 2, 2)
    assert found is not None and found[1][0] is crowd


def test_a_rectangle_brings_what_lies_in_it() -> None:
    """A rider who sits in the motorcycle's box by more than a half comes with it, whole; a car behind does not."""
    motorcycle, rider, car = box(10, 20, 30, 30, 6), box(15, 14, 25, 28, 1), box(0, 15, 14, 30, 2)
    source = Source(numbered(40, 60), [car, motorcycle, rider], 1)
    patch, bottom = paster().cut(source)
    assert bottom == 30 and patch.cover.shape == (16, 20) and patch.classes.tolist() == [6, 1]
    assert patch.boxes.tolist() == [[0, 6, 20, 16], [5, 0, 15, 14]]
    np.testing.assert_array_equal(patch.pixels, source.image[14:30, 10:30])
    # Objects of a crowd in it would have no labels.
    crowded = [car, motorcycle, rider, box(28, 12, 50, 18, 1, iscrowd=1)]
    patch, _ = paster().cut(Source(source.image, crowded, 1))
    assert not patch.cover.any()
    image, found = paster()(source.image, [], [Source(source.image, crowded, 1)])
    np.testing.assert_array_equal(image, source.image)
    assert found == []


def test_frames_of_other_sizes_scale_objects_and_their_height() -> None:
    source = Source(np.full((40, 80, 3), 7, np.uint8), [box(8, 16, 16, 24, 3)], 0)
    np.random.seed(0)
    places = set()
    for _ in range(50):
        image, (one,) = paster()(np.zeros((20, 30, 3), np.uint8), [], [source])
        x1, y1, x2, y2 = (int(value) for value in one["bbox"])
        assert (y1, y2, x2 - x1) == (8, 12, 4) and one["category_id"] == 3
        assert (image[y1:y2, x1:x2] == 7).all() and image.sum() == 7 * 3 * 16
        places.add(x1)
    assert min(places) == 0 and max(places) == 26
    # An object that has no room is left out.
    narrow, found = paster()(np.zeros((20, 3, 3), np.uint8), [], [source])
    assert not narrow.any() and found == []
    higher, found = paster(scale_range=(4.0, 4.0))(np.zeros((20, 30, 3), np.uint8), [], [source])
    assert not higher.any() and found == []


def test_an_object_is_flipped_with_its_boxes() -> None:
    patch = Patch(
        numbered(2, 4), np.array([[True, False, False, False]] * 2), np.array([[0.0, 0, 1, 2]]), np.array([1])
    )
    flipped = patch.flipped()
    np.testing.assert_array_equal(flipped.pixels, patch.pixels[:, ::-1])
    assert flipped.cover.tolist() == [[False, False, False, True]] * 2 and flipped.boxes.tolist() == [[3, 0, 4, 2]]
    larger = patch.resized(2.0)
    assert larger.cover.shape == (4, 8) and larger.boxes.tolist() == [[0, 0, 2, 4]] and larger.cover[:, :2].all()
    assert patch.resized(0.01).cover.shape == (1, 1)


def test_a_soft_border_is_half_of_each_at_the_edge() -> None:
    patch = Patch(np.full((9, 9, 3), 200, np.uint8), np.ones((9, 9), bool), np.array([[0.0, 0, 9, 9]]), np.array([1]))
    found = paster(blend_sigma=1.0).paste(np.full((9, 40, 3), 100, np.uint8), [], patch, 10, 0)
    assert found is not None
    row = found[0][4, :, 0].astype(int)
    # Of a Gaussian of one pixel, cut off at four: 0.5 + 0.399 / 2 = 0.70 lies within at the outermost pixel.
    assert row[9] == 100 and row[10] == 170 and row[14] == 200 and (np.diff(row[9:15]) >= 0).all()
    np.testing.assert_array_equal(row[10:19], row[10:19][::-1])


def test_polygons_and_plain_run_lengths_are_cut_too() -> None:
    polygon = box(2, 2, 6, 6, 1, segmentation=[[2, 2, 6, 2, 6, 6, 2, 6]])
    counts = [2 + 8 * 2, 4, 4, 4, 4, 4, 4, 4]
    plain = box(2, 2, 6, 6, 1, segmentation={"size": [8, 8], "counts": [*counts, 64 - sum(counts)]})
    away = box(0, 0, 1, 1, 3, segmentation=[[0, 0, 1, 0, 1, 1, 0, 1]])
    patch = Patch(np.full((4, 2, 3), 9, np.uint8), np.ones((4, 2), bool), np.array([[0.0, 0, 2, 4]]), np.array([2]))
    for one in (polygon, plain):
        found = paster(True).paste(np.zeros((8, 8, 3), np.uint8), [one, away], patch, 4, 2)
        assert found is not None and found[1][1] is away
        mask = decode(found[1][0]["segmentation"], 8, 8)
        np.testing.assert_array_equal(mask, region(8, 8, rows=slice(2, 6), columns=slice(2, 4)))
        assert box_corners(found[1][0]).tolist() == [2, 2, 4, 6]


def test_the_image_and_its_annotations_are_left_as_they_are() -> None:
    image, below = numbered(20, 30), box(0, 0, 30, 20, 4)
    before = image.copy()
    np.random.seed(1)
    changed, found = paster()(image, [below], [Source(np.full((20, 30, 3), 255, np.uint8), [box(5, 5, 9, 9, 1)], 0)])
    np.testing.assert_array_equal(image, before)
    assert (changed != before).any() and len(found) == 2 and below["bbox"] == [0, 0, 30, 20]
