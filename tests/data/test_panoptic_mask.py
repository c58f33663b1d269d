"""The mask that a Panoptic FPN is trained with, painted of segments in each form that records have them in."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from support.frames import write_image

import bdd100k_d2
from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.data.mapper import BDD100KDatasetMapper
from bdd100k_d2.data.panoptic_mask import panoptic_mask
from bdd100k_d2.errors import DataError, UnreadableError

HEIGHT, WIDTH = 40, 60
# Stuff 7, a thing on it, stuff 30 of which a part is unlabelled, and a crowd.
EXPECTED = np.full((HEIGHT, WIDTH), 7, np.uint8)
EXPECTED[5:15, 10:30] = 0
EXPECTED[20:] = 30
EXPECTED[30:, :20] = 255
EXPECTED[30:, 40:] = 0
INFOS = [
    {"id": 7, "isthing": False, "category_id": 7, "iscrowd": 0},
    {"id": 31, "isthing": True, "category_id": 4, "iscrowd": 0},
    {"id": 30, "isthing": False, "category_id": 30, "iscrowd": 0},
    {"id": 300, "isthing": True, "category_id": 0, "iscrowd": 1},
]


def numbers() -> np.ndarray:
    """(H, W), which of `INFOS` each pixel is of, counted from 1."""
    found = np.zeros((HEIGHT, WIDTH), np.int32)
    found[:20], found[5:15, 10:30], found[20:], found[30:, :20], found[30:, 40:] = 1, 2, 3, 0, 4
    return found


def in_bitmask(folder: Path) -> dict[str, Any]:
    ids = np.array([one["id"] for one in INFOS])
    order = np.argsort(ids)
    places = np.append(0, 1 + np.argsort(order))[numbers()]
    bitmask = Bitmask(places, ids[order], np.array([7, 30, 35, 31]), np.zeros(4, np.uint8))
    pixels = encode_bitmask(bitmask)
    cv2.imwrite(str(folder / "bitmask.png"), cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))
    return {"segments_info": INFOS, "bitmask_file_name": str(folder / "bitmask.png")}


def in_colors(folder: Path) -> dict[str, Any]:
    of_pixel = np.append(0, [one["id"] for one in INFOS])[numbers()]
    colors = np.stack([np.zeros_like(of_pixel), of_pixel >> 8, of_pixel & 255], axis=2)
    cv2.imwrite(str(folder / "coco.png"), colors.astype(np.uint8))
    return {"segments_info": INFOS, "pan_seg_file_name": str(folder / "coco.png")}


def in_run_lengths(folder: Path) -> dict[str, Any]:
    found = numbers()
    masks = [np.asfortranarray((found == i).astype(np.uint8)) for i in range(1, 5)]
    # The stuff under the thing is labelled too, and its counts are bytes or text.
    masks[0][:20] = 1
    encoded = [coco_mask.encode(mask) for mask in masks]
    encoded[1]["counts"] = encoded[1]["counts"].decode()
    return {"segments_info": [one | {"segmentation": rle} for one, rle in zip(INFOS, encoded, strict=True)]}


def in_polygons(folder: Path) -> dict[str, Any]:
    def rectangle(x1: int, y1: int, x2: int, y2: int) -> list[float]:
        return [x1, y1, x2, y1, x2, y2, x1, y2]

    parts = [
        [rectangle(0, 0, 60, 20)],
        [rectangle(10, 5, 30, 15)],
        [rectangle(0, 20, 60, 30), rectangle(20, 30, 60, 40)],
        [rectangle(40, 30, 60, 40)],
    ]
    return {"segments_info": [one | {"segmentation": part} for one, part in zip(INFOS, parts, strict=True)]}


FORMS = [in_bitmask, in_colors, in_run_lengths, in_polygons]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_becomes_the_same_mask(tmp_path: Path, form: Any) -> None:  # noqa: ANN401
    record = {"file_name": "a.jpg", "height": HEIGHT, "width": WIDTH, **form(tmp_path)}
    mask = panoptic_mask(record, 31)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, EXPECTED)


@pytest.fixture
def record(tmp_path: Path) -> dict[str, Any]:
    # An image that shows its own mask.
    cv2.imwrite(str(tmp_path / "a.bmp"), cv2.merge([EXPECTED] * 3))
    thing = {"bbox": [10, 5, 20, 10], "bbox_mode": 1, "category_id": 4, "iscrowd": 0}
    segments = in_run_lengths(tmp_path)
    thing["segmentation"] = segments["segments_info"][1]["segmentation"] | {}
    head = {"file_name": str(tmp_path / "a.bmp"), "image_id": "a.bmp", "height": HEIGHT, "width": WIDTH}
    return head | {"annotations": [thing]} | in_bitmask(tmp_path)


def config(name: str = "pan_seg/panoptic_fpn_R_50_FPN_1x", size: int = HEIGHT) -> Any:  # noqa: ANN401
    cfg = bdd100k_d2.get_config(name)
    cfg.INPUT.MIN_SIZE_TRAIN = (size,)
    return cfg


def test_image_mask_and_things_stay_aligned(record: dict[str, Any]) -> None:
    mapper = BDD100KDatasetMapper(config(), is_train=True)
    flipped = set()
    for seed in range(6):
        np.random.seed(seed)
        result = mapper(record)
        assert torch.equal(result["image"][0].long(), result["sem_seg"])
        (box,) = result["instances"].gt_boxes.tensor.tolist()
        flipped.add(box[0])
        x1, y1, x2, y2 = map(round, box)
        assert (result["sem_seg"][y1:y2, x1:x2] == 0).all() and result["sem_seg"][y1, x1 - 1] == 7
        assert "segments_info" not in result
    assert flipped == {10, 30} and "segments_info" in record
    larger = BDD100KDatasetMapper(config(size=2 * HEIGHT), is_train=True)(record)
    assert larger["sem_seg"].shape == larger["image"].shape[1:] == (80, 120)
    assert larger["sem_seg"].dtype == torch.int64
    assert set(larger["sem_seg"].unique().tolist()) == {0, 7, 30, 255}


def test_only_models_that_are_trained_with_it_get_a_mask(record: dict[str, Any]) -> None:
    cfg = config("ins_seg/mask_rcnn_R_50_FPN_1x")
    result = BDD100KDatasetMapper(cfg, is_train=True)(record)
    assert "sem_seg" not in result and "segments_info" in result
    assert "sem_seg" not in BDD100KDatasetMapper(config(), is_train=False)(record)
    cfg.MODEL.META_ARCHITECTURE = "NotRegistered"
    assert "sem_seg" not in BDD100KDatasetMapper(cfg, is_train=True)(record)


def test_a_mask_in_a_file_goes_before_the_segments(record: dict[str, Any], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "stuff.png"), np.full((HEIGHT, WIDTH), 3, np.uint8))
    record["sem_seg_file_name"] = str(tmp_path / "stuff.png")
    assert (BDD100KDatasetMapper(config(), is_train=True)(record)["sem_seg"] == 3).all()


def test_what_is_wrong_is_named(record: dict[str, Any], tmp_path: Path) -> None:
    mapper = BDD100KDatasetMapper(config(), is_train=True)

    def refused(message: str, error: type[Exception] = DataError, **fields: object) -> None:
        with pytest.raises(error, match=message):
            mapper({key: value for key, value in (record | fields).items() if value is not None})

    refused(
        r"a\.bmp: a Panoptic FPN is trained with the segments .* register a data set of pan_seg", segments_info=None
    )
    refused(r"category_id 31; the model has the classes 1 to 30", segments_info=[INFOS[0] | {"category_id": 31}])
    refused(r"category_id 0; .* 0 stands for all things", segments_info=[INFOS[0] | {"category_id": 0}])
    refused(r"none\.png", UnreadableError, bitmask_file_name=str(tmp_path / "none.png"))
    write_image(tmp_path / "b.jpg", 80, 60)
    refused(r"bitmask\.png: the mask is 60x40, its image 60x80", file_name=str(tmp_path / "b.jpg"), height=80)
    for wrong in (None, {"counts": [2400], "size": [HEIGHT, WIDTH]}, [["a"]], {}):
        segments = [INFOS[0] | {"segmentation": wrong}]
        refused(
            r"a\.bmp: a segment is neither compressed run lengths nor polygons",
            segments_info=segments,
            bitmask_file_name=None,
        )
    short = {"counts": "0", "size": [HEIGHT, WIDTH]}
    refused(
        "the run lengths add up to 0 pixels",
        segments_info=[INFOS[0] | {"segmentation": short}],
        bitmask_file_name=None,
    )
