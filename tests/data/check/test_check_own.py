"""Data of one's own: every kind of finding is made by a damage, counted and named; sound data have none."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image
from support import check_roots as roots
from support.own_data import (
    FORMS,
    TRAIN,
    Json,
    add,
    change,
    check,
    image,
    make_coco,
    mask,
    register,
    write_bitmask,
    write_ids,
)

from bdd100k_d2.data.check.own_kinds import OWN_FINDING_KINDS
from bdd100k_d2.data.check.registered import check_datasets
from bdd100k_d2.data.check.report import Severity
from bdd100k_d2.data.check.statistics import Statistics
from bdd100k_d2.errors import DataError

pytestmark = pytest.mark.usefixtures("catalogs_as_they_were", "one_pool")


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
