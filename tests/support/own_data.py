"""Sound data of one's own in each form, of 60x100 pixels, in train (a, b) and val (c), and ways to change them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from support.frames import write_image

from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.data.check.registered import check_datasets
from bdd100k_d2.data.check.report import Report
from bdd100k_d2.data.own_dataset import register_dataset

Json = Any

CLASSES = ["car", "tram"]
TRAIN, VAL = ("a.png", "b.png"), ("c.png",)


def write_images(root: Path) -> None:
    for seed, (split, name) in enumerate([*(("train", name) for name in TRAIN), *(("val", name) for name in VAL)]):
        write_image(root / "images" / split / name, 60, 100, seed)


def make_coco(root: Path, polygons: bool = False) -> None:
    write_images(root)
    for split, names in (("train", TRAIN), ("val", VAL)):
        document: dict[str, Any] = {
            "images": [{"id": i, "file_name": name, "width": 100, "height": 60} for i, name in enumerate(names)],
            "annotations": [],
            "categories": [{"id": 7, "name": "car"}, {"id": 3, "name": "tram"}, {"id": 4, "name": "van"}],
        }
        for i in range(len(names)):
            for category, x in ((7, 10), (3, 50)):
                one = {"id": len(document["annotations"]), "image_id": i, "category_id": category}
                one["bbox"] = [x, 10, 20, 30]
                if polygons:
                    one["segmentation"] = [[x, 10, x + 20, 10, x + 20, 40, x, 40]]
                document["annotations"].append(one)
        (root / f"{split}.json").write_text(json.dumps(document))


def make_scalabel(root: Path) -> None:
    write_images(root)
    for split, names in (("train", TRAIN), ("val", VAL)):
        frames = [
            {
                "name": name,
                "attributes": {"weather": "clear", "scene": "highway", "timeofday": "night"},
                "labels": [
                    {"id": str(x), "category": category, "box2d": {"x1": x, "y1": 10, "x2": x + 19, "y2": 39}}
                    for category, x in (("car", 10), ("tram", 50))
                ],
            }
            for name in names
        ]
        (root / f"{split}.json").write_text(json.dumps(frames))


def make_yolo(root: Path) -> None:
    write_images(root)
    for split, names in (("train", TRAIN), ("val", VAL)):
        for name in names:
            path = root / "labels" / split / name.replace(".png", ".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("0 0.2 0.4 0.2 0.5\n1 0.6 0.4 0.2 0.5\n")
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [car, tram]\n")


def make_masks(root: Path) -> None:
    write_images(root)
    for split, names in (("train", TRAIN), ("val", VAL)):
        for name in names:
            mask = np.full((60, 100), 255, np.uint8)
            mask[:10], mask[10:30] = 0, 1
            (root / "masks" / split).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / "masks" / split / name), mask)


def make_bitmasks(root: Path) -> None:
    write_images(root)
    for split, names in (("train", TRAIN), ("val", VAL)):
        for name in names:
            write_bitmask(root / "masks" / split / name, 1, 2)


def write_bitmask(path: Path, *categories: int) -> None:
    instances = np.zeros((60, 100), np.int32)
    instances[:10], instances[10:30] = 1, 2
    pixels = encode_bitmask(Bitmask(instances, np.array([1, 2]), np.array(categories), np.zeros(2, np.uint8)))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[..., [2, 1, 0, 3]])


SPLIT_FILES, SPLIT_MASKS, SPLIT_IMAGES = "{split}.json", "masks/{split}", "images/{split}"
FORMS: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "coco": (make_coco, {"labels": SPLIT_FILES, "classes": CLASSES}),
    "scalabel": (make_scalabel, {"labels": SPLIT_FILES, "classes": CLASSES}),
    "yolo": (make_yolo, {"labels": "data.yaml", "images": None}),
    "sem_seg": (make_masks, {"labels": SPLIT_MASKS, "task": "sem_seg", "classes": CLASSES}),
    "polygons": (
        lambda root: make_coco(root, polygons=True),
        {"labels": SPLIT_FILES, "task": "ins_seg", "classes": CLASSES},
    ),
    "ins_seg": (make_bitmasks, {"labels": SPLIT_MASKS, "task": "ins_seg", "classes": CLASSES}),
    "pan_seg": (make_bitmasks, {"labels": SPLIT_MASKS, "task": "pan_seg", "classes": CLASSES, "things": ["tram"]}),
}


def register(root: Path, form: str, **others: Json) -> tuple[str, ...]:
    options = {"images": SPLIT_IMAGES} | FORMS[form][1] | others
    for key in ("labels", "images"):
        options[key] = None if options[key] is None else root / options[key]
    return register_dataset("own", **options)


def check(root: Path, form: str, fast: bool = True, **options: Json) -> Report:
    names = register(root, form)
    return check_datasets(*([name] for name in names), fast=fast, workers=1, **options)


def change(root: Path, change_it: Callable[[Json], None], split: str = "train") -> None:
    path = root / f"{split}.json"
    document = json.loads(path.read_text())
    change_it(document)
    path.write_text(json.dumps(document))


def add(root: Path, *bbox: float, image: int = 0, category: int = 7, **fields: Json) -> None:
    """Adds an annotation to the COCO file of train."""
    one = {"id": 90, "image_id": image, "category_id": category, "bbox": [*bbox]} | fields
    change(root, lambda document: document["annotations"].append(one))


def image(root: Path, name: str = "b.png", split: str = "train") -> Path:
    return root / "images" / split / name


def mask(root: Path, name: str = "b.png") -> Path:
    return root / "masks/train" / name


def write_ids(root: Path, *ids: int) -> None:
    pixels = np.zeros((60, 100), np.uint8)
    pixels[: len(ids)] = np.array(ids, np.uint8)[:, None]
    cv2.imwrite(str(mask(root)), pixels)
