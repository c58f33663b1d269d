"""Detectron2's ``tools/visualize_json_results.py`` on what an evaluation with ``TEST.COCO_RESULTS`` leaves."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils.visualizer import Visualizer

import bdd100k_d2
from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.evaluation.evaluators import build_evaluator

MINE = "json_results"
OWN = (f"{MINE}_train", f"{MINE}_val")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for catalog in (DatasetCatalog, MetadataCatalog):
        for name in {*OWN} & {*catalog.list()}:
            catalog.remove(name)


def drawn(dataset: str, results: Path) -> list[np.ndarray]:
    """Predictions beside ground truth, of each record, as the program draws them: by ``image_id``."""
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in json.loads(results.read_text()):
        by_image[row["image_id"]].append(row)
    metadata, pictures = MetadataCatalog.get(dataset), []
    for record in DatasetCatalog.get(dataset):
        image = cv2.imread(record["file_name"])[:, :, ::-1]
        rows = [row for row in by_image[record["image_id"]] if row["score"] > 0.5]
        found = Instances(image.shape[:2], scores=np.array([row["score"] for row in rows]))
        boxes = np.array([row["bbox"] for row in rows], float).reshape(-1, 4)
        found.pred_boxes = Boxes(BoxMode.convert(boxes, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS))
        classes = [metadata.thing_dataset_id_to_contiguous_id[row["category_id"]] for row in rows]
        found.pred_classes = np.array(classes, int)
        if rows and "segmentation" in rows[0]:
            found.pred_masks = [row["segmentation"] for row in rows]
        predicted = Visualizer(image, metadata).draw_instance_predictions(found).get_image()
        truth = Visualizer(image, metadata).draw_dataset_dict(record).get_image()
        pictures.append(np.concatenate((predicted, truth), axis=1) - np.concatenate((image, image), axis=1))
    return pictures


def evaluated(dataset: str, folder: Path, size: tuple[int, int]) -> Path:
    """The list of an evaluation of one object, the last class, in each image."""
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.OUTPUT_DIR, cfg.TEST.COCO_RESULTS = str(folder), True
    evaluator = build_evaluator(cfg, dataset)
    evaluator.reset()
    last = len(MetadataCatalog.get(dataset).thing_classes) - 1
    for record in DatasetCatalog.get(dataset):
        found = Instances(size, scores=torch.tensor([0.9, 0.2]), pred_classes=torch.tensor([last, 0]))
        found.pred_boxes = Boxes(torch.tensor([[10.0, 20, 70, 60]] * 2))
        found.pred_masks = torch.zeros(2, *size, dtype=torch.bool)
        found.pred_masks[0, 20:60, 10:70] = found.pred_masks[1, 61:70, 10:70] = True
        evaluator.process([record], [{"instances": found}])
    evaluator.evaluate()
    return folder / "inference/record_instances_results.json"


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("task", "size"), [("det", (96, 160)), ("ins_seg", (720, 1280))])
def test_a_data_set_of_bdd100k(task: str, size: tuple[int, int], tmp_path: Path) -> None:
    pictures = drawn(f"bdd100k_{task}_val", evaluated(f"bdd100k_{task}_val", tmp_path, size))
    width = size[1]
    assert len(pictures) == 3
    for picture in pictures:
        # Something is drawn where the object is, in the half of the predictions, and nothing at the other side.
        assert picture[18:62, 8:72].any() and not picture[:, width // 2 + 60 : width].any()
    assert pictures[0][:, width:].any()


@pytest.mark.parametrize("known", [2, 1])
def test_a_coco_file_of_ones_own(known: int, root: Path, tmp_path: Path) -> None:
    """Also of a class that another split alone has."""
    images = [{"id": 40 - 9 * i, "file_name": f"val{i}.jpg", "height": 96, "width": 160} for i in range(3)]
    box = {"id": 1, "image_id": 40, "category_id": 3, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0}
    categories = [{"id": 3, "name": "cow"}, {"id": 7, "name": "tram"}]
    for split, count in (("train", 2), ("val", known)):
        document = {"images": images, "annotations": [box], "categories": categories[:count]}
        (tmp_path / f"{split}.json").write_text(json.dumps(document))
    names = register_dataset(MINE, tmp_path / "{split}.json", root / "bdd100k/images/100k/val", classes=["cow", "tram"])
    assert names == OWN
    pictures = drawn(OWN[1], evaluated(OWN[1], tmp_path, (96, 160)))
    assert all(picture[18:62, 8:72].any() for picture in pictures) and len(pictures) == 3
