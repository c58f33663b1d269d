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
from detectron2.data.datasets import register_coco_instances
from detectron2.evaluation import COCOEvaluator, COCOPanopticEvaluator, SemSegEvaluator
from detectron2.structures import Boxes, BoxMode, Instances
from PIL import Image

import bdd100k_d2
from bdd100k_d2.data.slices import register_slice
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.evaluation.evaluators import build_evaluator, evaluator_classes

NAME, SLICE = "foreign", "foreign_first"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for catalog in (DatasetCatalog, MetadataCatalog):
        for name in {NAME, SLICE} & set(catalog.list()):
            catalog.remove(name)


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


def write_coco(folder: Path) -> Path:
    """Four images of one box each; ids neither sorted nor from 1."""
    images = [{"id": 9 - 2 * i, "file_name": f"{i}.jpg", "height": 50, "width": 60} for i in range(4)]
    boxes = [
        {"id": i + 1, "image_id": 9 - 2 * i, "category_id": 7, "bbox": [10, 20, 30, 20], "area": 600, "iscrowd": 0}
        for i in range(4)
    ]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 7, "name": "balloon"}]}
    (folder / "labels.json").write_text(json.dumps(document))
    return folder / "labels.json"


def perfect_ap(cfg: CfgNode, name: str) -> float:
    """The score of predictions of the very boxes, as Detectron2's evaluator has it."""
    evaluator = build_evaluator(cfg, name)
    evaluator.reset()
    for record in DatasetCatalog.get(name):
        found = Instances((50, 60))
        found.pred_boxes, found.scores = Boxes(torch.tensor([[10.0, 20, 40, 40]])), torch.tensor([0.5])
        found.pred_classes = torch.tensor([0])
        evaluator.process([record], [{"instances": found}])
    return float(evaluator.evaluate()["bbox"]["AP"])


@pytest.mark.parametrize("kind", ["coco", None])
def test_a_slice_is_scored_on_its_own_frames(tmp_path: Path, kind: str | None) -> None:
    """The base, whose classes Detectron2 learns when it reads the file, has not been read yet."""
    register_coco_instances(NAME, {}, str(write_coco(tmp_path)), str(tmp_path))
    if kind is None:
        del MetadataCatalog.get(NAME).evaluator_type
    register_slice(SLICE, NAME, first=2)
    assert "json_file" not in MetadataCatalog.get(SLICE).as_dict()
    assert evaluator_classes(SLICE) == (COCOEvaluator,)
    assert perfect_ap(config(tmp_path), SLICE) == pytest.approx(100)
    # The whole set has its own file still.
    assert perfect_ap(config(tmp_path), NAME) == pytest.approx(100)
    assert MetadataCatalog.get(NAME).json_file == str(tmp_path / "labels.json")


@pytest.mark.parametrize("kind", ["lvis", "coco_panoptic_seg", "pascal_voc"])
def test_slices_that_detectron2_scores_as_a_whole_are_refused(kind: str) -> None:
    register([{"file_name": "a.jpg"}] * 2, evaluator_type=kind, thing_classes=["x"], stuff_classes=["y"])
    register_slice(SLICE, NAME, first=1)
    message = f"^no evaluator for {SLICE}: Detectron2 scores data sets of type {kind} as a whole, .*; evaluate {NAME},"
    with pytest.raises(ConfigError, match=message):
        evaluator_classes(SLICE)


def test_records_that_are_registered_anew_are_converted_anew(tmp_path: Path) -> None:
    """Metadata outlives a data set that is taken out of the catalog, and another run has another folder."""
    one = {"bbox": [10, 20, 40, 40], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0}
    records = [
        {"file_name": f"{i}.jpg", "image_id": i, "height": 50, "width": 60, "annotations": [one]} for i in range(4)
    ]
    register(records, thing_classes=["balloon"])
    assert perfect_ap(config(tmp_path / "a"), NAME) == pytest.approx(100)
    DatasetCatalog.remove(NAME)
    register(records[:2])
    for folder in ("a", "b"):
        assert perfect_ap(config(tmp_path / folder), NAME) == pytest.approx(100)


@pytest.mark.parametrize(
    ("classes", "wrong"),
    [
        (["cat", "dog", "bird"], None),
        (["Katze", "Hund", "Vogel"], None),
        (["dog", "cat", "bird"], "category 3 is cat"),
        (["bird", "cat"], "category 3 is cat"),
        (["cat", "dog"], "category 77 is bird"),
        (["Katze", "bird", "Hund"], "category 77 is bird"),
    ],
)
def test_a_coco_file_of_other_classes_is_not_scored_by(tmp_path: Path, classes: list[str], wrong: str | None) -> None:
    """Records with some classes of a file, or in another order, and a copy of the metadata of all."""
    categories = [{"id": 3, "name": "cat"}, {"id": 10, "name": "dog"}, {"id": 77, "name": "bird"}]
    path = tmp_path / "pets.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
    ids = {3: 0, 10: 1, 77: 2}
    register([], evaluator_type="coco", thing_classes=classes, thing_dataset_id_to_contiguous_id=ids)
    MetadataCatalog.get(NAME).json_file = str(path)
    if wrong is None:
        assert evaluator_classes(NAME) == (COCOEvaluator,)
        return
    with pytest.raises(ConfigError, match=f"^{NAME}: its thing_classes .* are not those of {path}, of which {wrong}: "):
        evaluator_classes(NAME)


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
