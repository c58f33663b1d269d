"""Results in COCO's forms, on request: pycocotools takes them with the COCO file that a conversion makes."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.bitmask_sets import write_bitmasks

import bdd100k_d2
from bdd100k_d2.data.convert.convert import convert
from bdd100k_d2.data.convert.source_options import SourceOptions
from bdd100k_d2.data.labels import write_frames
from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.evaluation.evaluators import build_evaluator


@pytest.fixture(autouse=True)
def registered(tiny_root: Path) -> Iterator[None]:
    register_all(tiny_root)
    yield
    for catalog in (DatasetCatalog, MetadataCatalog):
        if "mine" in catalog.list():
            catalog.remove("mine")


def config(folder: Path, wanted: bool = True) -> CfgNode:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.OUTPUT_DIR, cfg.TEST.COCO_RESULTS = str(folder), wanted
    return cfg


def boxes_found(record: dict) -> dict[str, Instances]:
    found = Instances((96, 160))
    corners = [[x + 1, y, x + w + 1, y + h] for x, y, w, h in (one["bbox"] for one in record["annotations"])]
    found.pred_boxes = Boxes(torch.tensor(corners, dtype=torch.float32).reshape(-1, 4))
    found.pred_classes = torch.tensor([one["category_id"] for one in record["annotations"]], dtype=torch.int64)
    found.scores = torch.linspace(0.9, 0.5, len(corners))
    return {"instances": found}


def coco_ap(truth: Path, results: Path, kind: str) -> float:
    coco = COCO(str(truth))
    evaluation = COCOeval(coco, coco.loadRes(str(results)), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return 100 * float(evaluation.stats[0])


def test_boxes_score_in_coco_what_they_score_here(tiny_root: Path, tmp_path: Path) -> None:
    labels = tiny_root / "bdd100k/labels/det_20/det_val.json"
    # The order of the file, not of the names, numbers the images.
    write_frames(read_labels(labels).frames[::-1], labels)
    evaluator = build_evaluator(config(tmp_path), "bdd100k_det_val")
    evaluator.reset()
    for record in DatasetCatalog.get("bdd100k_det_val"):
        evaluator.process([record], [boxes_found(record)])
    scores = evaluator.evaluate()["bbox"]
    results = tmp_path / "inference/coco_instances_results.json"
    rows = json.loads(results.read_text())
    assert {row["image_id"] for row in rows} == {2, 3}
    assert rows[0] == {"image_id": 3, "category_id": 3, "bbox": [11, 20, 51, 51], "score": pytest.approx(0.9)}
    # The same, by the records' own ids.
    by_record = results.with_name("record_instances_results.json")
    names = {3: "val0.jpg", 2: "val1.jpg"}
    assert json.loads(by_record.read_text()) == [row | {"image_id": names[row["image_id"]]} for row in rows]
    convert(labels, tmp_path / "coco.json", "coco", options=SourceOptions(task="det"))
    assert 0 < scores["AP"] < 100
    assert coco_ap(tmp_path / "coco.json", results, "bbox") == pytest.approx(scores["AP"], abs=1e-9)
    evaluator.reset()
    assert not results.exists() and not by_record.exists()
    # Nothing of it without the key.
    evaluator = build_evaluator(config(tmp_path, wanted=False), "bdd100k_det_val")
    evaluator.process([record], [boxes_found(record)])
    evaluator.evaluate()
    assert not results.exists()


def test_a_data_set_that_was_coco_keeps_its_ids(tmp_path: Path) -> None:
    record = DatasetCatalog.get("bdd100k_det_val")[0] | {"image_id": 77}
    record["annotations"] = [one | {"category_id": 1} for one in record["annotations"]]
    DatasetCatalog.register("mine", lambda: [record])
    ids = {5: 0, 90: 1}
    MetadataCatalog.get("mine").set(
        evaluator_type="bdd100k_det", thing_classes=["a", "b"], thing_dataset_id_to_contiguous_id=ids
    )
    evaluator = build_evaluator(config(tmp_path), "mine")
    evaluator.process([record], [boxes_found(record)])
    evaluator.evaluate()
    rows = json.loads((tmp_path / "inference/coco_instances_results.json").read_text())
    assert {(row["image_id"], row["category_id"]) for row in rows} == {(77, 90)}
    assert rows == json.loads((tmp_path / "inference/record_instances_results.json").read_text())


@pytest.mark.parametrize("names", [["car", "bus"], ["pedestrian", "my car"]])
@pytest.mark.parametrize("classes", [None, "given"])
def test_a_registered_coco_file_keeps_its_ids(tmp_path: Path, names: list[str], classes: str | None) -> None:
    """Ids neither sorted nor from 1, and gaps; what is perfect is so by the user's own file."""
    images = [{"id": 40 - 9 * i, "file_name": f"{i}.jpg", "height": 96, "width": 160} for i in range(4)]
    boxes = [
        {"id": i + 1, "image_id": 40 - 9 * i, "category_id": (7, 3)[i % 2], "bbox": [10, 20, 30 + i, 40], "iscrowd": 0}
        for i in range(4)
    ]
    for one in boxes:
        one["area"] = one["bbox"][2] * one["bbox"][3]
        Image.new("RGB", (160, 96)).save(tmp_path / f"{one['id'] - 1}.jpg")
    categories = [{"id": 7, "name": names[0]}, {"id": 3, "name": names[1]}]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    register_dataset("mine", path, tmp_path, classes=None if classes is None else names)
    evaluator = build_evaluator(config(tmp_path), "mine")
    evaluator.reset()
    for record in DatasetCatalog.get("mine"):
        found = boxes_found(record)
        found["instances"].pred_boxes.tensor[:, 0] -= 1
        found["instances"].pred_boxes.tensor[:, 2] -= 1
        evaluator.process([record], [found])
    assert evaluator.evaluate()["bbox"]["AP"] == pytest.approx(100)
    results = tmp_path / "inference/coco_instances_results.json"
    assert {(row["image_id"], row["category_id"]) for row in json.loads(results.read_text())} == {
        *((40, 7), (31, 3), (22, 7), (13, 3))
    }
    assert coco_ap(path, results, "bbox") == pytest.approx(100)
    # Other labels of the same metadata have the numbers of a conversion, of images and classes alike.
    records = [record | {"image_id": f"other{i}"} for i, record in enumerate(DatasetCatalog.get("mine"))]
    DatasetCatalog.remove("mine")
    DatasetCatalog.register("mine", lambda: records)
    evaluator = build_evaluator(config(tmp_path), "mine")
    for record in records:
        evaluator.process([record], [boxes_found(record)])
    evaluator.evaluate()
    rows = json.loads(results.read_text())
    assert ({row["image_id"] for row in rows}, {row["category_id"] for row in rows}) == ({1, 2, 3, 4}, {1, 2})


def test_instances_score_in_coco(tiny_root: Path, tmp_path: Path) -> None:
    truth = write_bitmasks(tiny_root, "ins_seg", [3, 1, 3])
    evaluator = build_evaluator(config(tmp_path), "bdd100k_ins_seg_val")
    for record in DatasetCatalog.get("bdd100k_ins_seg_val"):
        found = Instances((720, 1280))
        masks = np.stack([np.roll(truth.instances == i + 1, 70, 1) for i in range(3)])
        found.pred_masks = torch.from_numpy(masks)
        found.pred_classes, found.scores = torch.tensor([2, 0, 2]), torch.tensor([0.9, 0.8, 0.7])
        evaluator.process([record], [{"instances": found}])
    scores = evaluator.evaluate()["segm"]
    results = tmp_path / "inference/coco_instances_results.json"
    rows = json.loads(results.read_text())
    assert [(row["image_id"], row["category_id"], row["bbox"]) for row in rows[:2]] == [
        (1, 3, [80, 5, 390, 150]),
        (1, 1, [80, 205, 490, 150]),
    ]
    labels = tiny_root / "bdd100k/labels/ins_seg/bitmasks/val"
    convert(labels, tmp_path / "coco.json", "coco", options=SourceOptions(task="ins_seg"))
    assert 0 < scores["AP"] < 100
    assert coco_ap(tmp_path / "coco.json", results, "segm") == pytest.approx(scores["AP"], abs=1e-9)


def test_panoptic_segments(tiny_root: Path, tmp_path: Path) -> None:
    truth = write_bitmasks(tiny_root, "pan_seg", [7, 35])
    evaluator = build_evaluator(config(tmp_path), "bdd100k_pan_seg_val")
    evaluator.reset()
    infos = [{"id": 1, "isthing": False, "category_id": 7}, {"id": 2, "isthing": True, "category_id": 4}]
    for record in DatasetCatalog.get("bdd100k_pan_seg_val"):
        evaluator.process([record], [{"panoptic_seg": (torch.from_numpy(truth.instances), infos)}])
    assert evaluator.evaluate()["panoptic_seg"]["PQ"] == 100
    folder = tmp_path / "inference"
    document = json.loads((folder / "coco_panoptic_results.json").read_text())
    segments = [{"id": 7, "category_id": 7}, {"id": 31, "category_id": 35}]
    assert document["annotations"] == [
        {"image_id": i + 1, "file_name": f"val{i}.png", "segments_info": segments} for i in range(3)
    ]
    assert document["categories"][34] == {"id": 35, "name": "car", "isthing": 1, "color": [0, 0, 142]}
    assert (len(document["categories"]), len(document["images"])) == (40, 3)
    pixels = np.asarray(Image.open(folder / "panoptic/val2.png")).astype(int)
    np.testing.assert_array_equal(pixels @ [1, 256, 65536], np.array([0, 7, 31])[truth.instances])
    evaluator.reset()
    assert [path.name for path in folder.rglob("*") if path.is_file()] == []
