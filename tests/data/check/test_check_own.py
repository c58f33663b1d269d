"""Data of one's own: every kind of finding is made by a damage, counted and named; sound data have none."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import cv2
import numpy as np
import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image
from support import check_roots as roots
from support.commands import run_tool
from support.frames import write_image

from bdd100k_d2.config import load_config
from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.data.check import registered
from bdd100k_d2.data.check.images import catch_messages
from bdd100k_d2.data.check.own_kinds import OWN_FINDING_KINDS
from bdd100k_d2.data.check.plots import write_statistics
from bdd100k_d2.data.check.registered import check_datasets, config_datasets
from bdd100k_d2.data.check.report import Report, Severity
from bdd100k_d2.data.check.statistics import Statistics
from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.slices import register_slice
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.parallel import readers

Json = Any

CLASSES = ["car", "tram"]
TRAIN, VAL = ("a.png", "b.png"), ("c.png",)


@pytest.fixture(autouse=True)
def catalogs_as_they_were() -> Iterator[None]:
    known = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - known:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with readers(1, catch_messages) as pool:
        yield pool


@pytest.fixture(autouse=True)
def one_pool(processes: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    """To start processes for each test would take most of the time."""
    monkeypatch.setattr(registered, "readers", lambda workers, prepare: nullcontext(processes))


# Sound data of each form, of 60x100 pixels, in train (a, b) and val (c)


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


@pytest.mark.parametrize("form", FORMS)
def test_sound_data_have_no_finding(tmp_path: Path, form: str) -> None:
    FORMS[form][0](tmp_path)
    statistics = Statistics()
    report = check(tmp_path, form, fast=False, statistics=statistics)
    assert report.findings == [] and not report.breaks_training, report.text()
    rows = [(one.name, one.pictures, one.frames, one.objects) for one in report.datasets]
    objects = (None, None) if form == "sem_seg" else (4, 2)
    assert rows == [("own_train", 2, 2, objects[0]), ("own_val", 1, 1, objects[1])]
    formats = {"coco": "COCO", "scalabel": "Scalabel", "yolo": "YOLO", "sem_seg": "masks", "polygons": "COCO"}
    assert {one.vintage for one in report.datasets} == {formats.get(form, "bitmasks")}
    # Nothing is compared with the release, and its vintages are none of these data's.
    assert all(one.released_pictures is None and one.released_frames is None for one in report.datasets)
    assert "format" in report.text() and "vintage" not in report.text()
    found = statistics.to_json()
    if form in ("coco", "scalabel", "yolo"):
        assert found["det"]["own_train"]["boxes"] == {"car": 2, "tram": 2}
        assert found["det"]["own_val"]["frames"] == 1
    else:
        task = "ins_seg" if form == "polygons" else form
        count = 1000 if form == "sem_seg" else 1
        assert found[f"{task}_own_train"] == {"car": 2 * count, "tram": 2 * count * (2 if form == "sem_seg" else 1)}


# Damages


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


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-13] ^= 1
    path.write_bytes(content)


def resize(path: Path) -> None:
    with Image.open(path) as opened:
        smaller = opened.resize((50, 30), Image.Resampling.NEAREST)
    smaller.save(path)


def move_below(path: Path, name: str) -> None:
    """A second file of the same name in a folder below."""
    (path.parent / name).mkdir()
    (path.parent / name / path.name).write_bytes(path.read_bytes() + b"\0")


def without_annotations(document: Json) -> None:
    document["annotations"].clear()


def only_cars(document: Json) -> None:
    document["annotations"] = [one for one in document["annotations"] if one["category_id"] == 7]


def of_one_frame(document: Json) -> None:
    document["annotations"] = [one for one in document["annotations"] if one["image_id"] == 0]


def twice(document: Json) -> None:
    document.append(document[0])


def yolo_line(root: Path, line: str) -> None:
    path = root / "labels/train/b.txt"
    path.write_text(f"{path.read_text()}{line}\n")


def copy_with_ending(root: Path) -> None:
    image(root).with_name("d.png").write_bytes(image(root).read_bytes())


def leak(root: Path) -> None:
    """The image of val is one of train, byte for byte."""
    image(root, "c.png", "val").write_bytes(image(root).read_bytes())


def same_file(root: Path) -> None:
    image(root, "c.png", "val").unlink()
    image(root, "c.png", "val").symlink_to(image(root))


def same_in_train(root: Path) -> None:
    image(root).write_bytes(image(root, "a.png").read_bytes())


def mask(root: Path, name: str = "b.png") -> Path:
    return root / "masks/train" / name


def write_ids(root: Path, *ids: int) -> None:
    pixels = np.zeros((60, 100), np.uint8)
    pixels[: len(ids)] = np.array(ids, np.uint8)[:, None]
    cv2.imwrite(str(mask(root)), pixels)


def as_2018(root: Path) -> None:
    mask(root).with_name("b_train_id.png").write_bytes(mask(root).read_bytes())


def set_weather(root: Path, value: str | None) -> None:
    def of_second(frames: Json) -> None:
        frames[1]["attributes"] = None if value is None else {"weather": value}

    change(root, of_second)


POLYGON = [[10, 10, 30, 10, 30, 40, 10, 40]]

# The kind, the form, whether images have to be read, the damage, and what has to be named.
CASES: list[tuple[str, str, bool, Callable[[Path], object], str]] = [
    ("no images", "coco", False, lambda r: [image(r, name).unlink() for name in TRAIN], "own_train"),
    ("missing image", "coco", False, lambda r: image(r).unlink(), "b.png"),
    ("missing image", "yolo", False, lambda r: image(r).unlink(), "b.txt"),
    ("two images of a frame", "coco", False, lambda r: move_below(image(r), "more"), "are images of one name"),
    ("unreadable image", "coco", False, lambda r: image(r).write_bytes(b""), "b.png: an empty file"),
    ("unreadable image", "coco", True, lambda r: cut(image(r)), "b.png: image file is truncated"),
    ("unreadable image", "scalabel", True, lambda r: image(r).write_text("<html>"), "b.png: it is a HTML file"),
    ("unreadable image", "yolo", True, lambda r: image(r).write_text("<html>"), "b.png: it is a HTML file"),
    ("unreadable image", "sem_seg", True, lambda r: image(r).write_text("<html>"), "b.png: it is a HTML file"),
    ("damaged image", "coco", True, lambda r: damage(image(r)), "b.png: the checksum of its IDAT chunk is wrong"),
    ("image of another size", "coco", True, lambda r: resize(image(r)), "b.png: 50x30, in its labels 100x60"),
    ("image of another size", "polygons", True, lambda r: resize(image(r)), "b.png: 50x30, in its labels 100x60"),
    ("unusable label file", "coco", False, lambda r: add(r, 1, 2, 3, 4, category=99), "no category has the id 99"),
    ("unusable label file", "coco", False, lambda r: add(r, 1, 2, 3, 4, image=9), "no image has that id"),
    ("unusable label file", "scalabel", False, lambda r: change(r, twice), "frame a.png stands twice"),
    ("unusable label file", "yolo", False, lambda r: yolo_line(r, "2 0.5 0.5 0.1 0.1"), "line 3: class 2"),
    ("label without a category", "scalabel", False, lambda r: change(r, nameless), "a.png, label 10 (None)"),
    ("label of another class", "coco", False, lambda r: add(r, 1, 2, 13, 14, category=4), "van: 1"),
    ("degenerate box", "scalabel", False, lambda r: change(r, reversed_by_half), "a.png, label 10 (car)"),
    ("box outside of the image", "coco", False, lambda r: add(r, 120, 2, 13, 14), "a.png, label 90 (car): (120, 2)"),
    ("box outside of the image", "scalabel", False, lambda r: change(r, outside), "a.png, label 10 (car): (200, 10)"),
    ("box beyond the border", "coco", False, lambda r: add(r, 90, 2, 15, 14), "a.png, label 90 (car): (90, 2)"),
    ("box beyond the border", "yolo", False, lambda r: yolo_line(r, "0 0.95 0.5 0.2 0.2"), "b.png, label 2 (car)"),
    ("box beyond the border", "yolo", False, lambda r: yolo_line(r, "0 0.95 0.5 0.1005 0.2"), "cut off at the edges"),
    ("box without an area", "coco", False, lambda r: add(r, 1, 2, 0, 14), "a.png, label 90 (car)"),
    ("box without an area", "yolo", False, lambda r: yolo_line(r, "0 0.5 0.5 0 0.2"), "b.png, label 2 (car)"),
    ("small box", "coco", False, lambda r: add(r, 1, 2, 2, 14), "a.png, label 90 (car)"),
    ("duplicate box", "coco", False, lambda r: add(r, 10, 10, 20, 30), "a.png, label 90 (car)"),
    ("box of two classes", "coco", False, lambda r: add(r, 50, 10, 20, 30), "a.png, label"),
    ("label without a box", "scalabel", False, lambda r: change(r, boxless), "a.png, label 10 (car)"),
    ("duplicate mask", "polygons", False, lambda r: add(r, 10, 10, 20, 30, segmentation=POLYGON), "a.png, label 90"),
    ("labels without a mask", "polygons", False, lambda r: add(r, 10, 10, 20, 30), "frame a.png, label 90"),
    ("bad run lengths", "polygons", False, lambda r: change(r, other_run_lengths), "frame a.png, label 0"),
    ("training data without a label", "coco", False, lambda r: change(r, without_annotations), "own_train"),
    ("data without a label", "coco", False, lambda r: change(r, without_annotations, "val"), "own_val"),
    ("data without a label", "polygons", False, lambda r: change(r, without_annotations, "val"), "own_val"),
    ("class without a label", "coco", False, lambda r: change(r, only_cars), "tram, in own_train"),
    ("class without a label", "sem_seg", True, lambda r: [write_all(r, 0)], "tram, in own_train"),
    ("frame without objects", "coco", False, lambda r: change(r, of_one_frame), "b.png"),
    ("frame without objects", "yolo", False, lambda r: (r / "labels/train/b.txt").unlink(), "b.png"),
    ("image without labels", "coco", False, copy_with_ending, "d.png"),
    ("image without mask", "sem_seg", False, lambda r: mask(r).unlink(), "b.png"),
    ("frame in two splits", "coco", True, leak, "c.png of own_val, also in own_train as b.png"),
    ("frame in two splits", "sem_seg", True, leak, "c.png of own_val, also in own_train as b.png"),
    ("frame in two splits", "coco", False, same_file, "c.png of own_val, also in own_train as b.png"),
    ("image that is there twice", "coco", True, same_in_train, "b.png, also a.png"),
    ("unknown attribute value", "scalabel", False, lambda r: set_weather(r, "hot"), "b.png: weather 'hot'"),
    ("frame without attributes", "scalabel", False, lambda r: set_weather(r, None), "b.png"),
    ("mask without image", "sem_seg", False, lambda r: image(r).unlink(), "b.png"),
    ("two masks of a frame", "sem_seg", False, as_2018, "b.png and b_train_id.png"),
    ("unreadable mask", "sem_seg", False, lambda r: mask(r).write_bytes(b""), "b.png: an empty file"),
    ("unreadable mask", "sem_seg", True, lambda r: cut(mask(r)), "b.png: the mask cannot be read"),
    ("unreadable mask", "ins_seg", True, lambda r: cut(mask(r)), "b.png: the bitmask cannot be read"),
    ("bad mask ids", "sem_seg", True, lambda r: write_ids(r, 2, 9), "b.png: the mask holds the ids [2, 9]; 0 to 1 and"),
    ("bad mask ids", "ins_seg", True, lambda r: write_bitmask(mask(r), 1, 3), "b.png: the bitmask holds the category"),
    ("bad mask ids", "pan_seg", True, lambda r: write_bitmask(mask(r), 1, 3), "1 to 2 are allowed"),
    (
        "bad mask ids",
        "sem_seg",
        False,
        lambda r: mask(r).rename(mask(r, "b_drivable_id.png")),
        "a drivable map of 2018",
    ),
    ("mask of another size", "sem_seg", True, lambda r: resize(mask(r)), "b.png: 50x30, its image 100x60"),
    ("mask of another size", "pan_seg", True, lambda r: resize(image(r)), "b.png: 100x60, its image 50x30"),
    ("mask without any label", "sem_seg", True, lambda r: write_ids(r, *[255] * 60), "b.png"),
]


def nameless(frames: Json) -> None:
    del frames[0]["labels"][0]["category"]


def reversed_by_half(frames: Json) -> None:
    frames[0]["labels"][0]["box2d"]["x2"] = 9.5


def outside(frames: Json) -> None:
    frames[0]["labels"][0]["box2d"] |= {"x1": 200, "x2": 240}


def boxless(frames: Json) -> None:
    del frames[0]["labels"][0]["box2d"]


def other_run_lengths(document: Json) -> None:
    document["annotations"][0]["segmentation"] = {"size": [30, 50], "counts": [100, 100, 1300]}


def write_all(root: Path, value: int) -> None:
    for name in TRAIN:
        cv2.imwrite(str(mask(root, name)), np.full((60, 100), value, np.uint8))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_a_damage_is_found_and_named(tmp_path: Path, case: tuple) -> None:
    kind, form, reads, damage_it, named = case
    FORMS[form][0](tmp_path)
    register(tmp_path, form)
    damage_it(tmp_path)
    report = check_datasets(["own_train"], ["own_val"], fast=not reads, workers=1)
    found = [finding for finding in report.findings if finding.kind == kind]
    assert any(named in example for finding in found for example in finding.examples), report.text()
    assert kind in report.text() and named in report.text()
    severity = OWN_FINDING_KINDS[kind].severity
    assert all(finding.severity is severity and finding.remedy for finding in found)
    # What a damage drags along is less than it.
    assert report.breaks_training == (severity is Severity.BREAKS), report.text()


@pytest.mark.parametrize("case", [case for case in CASES if not case[2]], ids=lambda case: f"{case[0]}-{case[1]}")
def test_what_breaks_training_is_what_loading_refuses(tmp_path: Path, case: tuple) -> None:
    kind, form, _, damage_it, _ = case
    FORMS[form][0](tmp_path)
    register(tmp_path, form)
    damage_it(tmp_path)
    refused = False
    for name in ("own_train", "own_val"):
        try:
            DatasetCatalog.get(name)
        except DataError:
            refused = True
    # These come to light when the training reads, or has nothing to train on.
    later = {"unreadable image", "unreadable mask", "training data without a label"}
    report = check_datasets(["own_train"], ["own_val"], fast=True)
    assert report.breaks_training == (refused or kind in later), report.text()


# Slices, and the data sets of a config


def test_of_a_slice_its_frames_are_checked_and_of_labels_that_are_named_twice_each_once(tmp_path: Path) -> None:
    make_coco(tmp_path)
    register(tmp_path, "coco")
    register_slice("first", "own_train", first=1)
    register_slice("last", "own_train", names=["b"])
    add(tmp_path, 1, 2, 2, 14, image=1)
    report = check_datasets(["first"], ["own_val"], fast=True)
    assert report.findings == [] and [one.frames for one in report.datasets] == [1, 1], report.text()
    statistics = Statistics()
    report = check_datasets(["own_train"], ["own_val", "last"], fast=True, statistics=statistics)
    found = {finding.kind: finding for finding in report.findings}
    assert found.keys() == {"small box", "frame in two splits"} and found["small box"].count == 1
    assert found["frame in two splits"].examples == ["b.png of last, also in own_train"]
    assert [(one.name, one.frames, one.objects) for one in report.datasets] == [
        ("own_train", 2, 5),
        ("own_val", 1, 2),
        ("last", 1, 3),
    ]
    assert statistics.to_json()["det"]["last"]["boxes"] == {"car": 2, "tram": 1}


def test_a_slice_of_labels_that_cannot_be_loaded_has_no_numbers(tmp_path: Path) -> None:
    make_coco(tmp_path)
    register(tmp_path, "coco")
    register_slice("first", "own_train", first=1)
    add(tmp_path, 120, 2, 13, 14, image=1)
    statistics = Statistics()
    report = check_datasets(["first"], ["own_val"], fast=True, statistics=statistics)
    (finding,) = report.findings
    assert (finding.kind, finding.count) == ("box outside of the image", 1)
    row = report.datasets[0]
    assert (row.name, row.pictures, row.frames, row.objects) == ("first", 0, None, None)
    assert {*statistics.boxes} == {"own_val"}


def test_a_slice_without_a_frame_cannot_be_loaded(tmp_path: Path) -> None:
    make_scalabel(tmp_path)
    register(tmp_path, "scalabel")
    register_slice("day", "own_train", timeofday="daytime")
    (finding,) = check_datasets(["day"], ["own_val"], fast=True).findings
    assert finding.kind == "data set that cannot be loaded" and "no frame has timeofday daytime" in finding.examples[0]


def test_what_nothing_else_finds_loading_does(tmp_path: Path) -> None:
    """Without classes of one's own a label of another class is refused, and not left out."""
    make_scalabel(tmp_path)
    register_dataset("own", tmp_path / SPLIT_FILES, tmp_path / SPLIT_IMAGES)
    report = check_datasets(["own_train"], ["own_val"], fast=True)
    kinds = {finding.kind: finding for finding in report.findings}
    assert kinds["label of another class"].examples == ["tram: 2"] or kinds["label of another class"].count
    assert "unknown category 'tram'" in kinds["data set that cannot be loaded"].examples[0] and report.breaks_training


def test_masks_in_folders_below_and_images_of_other_endings(tmp_path: Path) -> None:
    make_masks(tmp_path)
    with Image.open(image(tmp_path)) as opened:
        opened.save(image(tmp_path).with_name("b.BMP"))
    image(tmp_path).unlink()
    (mask(tmp_path).parent / "more").mkdir()
    mask(tmp_path).rename(mask(tmp_path).parent / "more/b.png")
    report = check(tmp_path, "sem_seg", fast=False)
    assert report.findings == [] and report.datasets[0].pictures == 2, report.text()


def test_images_of_all_splits_in_one_folder_are_all_used(tmp_path: Path) -> None:
    make_coco(tmp_path)
    register(tmp_path, "coco", images="images")
    assert check_datasets(["own_train"], ["own_val"], fast=True).findings == []
    (finding,) = check_datasets(["own_train"], fast=True).findings
    assert (finding.kind, finding.examples) == ("image without labels", ["val/c.png"])


def test_the_data_sets_of_a_config_are_checked_those_of_bdd100k_too(tmp_path: Path) -> None:
    make_coco(tmp_path)
    roots.make_sound_root(tmp_path / "root")
    own = {"name": "own", "labels": str(tmp_path / SPLIT_FILES), "images": str(tmp_path / SPLIT_IMAGES)}
    config = {
        "DATASETS": {
            "OWN": [own | {"classes": CLASSES}],
            "SLICES": [{"name": "some", "base": "own_train", "first": 1}],
            "TRAIN": ["bdd100k_det_train", "some"],
            "TEST": ["own_val", "bdd100k_det_val_night"],
        }
    }
    (tmp_path / "own.yaml").write_text(json.dumps(config))
    roots.add_box(tmp_path / "root", "car", 50, 2, 30, 40)
    image(tmp_path, "c.png", "val").write_bytes(roots.image(tmp_path / "root").read_bytes())
    register_all(tmp_path / "root")
    try:
        splits = config_datasets(load_config(tmp_path / "own.yaml"))
        assert splits == [["bdd100k_det_train", "some"], ["own_val", "bdd100k_det_val_night"]]
        statistics = Statistics()
        report = check_datasets(*splits, root=tmp_path / "root", workers=1, statistics=statistics)
    finally:
        register_all()
    names = ["bdd100k_det_train", "bdd100k_det_val", "some", "own_val"]
    assert [one.name for one in report.datasets] == names
    kinds = {finding.kind: finding for finding in report.findings}
    assert kinds["degenerate box"].place == str(roots.labels_path(tmp_path / "root"))
    assert "incomplete" in kinds and "image of another size" in kinds
    # The images of the root are one.
    leaks = {one.place: one.examples for one in report.findings if one.kind == "frame in two splits"}
    assert leaks[str(tmp_path / "images/val")] == ["c.png of own_val, also in bdd100k_det_train as train0.jpg"]
    assert {*statistics.boxes} == {*names}
    # What breaks training stands first, whosever data it is.
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=list(Severity).index)


def test_names_of_no_data_set_and_those_that_others_registered(tmp_path: Path) -> None:
    make_coco(tmp_path)
    register(tmp_path, "coco")
    with pytest.raises(ConfigError, match="no data set 'own_vall' is registered; .* Did you mean own_val?"):
        check_datasets(["own_train"], ["own_vall"])
    DatasetCatalog.register("other", list)
    (finding,) = check_datasets(["own_train"], ["other"], fast=True).findings
    assert (finding.kind, finding.examples) == ("data set that is not checked", ["other"])
    with pytest.raises(ConfigError, match="no data set in DATASETS.TRAIN or DATASETS.TEST"):
        config_datasets(load_config_of(tmp_path, {"DATASETS": {"TRAIN": [], "TEST": []}}))


def load_config_of(folder: Path, content: Json) -> CfgNode:
    (folder / "some.yaml").write_text(json.dumps(content))
    return load_config(folder / "some.yaml")


def test_labels_that_are_gone_when_a_config_is_checked(tmp_path: Path) -> None:
    own = {"name": "own", "labels": str(tmp_path / "no.json"), "images": str(tmp_path), "classes": CLASSES}
    cfg = load_config_of(tmp_path, {"DATASETS": {"OWN": [own], "TRAIN": ["own"], "TEST": []}})
    (finding,) = check_datasets(*config_datasets(cfg), fast=True).findings
    assert (finding.kind, finding.place) == ("no labels", str(tmp_path / "no.json"))


def test_every_kind_is_tested() -> None:
    elsewhere = {"no labels", "data set that cannot be loaded", "data set that is not checked"}
    elsewhere |= {"bytes after the image's end"}
    assert {case[0] for case in CASES} | elsewhere == set(OWN_FINDING_KINDS)


def test_bytes_after_an_image_s_end(tmp_path: Path) -> None:
    make_coco(tmp_path)
    with Image.open(image(tmp_path)) as opened:
        opened.save(image(tmp_path).with_name("b.jpg"))
    image(tmp_path).unlink()
    roots.append(image(tmp_path, "b.jpg"), b"<html>")
    (finding,) = check(tmp_path, "coco", fast=False).findings
    assert (finding.kind, finding.examples) == ("bytes after the image's end", ["b.png: 6 bytes"])


# Plots, and the command


def test_plots_have_the_names_of_the_data_sets_and_a_page_for_each_set_of_classes(tmp_path: Path) -> None:
    make_coco(tmp_path)
    statistics = Statistics()
    check(tmp_path, "coco", statistics=statistics)
    paths = write_statistics(statistics, tmp_path / "stats")
    names = {"statistics.json", "boxes_per_class.png", "box_sizes.png", "box_positions.png", "boxes_per_frame.png"}
    assert {path.name for path in paths} == names
    register_dataset("more", tmp_path / "val.json", tmp_path / "images/val", classes=["tram"])
    check_datasets(["own_train"], ["more"], fast=True, statistics=statistics)
    names |= {"boxes_per_class_own_train.png", "boxes_per_class_more.png"} - {"boxes_per_class.png"}
    paths = write_statistics(statistics, tmp_path / "stats2")
    assert {path.name for path in paths} == names - {"boxes_per_class.png"}
    assert all(cv2.imread(str(path)).std() > 8 for path in paths[1:])


def run(*arguments: object) -> CompletedProcess[str]:
    return run_tool("check_dataset", *arguments, "--workers", "1")


def test_the_command_checks_data_of_one_s_own(tmp_path: Path) -> None:
    make_coco(tmp_path)
    own = ["--labels", tmp_path / SPLIT_FILES, "--images", tmp_path / SPLIT_IMAGES, "--classes", "car,tram"]
    done = run(*own, "--json", tmp_path / "report.json", "--stats", tmp_path / "stats", "--dataset", "streets")
    assert done.returncode == 0 and "Nothing was found." in done.stdout, done.stdout + done.stderr
    assert "streets_train" in done.stdout and "5 files of statistics" in done.stdout
    add(tmp_path, 120, 2, 13, 14)
    done = run(*own, "--fast", "--json", tmp_path / "report.json")
    assert done.returncode == 1 and "box outside of the image" in done.stdout
    assert json.loads((tmp_path / "report.json").read_text())["breaks_training"] is True
    done = run(*own, "--json", tmp_path / "images/train/report.json")
    assert done.returncode == 2 and "lies in the data, which is only read" in done.stderr
    done = run(*own, "--json", tmp_path / "train.json")
    assert done.returncode == 2 and "lies in the data, which is only read" in done.stderr
    done = run("--labels", tmp_path / "no.json", "--images", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "no labels at" in done.stderr


def test_the_command_checks_the_data_sets_of_a_config(tmp_path: Path) -> None:
    make_masks(tmp_path)
    own = {"name": "own", "labels": str(tmp_path / SPLIT_MASKS), "images": str(tmp_path / SPLIT_IMAGES)}
    own |= {"task": "sem_seg", "classes": CLASSES}
    (tmp_path / "own.yaml").write_text(
        json.dumps({"DATASETS": {"OWN": [own], "TRAIN": ["own_train"], "TEST": ["own_val"]}})
    )
    done = run("--config-file", tmp_path / "own.yaml")
    assert done.returncode == 0 and "Nothing was found." in done.stdout, done.stdout + done.stderr
    write_ids(tmp_path, 2)
    done = run("--config-file", tmp_path / "own.yaml")
    assert done.returncode == 1 and "b.png: the mask holds the ids [2]" in done.stdout
    done = run("--config-file", tmp_path / "own.yaml", "DATASETS.TRAIN", "('own_val',)")
    assert done.returncode == 0 and "frame in two splits: 1" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "i"], "--images belongs to --labels"),
        (["--classes", "a,b"], "--classes belongs to --labels"),
        (["--labels", "l", "--root", "r"], "--labels stands alone"),
        (["--labels", "l", "--config-file", "c"], "--labels stands alone"),
        (["--labels", "l", "--task", "det", "sem_seg"], "--labels are of one --task"),
        (["--config-file", "c", "--task", "det"], "leave out --task"),
        (["SOLVER.MAX_ITER", "3"], "belong to --config-file"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], message: str) -> None:
    done = run(*options)
    assert done.returncode == 2 and message in done.stderr
