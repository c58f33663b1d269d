"""Samples made of several records: the same for any number of workers and any start, and what cannot be combined."""

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
from detectron2.data import DatasetCatalog
from detectron2.structures import BoxMode

import bdd100k_d2
from bdd100k_d2.data.combining_mapper import CombiningMapper
from bdd100k_d2.data.loader import TrainLoader, build_train_loader
from bdd100k_d2.data.mapper import BDD100KDatasetMapper
from bdd100k_d2.data.register import register_all
from bdd100k_d2.errors import ConfigError, UnreadableError

Config = Callable[..., CfgNode]


@pytest.fixture
def strong(tiny_root: Path) -> Config:
    """Makes the config of a detector that trains on combined images of some 96x160."""
    register_all(tiny_root)

    def make(*keys: object) -> CfgNode:
        cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
        cfg.DATASETS.TRAIN, cfg.DATALOADER.SAMPLER_TRAIN = ("bdd100k_det_train",), "TrainingSampler"
        cfg.DATALOADER.NUM_WORKERS, cfg.SOLVER.IMS_PER_BATCH = 0, 2
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN = (48, 144), 240
        cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = "range", 96, 160
        cfg.INPUT.CROP.ENABLED, cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE = True, "absolute", [96, 160]
        for key in (cfg.INPUT.MOSAIC, cfg.INPUT.MIXUP):
            key.ENABLED, key.SIZE = True, (96, 160)
        cfg.INPUT.FLOAT_PHOTOMETRIC_DISTORTION = True
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


def test_samples_are_the_same_for_any_number_of_workers_and_any_start(strong: Config) -> None:
    cfg = strong()
    whole = take(build_train_loader(cfg, seed=4), 6)
    assert not same(whole, take(build_train_loader(cfg, seed=5), 6))
    for workers in (1, 2):
        cfg.DATALOADER.NUM_WORKERS = workers
        assert same(whole, take(build_train_loader(cfg, seed=4), 6))
    assert same(whole[2 * 4 :], take(build_train_loader(cfg, seed=4, start_iter=4), 2))
    # Each epoch combines an image in its own way.
    assert len({tuple(one["image"].flatten().tolist()) for one in whole}) == 12
    for one in whole:
        assert one["image"].dtype == torch.float32 and one["image"].shape[1] <= 96 and one["image"].shape[2] <= 160
        boxes = one["instances"].gt_boxes.tensor
        height, width = one["image"].shape[1:]
        assert (boxes >= 0).all() and (boxes <= torch.tensor([width, height, width, height])).all()


def test_a_sample_is_made_of_those_that_are_drawn(strong: Config, tmp_path: Path) -> None:
    """With boxes that show the colour of their image: wherever one ends up, its colour is there."""
    records = []
    for i in range(5):
        image = np.full((96, 160, 3), 40 * (i + 1), np.uint8)
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), image)
        box = {"bbox": [32, 24, 64, 48], "bbox_mode": BoxMode.XYWH_ABS, "category_id": i, "iscrowd": 0}
        crowd = {"bbox": [0, 0, 9, 9], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 9, "iscrowd": 1}
        records.append(
            {"file_name": str(path), "image_id": path.name, "height": 96, "width": 160, "annotations": [box, crowd]}
        )
    before = copy.deepcopy(records)
    keys = ["INPUT.FLOAT_PHOTOMETRIC_DISTORTION", False, "INPUT.CROP.ENABLED", False, "INPUT.MIN_SIZE_TRAIN", (192,)]
    cfg = strong(
        *keys, "INPUT.MIN_SIZE_TRAIN_SAMPLING", "choice", "INPUT.MAX_SIZE_TRAIN", 320, "INPUT.MIXUP.ENABLED", False
    )
    others = iter(records[1:4])
    np.random.seed(3)
    # A mask, which a detector does not read.
    records[0]["sem_seg_file_name"] = "none.png"
    before[0]["sem_seg_file_name"] = "none.png"
    made = CombiningMapper(cfg, is_train=True)(records[0], others.__next__)
    assert records == before and made["image"].shape == (3, 192, 320)
    classes = made["instances"].gt_classes.tolist()
    assert set(classes) <= {0, 1, 2, 3} and len(classes) >= 3 and next(others, None) is None
    for box, category in zip(made["instances"].gt_boxes.tensor.int().tolist(), classes, strict=True):
        x1, y1, x2, y2 = box
        assert (made["image"][:, y1:y2, x1:x2] == 40 * (category + 1)).all()
    cfg = strong(
        *keys, "INPUT.MOSAIC.ENABLED", False, "INPUT.MIN_SIZE_TRAIN", (96,), "INPUT.MIN_SIZE_TRAIN_SAMPLING", "choice"
    )
    made = CombiningMapper(cfg, is_train=True)(records[0], lambda: records[4])
    assert made["instances"].gt_classes.tolist() == [0, 4] and made["image"].shape == (3, 96, 160)
    assert made["image"].max() == (40 + 200) // 2


def test_mixup_asks_for_boxes(strong: Config, tiny_root: Path) -> None:
    records = {len(one["annotations"]): one for one in DatasetCatalog.get("bdd100k_det_train")}
    mapper = CombiningMapper(strong("INPUT.MOSAIC.ENABLED", False), is_train=True)
    drawn = []

    def draw(give: list[int]) -> dict[str, Any]:
        drawn.append(give.pop(0))
        return records[drawn[-1]]

    mapper(records[2], lambda numbers=[0] * 14 + [2, 2]: draw(numbers))
    assert drawn == [0] * 14 + [2]
    drawn.clear()
    cfg = strong(
        "INPUT.MOSAIC.ENABLED", False, "INPUT.FLOAT_PHOTOMETRIC_DISTORTION", False, "INPUT.RANDOM_FLIP", "none"
    )
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING = (96,), "choice"
    alone = CombiningMapper(cfg, is_train=True)(records[2], lambda numbers=[0] * 16: draw(numbers))
    assert drawn == [0] * 15
    # Then the image stays as it is.
    assert torch.equal(alone["image"], BDD100KDatasetMapper(cfg, is_train=True)(records[2])["image"])


def test_the_last_epochs_train_on_single_images_at_the_test_size(strong: Config) -> None:
    cfg = strong("INPUT.COMBINED_EPOCHS", 2, "INPUT.FLOAT_PHOTOMETRIC_DISTORTION", False, "INPUT.RANDOM_FLIP", "none")
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS, cfg.SOLVER.IMS_PER_BATCH = False, 3
    # An epoch is a batch here.
    batches = [*islice(build_train_loader(cfg, seed=4), 4)]
    plain = BDD100KDatasetMapper(strong(), is_train=False)
    for epoch, batch in enumerate(batches):
        for one in batch:
            original = plain({"file_name": one["file_name"], "height": 96, "width": 160})["image"]
            is_single = one["image"].shape == original.shape and torch.equal(one["image"], original)
            assert is_single == (epoch >= 2)


def test_an_unreadable_companion_is_named_or_skipped(strong: Config, tiny_root: Path) -> None:
    bad = tiny_root / "bdd100k/images/100k/train/train1.jpg"
    bad.write_bytes(b"\xff\xd8")
    sets = ("bdd100k_det_train", "bdd100k_det_val")
    cfg = strong("DATALOADER.FILTER_EMPTY_ANNOTATIONS", False, "DATASETS.TRAIN", sets)
    with pytest.raises(UnreadableError, match=r"train1\.jpg"):
        take(build_train_loader(cfg, seed=4), 6)
    cfg.INPUT.SKIP_UNREADABLE = True
    loader = build_train_loader(cfg, seed=1)
    assert len(take(loader, 2)) == 4 and loader.skipped.total() > 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["MODEL.MASK_ON", True], r"INPUT\.MOSAIC\.ENABLED is True; images are combined with their boxes alone"),
        (["MODEL.META_ARCHITECTURE", "PanopticFPN"], r"and PanopticFPN trains on masks"),
        (["MODEL.META_ARCHITECTURE", "SemanticFPN"], r"and SemanticFPN trains on masks"),
        (
            ["INPUT.MOSAIC.ENABLED", False, "MODEL.KEYPOINT_ON", True],
            r"INPUT\.MIXUP\.ENABLED is True; .*: set INPUT\.MOSAIC\.ENABLED and INPUT\.MIXUP\.ENABLED False",
        ),
        (["INPUT.MOSAIC.SIZE", (720,)], r"INPUT\.MOSAIC\.SIZE is \(720,\); give height and width"),
        (["INPUT.MIXUP.SIZE", (0, 8)], r"INPUT\.MIXUP\.SIZE is \(0, 8\); give height and width"),
        (["INPUT.MOSAIC.CENTER_RANGE", (0.5, 2.5)], r"CENTER_RANGE is \(0\.5, 2\.5\); give the least and the most"),
        (["INPUT.MIXUP.RATIO_RANGE", (0.0, 1.5)], r"RATIO_RANGE is \(0\.0, 1\.5\); give the least and the most"),
        (["INPUT.COMBINED_EPOCHS", -1], r"INPUT\.COMBINED_EPOCHS is -1; give how many"),
    ],
)
def test_impossible_keys_are_refused(strong: Config, keys: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CombiningMapper(strong(*keys), is_train=True)
