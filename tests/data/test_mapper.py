from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask
import pytest
import torch
from support.frames import write_image

import bdd100k_d2
from bdd100k_d2.data.augmentation import BalancedCrop, ColorJitter, build_augmentation
from bdd100k_d2.data.mapper import BDD100KDatasetMapper
from bdd100k_d2.errors import DataError


@pytest.fixture
def record(tmp_path: Path) -> dict:
    write_image(tmp_path / "a.jpg", 720, 1280)
    mask = np.random.default_rng(0).integers(0, 19, (720, 1280), np.uint8)
    mask[:5] = 255
    cv2.imwrite(str(tmp_path / "a.png"), mask)
    return {
        "file_name": str(tmp_path / "a.jpg"),
        "image_id": "a.jpg",
        "height": 720,
        "width": 1280,
        "sem_seg_file_name": str(tmp_path / "a.png"),
    }


@pytest.fixture
def mapper() -> BDD100KDatasetMapper:
    return BDD100KDatasetMapper(bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k"), is_train=True)


def test_training_crops_at_the_native_scale(record: dict, mapper: BDD100KDatasetMapper) -> None:
    result = mapper(record)
    assert result["image"].shape == (3, 512, 1024) and result["image"].dtype == torch.uint8
    assert result["sem_seg"].shape == (512, 1024) and result["sem_seg"].dtype == torch.int64
    assert "sem_seg_file_name" in record
    assert set(result["sem_seg"].unique().tolist()) <= {*range(19), 255}


def test_image_and_mask_stay_aligned(record: dict) -> None:
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    cfg.INPUT.COLOR_JITTER.PROB = 0.0
    mask = cv2.imread(record["sem_seg_file_name"], cv2.IMREAD_GRAYSCALE)
    # An image that shows its own mask.
    cv2.imwrite(record["file_name"].replace(".jpg", ".bmp"), cv2.merge([mask, mask, mask]))
    record["file_name"] = record["file_name"].replace(".jpg", ".bmp")
    for _ in range(4):
        result = BDD100KDatasetMapper(cfg, is_train=True)(record)
        assert torch.equal(result["image"][0].long(), result["sem_seg"])


def test_evaluation_takes_the_whole_image_and_no_mask(record: dict) -> None:
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    result = BDD100KDatasetMapper(cfg, is_train=False)(record)
    assert result["image"].shape == (3, 720, 1280) and "sem_seg" not in result
    # RGB: OpenCV reads BGR.
    assert torch.equal(result["image"].permute(1, 2, 0).flip(2), torch.from_numpy(cv2.imread(record["file_name"])))


def test_a_balanced_crop_avoids_one_class() -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[:, 150:] = np.arange(100, dtype=np.uint8)[:, None] % 19
    mask[:50, :150] = 255
    image = np.zeros((100, 200, 3), np.uint8)
    crop = BalancedCrop(build_crop((50, 100)), 0.75)
    np.random.seed(0)
    shares = []
    for _ in range(50):
        counts = np.bincount(crop.get_transform(image, mask).apply_segmentation(mask).ravel(), minlength=256)[:255]
        shares.append(counts.max() / max(counts.sum(), 1))
    assert np.mean(np.array(shares) < 0.75) > 0.9
    one_class = np.zeros((100, 200), np.uint8)
    assert crop.get_transform(image, one_class).apply_image(image).shape == (50, 100, 3)
    unlabelled = np.full((100, 200), 255, np.uint8)
    assert crop.get_transform(image, unlabelled).apply_image(image).shape == (50, 100, 3)


def build_crop(size: tuple[int, int]) -> object:
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    cfg.INPUT.CROP.SIZE = list(size)
    cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA = 1.0
    return build_augmentation(cfg, True)[1]


def test_the_augmentations_of_each_recipe() -> None:
    def kinds(name: str, is_train: bool) -> list[str]:
        return [type(one).__name__ for one in build_augmentation(bdd100k_d2.get_config(name), is_train)]

    det, seg = "det/faster_rcnn_R_50_FPN_1x", "sem_seg/semantic_fpn_R_50_40k"
    assert kinds(det, True) == ["LinearResizeShortestEdge", "RandomFlip"]
    assert kinds(seg, True) == ["LinearResizeShortestEdge", "BalancedCrop", "RandomFlip", "ColorJitter"]
    assert kinds(det, False) == kinds(seg, False) == ["LinearResizeShortestEdge"]
    # Detectron2's predictor resizes by Pillow, and these images are not of the models' size.
    assert kinds("sample/faster_rcnn_R_18_FPN", False) == ["ResizeShortestEdge"]


@pytest.fixture
def boxed(record: dict) -> dict:
    """Boxes inside, across the left border, across the lower right corner, and of an ignored class."""
    boxes = [(100, 100, 50, 40), (-20, 300, 60, 60), (1200, 700, 100, 30), (10, 10, 20, 20)]
    polygons = [[[x, y, x + w, y, x + w, y + h, x, y + h]] for x, y, w, h in boxes]
    annotations = [
        {"bbox": list(box), "bbox_mode": 1, "category_id": i, "iscrowd": int(i == 3), "segmentation": polygon}
        for i, (box, polygon) in enumerate(zip(boxes, polygons, strict=True))
    ]
    del record["sem_seg_file_name"]
    return {**record, "annotations": annotations}


def instances(record: dict, **keys: object) -> object:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.INPUT.RANDOM_FLIP = "none"
    cfg.merge_from_list([part for key, value in keys.items() for part in (key.replace("__", "."), value)])
    return BDD100KDatasetMapper(cfg, is_train=True)(record)["instances"]


def test_boxes_are_clipped_or_not(boxed: dict) -> None:
    clipped, labelled = (instances(boxed, INPUT__CLIP_BOXES=clip) for clip in (True, False))
    assert clipped.gt_classes.tolist() == labelled.gt_classes.tolist() == [0, 1, 2]
    assert clipped.gt_boxes.tensor.tolist()[1:] == [[0, 300, 40, 360], [1200, 700, 1280, 720]]
    assert labelled.gt_boxes.tensor.tolist()[1:] == [[-20, 300, 40, 360], [1200, 700, 1300, 730]]
    assert not labelled.has("gt_masks") and boxed["annotations"][1]["bbox"] == [-20, 300, 60, 60]
    halved = instances(boxed, INPUT__CLIP_BOXES=False, INPUT__MIN_SIZE_TRAIN=(360,))
    assert halved.gt_boxes.tensor.tolist()[1] == [-10, 150, 20, 180] and halved.image_size == (360, 640)
    assert len(instances({**boxed, "annotations": []}, INPUT__CLIP_BOXES=False)) == 0


def test_boxes_outside_of_a_crop_go_though_none_is_clipped(boxed: dict) -> None:
    crop = {"INPUT__CROP__ENABLED": True, "INPUT__CROP__TYPE": "absolute", "INPUT__CROP__SIZE": [240, 240]}
    del boxed["annotations"][2:]
    seen = set()
    for seed in range(60):
        found = []
        for clip in (True, False):
            np.random.seed(seed)
            found.append(instances(boxed, INPUT__CLIP_BOXES=clip, **crop))
        clipped, labelled = found
        assert clipped.gt_classes.tolist() == labelled.gt_classes.tolist()
        for box, inside in zip(labelled.gt_boxes.tensor, clipped.gt_boxes.tensor, strict=True):
            assert (box[2:] - box[:2]).tolist() in ([50, 40], [60, 60])
            assert torch.equal(box.clamp(0, 240), inside)
        seen.add(tuple(labelled.gt_classes.tolist()))
    assert {(), (0,)} <= seen


def test_masks_follow_their_boxes(boxed: dict) -> None:
    found = instances(boxed, INPUT__CLIP_BOXES=False, MODEL__MASK_ON=True)
    assert len(found.gt_masks) == len(found.gt_boxes) == 3
    assert found.gt_boxes.tensor.tolist()[1] == [-20, 300, 40, 360]
    assert found.gt_masks.polygons[1][0].tolist() == [-20, 300, 40, 300, 40, 360, -20, 360]


def test_boxes_around_cropped_masks_are_the_masks_own(boxed: dict) -> None:
    for annotation in boxed["annotations"]:
        x, y, w, h = annotation["bbox"]
        mask = np.zeros((720, 1280), np.uint8, order="F")
        mask[y : y + h, max(x, 0) : x + w] = 1
        annotation["segmentation"] = pycocotools.mask.encode(mask)
    crop = {"INPUT__CROP__ENABLED": True, "INPUT__CROP__TYPE": "absolute", "INPUT__CROP__SIZE": [500, 900]}
    cut = 0
    for seed in range(12):
        np.random.seed(seed)
        found = instances(boxed, INPUT__CLIP_BOXES=False, MODEL__MASK_ON=True, INPUT__MASK_FORMAT="bitmask", **crop)
        assert torch.equal(found.gt_boxes.tensor, found.gt_masks.get_bounding_boxes().tensor)
        cut += len(found) < 3
    assert cut > 0


def test_color_jitter() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    nothing = ColorJitter(1.0, 0, 0, 0, 0).get_transform(image).apply_image(image)
    assert np.abs(nothing.astype(int) - image).max() <= 1
    assert (ColorJitter(0.0, 0.5, 0.5, 0.5, 0.5).get_transform(image).apply_image(image) == image).all()
    np.random.seed(1)
    rgb = ColorJitter(1.0, 0.125, 0.5, 0.5, 0.05).get_transform(image).apply_image(image)
    np.random.seed(1)
    bgr = ColorJitter(1.0, 0.125, 0.5, 0.5, 0.05, "BGR").get_transform(image).apply_image(image[..., ::-1])
    assert rgb.dtype == np.uint8 and (rgb != image).any()
    np.testing.assert_array_equal(rgb, bgr[..., ::-1])
    np.random.seed(2)
    brighter = ColorJitter(1.0, 0.5, 0, 0, 0).get_transform(image).apply_image(np.full_like(image, 100))
    assert brighter.min() == brighter.max() and 50 <= brighter[0, 0, 0] <= 150


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: Path(r["file_name"]).unlink(), r"a\.jpg: the image cannot be read"),
        (lambda r: Path(r["file_name"]).write_bytes(b"<html>"), r"a\.jpg: the image cannot be read"),
        (
            lambda r: Path(r["file_name"]).write_bytes(Path(r["file_name"]).read_bytes()[:5000]),
            r"a\.jpg: the image cannot be read",
        ),
        (
            lambda r: (
                r.update(height=1, width=65500, sem_seg_file_name=None) or write_image(Path(r["file_name"]), 1, 65500)
            ),
            r"a\.jpg: resized as INPUT says, the image is 1\d\d\dx0 pixels; an image has one or more each way",
        ),
        (lambda r: write_image(Path(r["file_name"]), 360, 640), r"a\.jpg: .*Mismatched image shape.*another size"),
        (lambda r: Path(r["sem_seg_file_name"]).unlink(), r"a\.png: the mask cannot be read"),
        (
            lambda r: cv2.imwrite(r["sem_seg_file_name"], np.full((720, 1280), 19, np.uint8)),
            r"a\.png: the mask holds the ids \[19\]",
        ),
        (
            lambda r: cv2.imwrite(r["sem_seg_file_name"], np.zeros((720, 1280, 3), np.uint8)),
            r"a\.png: a mask has one channel",
        ),
        (
            lambda r: cv2.imwrite(r["sem_seg_file_name"], np.zeros((360, 640), np.uint8)),
            r"a\.png: the mask is 640x360, its image 1280x720",
        ),
    ],
)
def test_bad_files_are_named(record: dict, mapper: BDD100KDatasetMapper, spoil: object, message: str) -> None:
    spoil(record)
    with pytest.raises(DataError, match=message):
        mapper(record)
