"""Polygons of a COCO file that does not state the sizes of its images."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from pycocotools import mask as coco_mask
from support.conversion_cases import run as convert
from support.frames import write_image

from bdd100k_d2.data.check.dataset import check_dataset
from bdd100k_d2.data.datasets import load_det
from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files

SIZES = {"a.png": (60, 100), "b.png": (30, 200)}
OUTLINE, BOX = [[10, 5, 40, 5, 40, 25, 10, 25]], [10, 5, 30, 20]


pytestmark = pytest.mark.usefixtures("catalogs_as_they_were")


def coco(folder: Path, sized: bool = False, **changes: object) -> Path:
    """Two images of two sizes with a square each, in polygons."""
    images, annotations = [], []
    for number, (name, (height, width)) in enumerate(SIZES.items(), 1):
        write_image(folder / "images" / name, height, width)
        images.append({"id": number, "file_name": name} | ({"height": height, "width": width} if sized else {}))
        one = {"id": number, "image_id": number, "category_id": 1, "bbox": BOX, "segmentation": OUTLINE, "iscrowd": 0}
        annotations.append(one | changes)
    path = folder / f"{'sized' if sized else 'plain'}.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]})
    )
    return path


@pytest.mark.parametrize("task", ["ins_seg", "det"])
def test_own_polygons_take_the_sizes_of_their_images(tmp_path: Path, task: str) -> None:
    found = {}
    for sized in (True, False):
        register_dataset("own", coco(tmp_path, sized), tmp_path / "images", task=task)
        found[sized] = DatasetCatalog.get("own")
    assert found[True] == found[False]
    assert [(one["height"], one["width"]) for one in found[False]] == [*SIZES.values()]
    if task == "ins_seg":
        (mask,) = (one["segmentation"] for one in found[False][1]["annotations"])
        assert mask["size"] == [30, 200] and np.flatnonzero(coco_mask.decode(mask).any(axis=0)).tolist() == [
            *range(10, 40)
        ]


def test_own_polygons_that_are_damaged_are_named_once_the_size_is_known(tmp_path: Path) -> None:
    labels = coco(tmp_path, segmentation=[[1, 2, 3, 4]])
    register_dataset("own", labels, tmp_path / "images", task="ins_seg")
    message = f"{labels}: frame a.png, annotation 1: a polygon has an x and a y for each of three corners or more"
    with pytest.raises(DataError, match=re.escape(message)):
        DatasetCatalog.get("own")


def test_boxes_are_scored_without_the_polygons_beside_them(tmp_path: Path) -> None:
    results = [{"image_id": i, "category_id": 1, "bbox": BOX, "score": 0.5} for i in (1, 2)]
    (tmp_path / "results.json").write_text(json.dumps(results))
    scores = evaluate_files("det", coco(tmp_path), tmp_path / "results.json", workers=1).official
    assert scores["AP"][0]["car"] == pytest.approx(100)


def test_boxes_of_a_split_are_checked_and_loaded_without_the_polygons_beside_them(tmp_path: Path) -> None:
    base = tmp_path / "root/bdd100k"
    for name in SIZES:
        write_image(base / "images/100k/val" / name, 720, 1280)
    labels = base / "labels/det_20/det_val.json"
    labels.parent.mkdir(parents=True)
    labels.write_bytes(coco(tmp_path).read_bytes())
    report = check_dataset(tmp_path / "root", ["det"], fast=True)
    (facts,) = (one for one in report.datasets if one.name == "bdd100k_det_val")
    assert (facts.frames, facts.objects) == (2, 2)
    assert [record["annotations"][0]["bbox"] for record in load_det(labels, base / "images/100k/val")] == [BOX, BOX]


def test_masks_of_files_are_not_scored_in_a_size_that_is_guessed(tmp_path: Path) -> None:
    labels = coco(tmp_path)
    message = f"{labels}: frame a.png, annotation 1: the image has no width and height, without which polygons have no"
    with pytest.raises(DataError, match=re.escape(message)):
        evaluate_files("ins_seg", labels, labels, workers=1)
    with pytest.raises(DataError, match=re.escape(message)):
        _ = read_labels(labels).frames[0].height_width


def test_conversion_fills_them_in_the_sizes_of_the_images(tmp_path: Path) -> None:
    plain, sized = coco(tmp_path), coco(tmp_path, sized=True)
    for to in ("coco", "yolo"):
        files = []
        for source in (plain, sized):
            out = tmp_path / f"{source.stem}_{to}"
            out = out.with_suffix(".json") if to == "coco" else out
            options = {"task": "ins_seg"} if to == "coco" else {}
            convert(source, out, to, images=tmp_path / "images", **options)
            files.append(out.read_bytes() if to == "coco" else [p.read_bytes() for p in sorted(out.rglob("*.txt"))])
        assert files[0] == files[1] and files[0]
    with pytest.raises(DataError, match="frame a.png does not state its size; give --images"):
        convert(plain, tmp_path / "out.json", "coco", task="ins_seg")
    with pytest.raises(DataError, match="frame a.png, annotation 1: the image has no width and height"):
        convert(plain, tmp_path / "out.json", "scalabel")
    assert not (tmp_path / "out.json").exists()
