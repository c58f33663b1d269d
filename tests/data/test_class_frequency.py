"""How often classes are drawn, which objects can be pasted, and crops around rare ones."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses
from detectron2.data.samplers import RepeatFactorTrainingSampler
from detectron2.structures import BoxMode

from bdd100k_d2.data.class_balanced_crop import ClassBalancedCrop
from bdd100k_d2.data.class_frequency import draw_class, frames_classes, repeat_factors
from bdd100k_d2.data.objects_by_class import ObjectsByClass
from bdd100k_d2.errors import ConfigError


def record(*boxes: tuple[int, list[float]], crowd: bool = False, masks: bool = False) -> dict[str, Any]:
    annotations = [
        {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": category, "iscrowd": int(crowd)}
        | ({"segmentation": [[0, 0, 1, 0, 1, 1]]} if masks else {})
        for category, box in boxes
    ]
    return {"file_name": "a.jpg", "width": 100, "height": 60, "annotations": annotations}


INSIDE = [10.0, 10, 20, 20]


def test_repeat_factors_are_lvis() -> None:
    frames = [{0, 4}, {0}, {0}, set()]
    assert repeat_factors(frames, 0.5) == {0: 1.0, 4: pytest.approx(2**0.5)}
    assert repeat_factors(frames, 0.0) == {0: 1.0, 4: 1.0} and repeat_factors([], 0.5) == {}
    records = [record(*((k, INSIDE) for k in sorted(classes))) for classes in frames]
    theirs = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(records, 0.9).tolist()
    ours = repeat_factors(frames_classes(records), 0.9)
    assert [max((ours[k] for k in classes), default=1.0) for classes in frames] == pytest.approx(theirs)
    with pytest.raises(ConfigError, match=r"DATALOADER\.REPEAT_THRESHOLD is -1; give a share"):
        repeat_factors(frames, -1)


def test_the_classes_of_frames_are_those_of_objects_or_masks(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[255, 3], [0, 3]], np.uint8))
    (tmp_path / "b.png").write_bytes(b"")
    records = [
        record((7, INSIDE)),
        record((7, INSIDE), crowd=True),
        {"sem_seg_file_name": str(tmp_path / "a.png")},
        {"sem_seg_file_name": str(tmp_path / "b.png")},
        {},
    ]
    assert frames_classes(records) == [{7}, set(), {0, 3}, set(), set()]


def test_classes_are_drawn_by_their_weights() -> None:
    np.random.seed(0)
    drawn = [draw_class([2, 5, 9], {2: 2.0, 5: 5.0}) for _ in range(4000)]
    shares = [drawn.count(k) / 4000 for k in (2, 5, 9)]
    np.testing.assert_allclose(shares, [2 / 8, 5 / 8, 1 / 8], atol=0.02)


@pytest.mark.parametrize("use_masks", [False, True])
def test_what_is_cut_by_the_border_and_crowds_are_not_pasted(use_masks: bool) -> None:
    boxes = [
        (1, [0.0, 10, 20, 20]),
        (2, [10.0, 0.5, 20, 20]),
        (3, [80.0, 10, 100, 20]),
        (4, [10.0, 10, 20, 59.5]),
        (5, [1.0, 1, 99, 59]),
    ]
    objects = ObjectsByClass([record(*boxes, masks=True), record((6, INSIDE), crowd=True, masks=True)], use_masks)
    choice = objects.among(np.array([0, 1]), 0.5)
    assert {choice.draw() for _ in range(9)} == {(0, 4)}
    # A line cannot be pasted as a rectangle; an object without a mask cannot be cut out.
    thin = ObjectsByClass([record((5, [10.0, 10, 11, 30]), masks=True)], use_masks).among(np.array([0]), 0.5)
    assert (thin.draw() is None) == (not use_masks)
    bare = ObjectsByClass([record((5, INSIDE))], use_masks).among(np.array([0]), 0.5)
    assert (bare.draw() is None) == use_masks


def test_objects_are_drawn_by_class_of_the_records_that_are_trained_with() -> None:
    frequent = [record((0, INSIDE), (0, [30.0, 10, 50, 40])) for _ in range(15)]
    objects = ObjectsByClass([*frequent, record((40, INSIDE))], use_masks=False)
    np.random.seed(0)
    choice = objects.among(np.arange(16), 1.0)
    drawn = [choice.draw() for _ in range(3000)]
    # Factors of 1.03 and 4.
    assert np.mean([one == (15, 0) for one in drawn]) == pytest.approx(4 / (4 + (16 / 15) ** 0.5), abs=0.02)
    assert len({*drawn}) == 31
    assert {objects.among(np.arange(15), 1.0).draw()[0] for _ in range(200)} == {*range(15)}
    # A class without an object, and no object at all.
    assert objects.among(np.zeros(0, int), 1.0).draw() is None


def crop(prob: float = 1.0, size: tuple[int, int] = (20, 30), **weights: float) -> ClassBalancedCrop:
    window = T.RandomCrop("absolute", size)
    return ClassBalancedCrop(window, window, prob, {int(k[1:]): v for k, v in weights.items()})


def test_a_crop_holds_the_object_that_is_drawn() -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    boxes, classes = np.array([[70.2, 40, 79.9, 50], [0, 0, 8, 8], [5, 50, 12, 60]]), np.array([1, 0, 0])
    np.random.seed(0)
    found = [crop(_1=3.0).get_transform(image, boxes, classes, None) for _ in range(1000)]
    assert {(one.w, one.h) for one in found} == {(30, 20)}
    held = [
        [one.x0 <= x1 and one.y0 <= y1 and x2 <= one.x0 + 30 and y2 <= one.y0 + 20 for x1, y1, x2, y2 in boxes]
        for one in found
    ]
    np.testing.assert_allclose(np.mean(held, axis=0), [0.75, 0.125, 0.125], atol=0.04)
    around = [one for one, (rare, _, _) in zip(found, held, strict=True) if rare]
    assert {one.x0 for one in around} == {*range(50, 71)} and {one.y0 for one in around} == {*range(30, 41)}
    # Of a larger object it shows nothing else.
    larger = np.array([[10.0, 5, 90, 55]])
    found = [crop().get_transform(image, larger, np.array([1]), None) for _ in range(300)]
    assert all(10 <= one.x0 <= 60 and 5 <= one.y0 <= 35 for one in found)
    assert crop(size=(200, 200)).get_transform(image, larger, np.array([1]), None).w == 100


def test_a_crop_holds_a_pixel_of_the_class_that_is_drawn() -> None:
    mask = np.full((60, 100), 255, np.uint8)
    mask[:, :50] = 2
    mask[59, 99] = 7
    image = np.zeros((60, 100, 3), np.uint8)
    np.random.seed(0)
    found = [crop(_7=4.0).get_transform(image, None, None, mask) for _ in range(500)]
    corner = [one.apply_segmentation(mask) for one in found]
    assert np.mean([(part == 7).any() for part in corner]) == pytest.approx(0.8, abs=0.05)
    assert all(((part == 7) | (part == 2)).any() for part in corner)


def test_other_images_are_cropped_anywhere() -> None:
    image, nothing = np.zeros((60, 100, 3), np.uint8), np.full((60, 100), 255, np.uint8)
    empty = np.zeros((0, 4)), np.zeros(0, np.int64)
    for arguments in ((*empty, None), (None, None, nothing), (None, None, None)):
        np.random.seed(0)
        places = {crop().get_transform(image, *arguments).x0 for _ in range(1500)}
        assert places == {*range(71)}
    boxes, classes = np.array([[90.0, 50, 100, 60]]), np.array([1])
    never = [crop(0.0).get_transform(image, boxes, classes, None).x0 for _ in range(200)]
    assert min(never) < 20
