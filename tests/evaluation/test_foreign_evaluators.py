"""Data sets of other tasks than BDD100K's get Detectron2's evaluators, or are refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import COCOEvaluator, COCOPanopticEvaluator, SemSegEvaluator
from detectron2.structures import Boxes, BoxMode, Instances
from PIL import Image

import bdd100k_d2
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.evaluation.evaluators import build_evaluator, evaluator_classes

NAME = "foreign"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for catalog in (DatasetCatalog, MetadataCatalog):
        if NAME in catalog.list():
            catalog.remove(NAME)


def register(records: list[dict[str, Any]], **fields: object) -> None:
    DatasetCatalog.register(NAME, lambda: records)
    MetadataCatalog.get(NAME).set(**fields)


def config(folder: Path) -> CfgNode:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.OUTPUT_DIR, cfg.DATASETS.TEST = str(folder), (NAME,)
    return cfg


def test_boxes_are_scored_by_coco(tmp_path: Path) -> None:
    """Without an evaluator_type, as Detectron2's tutorial registers; an earlier run's file of other records is none."""
    one = {"bbox": [10, 20, 31, 41], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0}
    records = [{"file_name": "a.jpg", "image_id": 7, "height": 50, "width": 60, "annotations": [one]}]
    register(records, thing_classes=["balloon"])
    stale = tmp_path / "inference" / f"{NAME}_coco_format.json"
    stale.parent.mkdir()
    stale.write_text(json.dumps({"images": [{"id": 9}], "annotations": [], "categories": []}))
    evaluator = build_evaluator(config(tmp_path), NAME)
    assert type(evaluator) is COCOEvaluator
    found = Instances((50, 60))
    found.pred_boxes, found.scores = Boxes(torch.tensor([[10.0, 20, 31, 41]])), torch.tensor([0.5])
    found.pred_classes = torch.tensor([0])
    evaluator.reset()
    evaluator.process(records, [{"instances": found}])
    assert evaluator.evaluate()["bbox"]["AP"] == pytest.approx(100)
    assert json.loads(stale.read_text())["images"][0]["id"] == 7


def test_masks_are_scored_by_detectron2(tmp_path: Path) -> None:
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "a.png")
    records = [{"file_name": "a.jpg", "sem_seg_file_name": str(tmp_path / "a.png")}]
    register(records, stuff_classes=["x", "y"], ignore_label=255)
    evaluator = build_evaluator(config(tmp_path), NAME)
    assert type(evaluator) is SemSegEvaluator
    evaluator.reset()
    evaluator.process(records, [{"sem_seg": torch.stack([1 - torch.eye(4), torch.eye(4)])}])
    assert evaluator.evaluate()["sem_seg"]["mIoU"] == pytest.approx(100)


def test_evaluators_are_chosen_as_by_detectron2() -> None:
    assert evaluator_classes("coco_2017_val") == (COCOEvaluator,)
    panoptic = (SemSegEvaluator, COCOEvaluator, COCOPanopticEvaluator)
    assert evaluator_classes("coco_2017_val_panoptic_separated") == panoptic


@pytest.mark.parametrize(
    ("records", "fields", "message"),
    [
        (
            [{"file_name": "a.jpg"}],
            {},
            "no evaluator for foreign: its records have neither annotations nor sem_seg_file_name; take it out of "
            "DATASETS.TEST, or set the evaluator_type of its metadata to bdd100k_det .* or to coco or sem_seg or",
        ),
        ([], {"evaluator_type": "mine"}, "no evaluator for foreign: of type 'mine'; take it out"),
        ([], {"evaluator_type": "bdd100k_dett"}, "no evaluator for foreign: of type 'bdd100k_dett'"),
        ([], {"evaluator_type": "coco"}, "foreign: COCOEvaluator needs thing_classes in its metadata"),
        ([], {"evaluator_type": "sem_seg"}, "foreign: SemSegEvaluator needs stuff_classes and ignore_label in its"),
    ],
)
def test_data_sets_that_none_can_score(records: list[dict[str, Any]], fields: dict[str, object], message: str) -> None:
    register(records, **fields)
    with pytest.raises(ConfigError, match=message):
        evaluator_classes(NAME)
