"""A training on own classes, evaluated on own frames and on a data set of another kind."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from support.small_models import SMALL_MODELS

import bdd100k_d2

CLASSES = ["car", "my bike"]


@pytest.fixture
def own(tiny_root: Path) -> Iterator[None]:
    bdd100k_d2.register_all(tiny_root)

    def records(split: str) -> list[dict]:
        number = {2: 0, 6: 1}
        found = []
        for record in DatasetCatalog.get(f"bdd100k_det_{split}"):
            kept = [one for one in record["annotations"] if one["category_id"] in number]
            found.append(record | {"annotations": [one | {"category_id": number[one["category_id"]]} for one in kept]})
        return found

    names = {"own_train": "bdd100k_det", "own_val": "bdd100k_det", "their_val": "coco"}
    for name, kind in names.items():
        DatasetCatalog.register(name, partial(records, name.split("_")[1]))
        MetadataCatalog.get(name).set(evaluator_type=kind, thing_classes=CLASSES)
    yield
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_a_training_on_own_classes(own: None, tmp_path: Path) -> None:
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    cfg.merge_from_list(SMALL_MODELS["det"])
    cfg.MODEL.DEVICE, cfg.SOLVER.AMP.ENABLED, cfg.MODEL.WEIGHTS = "cpu", False, ""
    cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 2, 0.0
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST, cfg.TEST.NUM_PICTURES = (64,), 64, 0
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS, cfg.DATALOADER.NUM_WORKERS = 2, 1, 0, 0
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("own_train",), ("own_val", "their_val")
    cfg.OUTPUT_DIR = str(tmp_path)
    trainer = bdd100k_d2.Trainer(cfg)
    trainer.train()
    last = json.loads((tmp_path / "metrics.json").read_text().splitlines()[-1])
    scores = {key for key in last if "/AP-" in key}
    assert scores == {f"{name}/bbox/AP-{one}" for name in ("own_val", "their_val") for one in CLASSES}
    frames = json.loads((tmp_path / "inference/own_val/det.json").read_text())
    assert {label["category"] for frame in frames for label in frame["labels"]} <= {*CLASSES}
    assert (tmp_path / "inference/their_val/coco_instances_results.json").is_file()
