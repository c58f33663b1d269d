"""Samples with pasted objects, and class-balanced crops: the same for any number of workers and any start."""

import copy
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from pycocotools import mask as coco_mask

import bdd100k_d2
from bdd100k_d2.data.augmentation import crops_by_class
from bdd100k_d2.data.copy_paste_mapper import CopyPasteMapper
from bdd100k_d2.data.loader import TrainLoader, build_train_loader
from bdd100k_d2.data.mapper import BDD100KDatasetMapper
from bdd100k_d2.data.register import register_all
from bdd100k_d2.errors import ConfigError, UnreadableError

Config = Callable[..., CfgNode]
PASTE, CROP = "INPUT.COPY_PASTE.ENABLED", "INPUT.CROP.CLASS_BALANCED_PROB"
CROPS = ("INPUT.CROP.ENABLED", True, "INPUT.CROP.TYPE", "absolute", "INPUT.CROP.SIZE", [40, 60], CROP, 0.7)


def write(folder: Path, sizes: list[tuple[int, int]], *, masks: bool = False) -> list[dict[str, Any]]:
    """Records of images of one colour each, with an object of class 0, in the last one also one of class 1."""
    records = []
    for i, (height, width) in enumerate(sizes):
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), np.full((height, width, 3), 40 * (i + 1), np.uint8))
        x, y = width // 4, height // 4
        boxes = [[x, y, 2 * x, 2 * y], [2 * x + 2, y, 3 * x, 3 * y]][: 2 if i == len(sizes) - 1 else 1]
        annotations = [
            {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": k, "iscrowd": 0} for k, box in enumerate(boxes)
        ]
        for one in annotations if masks else ():
            x1, y1, x2, y2 = one["bbox"]
            mask = np.zeros((height, width), np.uint8, order="F")
            mask[y1:y2, x1:x2] = 1
            one["segmentation"] = coco_mask.encode(mask)
        records.append(
            {
                "file_name": str(path),
                "image_id": path.name,
                "height": height,
                "width": width,
                "annotations": annotations,
            }
        )
    return records


@pytest.fixture
def own(tmp_path: Path, catalogs_as_they_were: None) -> Config:
    """Makes the config of a detector of two classes of its own, on images of different sizes."""

    def make(
        *keys: object, sizes: tuple[tuple[int, int], ...] = ((60, 90), (80, 120), (90, 60)), masks: bool = False
    ) -> CfgNode:
        records = write(tmp_path, [*sizes], masks=masks)
        DatasetCatalog.register("own_train", lambda: copy.deepcopy(records))
        MetadataCatalog.get("own_train").thing_classes = ["barrow", "cart"]
        cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
        cfg.DATASETS.TRAIN, cfg.DATALOADER.SAMPLER_TRAIN = ("own_train",), "TrainingSampler"
        cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.MODEL.MASK_ON, cfg.INPUT.MASK_FORMAT = 2, masks, "bitmask"
        cfg.DATALOADER.NUM_WORKERS, cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.ASPECT_RATIO_GROUPING = 0, 2, False
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.RANDOM_FLIP = (0,), "none"
        cfg.merge_from_list([*keys])
        return cfg

    return make


def take(loader: TrainLoader, count: int) -> list[dict[str, Any]]:
    return [one for batch in islice(loader, count) for one in batch]


def same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> bool:
    return len(first) == len(second) and all(
        a["file_name"] == b["file_name"]
        and torch.equal(a["image"], b["image"])
        and torch.equal(a["instances"].gt_boxes.tensor, b["instances"].gt_boxes.tensor)
        and torch.equal(a["instances"].gt_classes, b["instances"].gt_classes)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("keys", [(PASTE, True), CROPS, (PASTE, True, *CROPS)])
def test_samples_are_the_same_for_any_number_of_workers_and_any_start(
    own: Config, keys: tuple[object, ...], masks: bool
) -> None:
    cfg = own(*keys, masks=masks)
    whole = take(build_train_loader(cfg, seed=4), 6)
    assert not same(whole, take(build_train_loader(cfg, seed=5), 6))
    cfg.DATALOADER.NUM_WORKERS = 2
    assert same(whole, take(build_train_loader(cfg, seed=4), 6))
    assert same(whole[2 * 4 :], take(build_train_loader(cfg, seed=4, start_iter=4), 2))
    # Each epoch changes an image in its own way.
    assert len({(one["image"].sum().item(), *one["instances"].gt_boxes.tensor.flatten().tolist()) for one in whole}) > 6


def test_pasted_objects_show_the_colour_of_their_image(own: Config) -> None:
    """A barrow has the colour of one of the images, a cart that of the last, wherever they end up."""
    cfg = own(PASTE, True, "INPUT.COPY_PASTE.NUM_OBJECTS", (2, 2), "DATALOADER.REPEAT_THRESHOLD", 1.0)
    pasted = []
    for one in take(build_train_loader(cfg, seed=0), 30):
        number = int(Path(one["file_name"]).stem)
        classes = one["instances"].gt_classes.tolist()
        for box, k in zip(one["instances"].gt_boxes.tensor.round().int().tolist(), classes, strict=True):
            x1, y1, x2, y2 = box
            colours = one["image"][:, y1:y2, x1:x2].unique().tolist()
            assert {*colours} <= {40, 80, 120}
            if number < 2 and k == 1:
                pasted.append(colours)
        assert 1 <= len(classes) <= 4
    assert len(pasted) > 15 and [120] in pasted


def test_masks_and_boxes_of_what_is_seen_agree(own: Config) -> None:
    cfg = own(PASTE, True, "INPUT.COPY_PASTE.NUM_OBJECTS", (2, 3), masks=True)
    covered = 0
    for one in take(build_train_loader(cfg, seed=0), 30):
        masks, boxes = one["instances"].gt_masks, one["instances"].gt_boxes.tensor
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        assert masks.tensor.sum(dim=0).max() <= 1
        around = masks.get_bounding_boxes().tensor
        assert (around >= boxes.floor() - 1).all() and (around <= boxes.ceil() + 1).all()
        covered += int((masks.tensor.sum(dim=(1, 2)) < areas - 1).sum())
    assert covered > 3


def test_a_set_of_one_frame_and_a_class_without_an_object(own: Config) -> None:
    cfg = own(PASTE, True, "INPUT.COPY_PASTE.MAX_COVER", 1.0, "SOLVER.IMS_PER_BATCH", 1, sizes=((60, 90),))
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 2
    MetadataCatalog.get("own_train").thing_classes = ["barrow", "cart"]
    assert {len(one["instances"]) for one in take(build_train_loader(cfg, seed=0), 40)} >= {2, 3, 4}


def test_nothing_to_paste_leaves_the_image(own: Config) -> None:
    cfg = own("INPUT.COPY_PASTE.NUM_OBJECTS", (3, 3))
    record = DatasetCatalog.get("own_train")[2]
    plain = BDD100KDatasetMapper(cfg, is_train=True)(record)
    cfg.INPUT.COPY_PASTE.ENABLED = True
    before = copy.deepcopy(record)
    for draw in (None, lambda: None):
        assert same([CopyPasteMapper(cfg, is_train=True)(record, draw)], [plain])
    assert record == before
    # Of a record that says no size, too, as of a source.
    bare = {key: value for key, value in record.items() if key not in ("height", "width")}
    np.random.seed(0)
    made = CopyPasteMapper(cfg, is_train=True)(bare, lambda: (bare, 0))
    assert len(made["instances"]) > 2 and "width" not in bare


def test_an_unreadable_source_is_named_or_skipped(own: Config, tmp_path: Path) -> None:
    cfg = own(PASTE, True, "INPUT.COPY_PASTE.NUM_OBJECTS", (3, 3))
    (tmp_path / "2.png").write_bytes(b"\x89PNG")
    with pytest.raises(UnreadableError, match=r"2\.png"):
        take(build_train_loader(cfg, seed=0), 6)
    cfg.INPUT.SKIP_UNREADABLE, cfg.INPUT.COPY_PASTE.NUM_OBJECTS = True, (0, 1)
    loader = build_train_loader(cfg, seed=1)
    assert len(take(loader, 6)) == 12 and {Path(name).name for name in loader.skipped} == {"2.png"}


def test_a_crop_shows_rare_objects_more_often(own: Config) -> None:
    sizes = ((400, 600),) * 6
    usual = ("INPUT.CROP.ENABLED", True, "INPUT.CROP.TYPE", "absolute", "INPUT.CROP.SIZE", [80, 80])
    cfg = own(*usual, "DATALOADER.REPEAT_THRESHOLD", 1.0, "DATALOADER.FILTER_EMPTY_ANNOTATIONS", False, sizes=sizes)
    seen = []
    for prob in (0.0, 1.0):
        cfg.INPUT.CROP.CLASS_BALANCED_PROB = prob
        last = [one for one in take(build_train_loader(cfg, seed=0), 90) if one["file_name"].endswith("5.png")]
        shown = [set(one["instances"].gt_classes.tolist()) for one in last]
        seen.append((np.mean([1 in one for one in shown]), min(len(one) for one in shown)))
    # A window of 80x80 lies in an object of 100x150 and of 200x150: of the drawn class in sqrt(6) of 1 + sqrt(6) cases.
    assert seen[0][0] < 0.5 and seen[0][1] == 0
    assert seen[1][0] == pytest.approx(6**0.5 / (1 + 6**0.5), abs=0.15) and seen[1][1] == 1


def segmenter(root: Path, *keys: object) -> CfgNode:
    register_all(root)
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cfg.DATALOADER.NUM_WORKERS, cfg.SOLVER.IMS_PER_BATCH = 0, 1
    cfg.merge_from_list([*keys])
    return cfg


@pytest.fixture
def rare_masks(tiny_root: Path) -> Path:
    """Masks of road, but for ten pixels of another class in one of three."""
    folder = tiny_root / "bdd100k/labels/sem_seg/masks/train"
    for i, path in enumerate(sorted(folder.glob("*.png"))):
        mask = np.zeros((720, 1280), np.uint8)
        mask[100:102, 1200:1205] = 6 if i == 1 else 0
        cv2.imwrite(str(path), mask)
    return tiny_root


def test_frames_whose_masks_have_rare_classes_are_repeated(rare_masks: Path) -> None:
    sampler = ("DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler", "DATALOADER.REPEAT_THRESHOLD", 3.0)
    batches = islice(build_train_loader(segmenter(rare_masks, *sampler), seed=0), 32)
    names = [Path(one["file_name"]).stem for batch in batches for one in batch]
    # Factors of 3 for one, and of the root of 3 for two.
    assert np.mean([name == "train1" for name in names]) == pytest.approx(3 / (3 + 2 * 3**0.5), abs=0.05)


@pytest.mark.slow
def test_a_crop_shows_rare_pixels(rare_masks: Path) -> None:
    keys = ("INPUT.MIN_SIZE_TRAIN", (720,), "INPUT.MAX_SIZE_TRAIN", 1280, "INPUT.CROP.TYPE", "absolute")
    cfg = segmenter(rare_masks, *keys, "INPUT.CROP.SIZE", [64, 64], CROP, 1.0, "DATALOADER.REPEAT_THRESHOLD", 3.0)
    assert cfg.INPUT.CROP.ENABLED
    shown = [
        bool((one["sem_seg"] == 6).any())
        for one in take(build_train_loader(cfg, seed=0), 120)
        if one["file_name"].endswith("train1.jpg")
    ]
    assert np.mean(shown) == pytest.approx(3 / (3 + 3**0.5), abs=0.16)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["NUM_OBJECTS", (2, 1)], r"NUM_OBJECTS is \(2, 1\); give the least and the most, 0 or more"),
        (["NUM_OBJECTS", (-1, 1)], r"NUM_OBJECTS is \(-1, 1\); give the least"),
        (["NUM_OBJECTS", (0.5, 1)], r"NUM_OBJECTS is \(0\.5, 1\); give the least"),
        (["SCALE_RANGE", (0.0, 1.0)], r"SCALE_RANGE is \(0\.0, 1\.0\); give the least and the most, more than 0"),
        (["SCALE_RANGE", (1.0,)], r"SCALE_RANGE is \(1\.0,\); give the least"),
        (["FLIP_PROB", 1.5], r"FLIP_PROB is 1\.5; give a share, 0 to 1"),
        (["MAX_COVER", -0.1], r"MAX_COVER is -0\.1; give a share"),
        (["BLEND_SIGMA", -1.0], r"BLEND_SIGMA is -1\.0; give pixels"),
    ],
)
def test_impossible_values_are_refused(own: Config, keys: list[object], message: str) -> None:
    cfg = own(PASTE, True, f"INPUT.COPY_PASTE.{keys[0]}", keys[1])
    with pytest.raises(ConfigError, match=rf"INPUT\.COPY_PASTE\.{message}"):
        build_train_loader(cfg, seed=0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["MODEL.META_ARCHITECTURE", "PanopticFPN"], r"and PanopticFPN trains on masks of all pixels"),
        (["MODEL.META_ARCHITECTURE", "SemanticFPN"], r"and SemanticFPN trains on masks of all pixels"),
        (["MODEL.KEYPOINT_ON", True], r"or keypoints here: set it False"),
        (["MODEL.MASK_ON", True, "INPUT.MASK_FORMAT", "polygon"], r"but INPUT\.MASK_FORMAT is 'polygon'; .*to bitmask"),
        (["INPUT.MOSAIC.ENABLED", True], r"and so is INPUT\.MOSAIC\.ENABLED or INPUT\.MIXUP\.ENABLED; choose one"),
        (["INPUT.MIXUP.ENABLED", True], r"and so is INPUT\.MOSAIC\.ENABLED or"),
    ],
)
def test_what_cannot_be_pasted_into_is_refused(own: Config, keys: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"INPUT\.COPY_PASTE\.ENABLED is True.*{message}"):
        CopyPasteMapper(own(PASTE, True, *keys), is_train=True)


def test_impossible_crops_and_thresholds_are_refused(own: Config) -> None:
    cfg = own(CROP, 0.5)
    with pytest.raises(ConfigError, match=r"CLASS_BALANCED_PROB is 0\.5, but INPUT\.CROP\.ENABLED is False; set it"):
        build_train_loader(cfg, seed=0)
    cfg.INPUT.CROP.ENABLED, cfg.INPUT.CROP.CLASS_BALANCED_PROB = True, 1.5
    with pytest.raises(ConfigError, match=r"CLASS_BALANCED_PROB is 1\.5; give the share of the crops"):
        crops_by_class(cfg)
    cfg.INPUT.CROP.CLASS_BALANCED_PROB, cfg.DATALOADER.REPEAT_THRESHOLD = 0.0, -0.5
    cfg.DATALOADER.SAMPLER_TRAIN = "RepeatFactorTrainingSampler"
    with pytest.raises(ConfigError, match=r"DATALOADER\.REPEAT_THRESHOLD is -0\.5; give a share"):
        build_train_loader(cfg, seed=0)
    cfg.DATALOADER.SAMPLER_TRAIN, cfg.INPUT.COPY_PASTE.ENABLED = "TrainingSampler", True
    with pytest.raises(ConfigError, match=r"DATALOADER\.REPEAT_THRESHOLD is -0\.5; give a share"):
        next(iter(build_train_loader(cfg, seed=0)))


def test_a_mosaic_is_cropped_around_its_own_objects(own: Config) -> None:
    mosaic = ("INPUT.MOSAIC.ENABLED", True, "INPUT.MOSAIC.SIZE", (60, 90), "DATALOADER.REPEAT_THRESHOLD", 1.0)
    cfg = own(*mosaic, *CROPS, CROP, 1.0)
    whole = take(build_train_loader(cfg, seed=2), 8)
    assert all(len(one["instances"]) and one["image"].shape == (3, 40, 60) for one in whole)
    assert same(whole[8:], take(build_train_loader(cfg, seed=2, start_iter=4), 4))
