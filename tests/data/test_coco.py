"""COCO files of any tool: the converter, the evaluator, the check and the training read them to the same boxes."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from support.conversion_cases import rle_of, run
from support.frames import write_image

from bdd100k_d2.data.categories import DET_CLASSES
from bdd100k_d2.data.check.dataset import check_dataset
from bdd100k_d2.data.check.statistics import Statistics
from bdd100k_d2.data.coco import MORE_ATTRIBUTES, TRACKS
from bdd100k_d2.data.labels import Box2D, Frame, ImageSize, Label, LabelAttributes, write_frames
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.vintages import Vintage, read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.files.detection import open_det
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.tasks import TASKS

SIZE = ImageSize(160, 96)
IMAGE = {"id": 1, "file_name": "a.jpg", "width": 160, "height": 96}
CAR = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0}
RIDER = {"id": 2, "image_id": 1, "category_id": 7, "bbox": [50.5, 10, 60, 8.25], "area": 495}
CATEGORIES = [{"id": 3, "name": "car", "supercategory": "none"}, {"id": 7, "name": "rider"}]
CORNERS = [[10, 20, 39, 59], [50.5, 10, 109.5, 17.25]]


def coco(images: list[dict[str, Any]] | None = None, **changes: object) -> dict[str, Any]:
    """A document of a car and a rider; ``changes`` are of the car, None takes a field from it."""
    car = {key: value for key, value in (CAR | changes).items() if value is not None}
    return {"images": images or [IMAGE], "annotations": [car, RIDER], "categories": CATEGORIES}


def square() -> np.ndarray:
    mask = np.zeros((96, 160), bool)
    mask[20:60, 10:40] = True
    return mask


# The document, and whether its car is a crowd and has a mask.
PLAIN = [10 * 96 + 20, *([40, 56] * 29), 40, 160 * 96 - 10 * 96 - 20 - 40 * 30 - 56 * 29]
FORMS: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "of the toolkit": (
        coco(scalabel_id="7", ignore=0, segmentation=msgspec.to_builtins(rle_of(square()))),
        False,
        True,
    ),
    "a crowd": (coco(iscrowd=1), True, False),
    "a crowd that is true": (coco(iscrowd=True), True, False),
    "no crowd that is false": (coco(iscrowd=False), False, False),
    "ignored": (coco(ignore=1), True, False),
    "ignored that is true": (coco(ignore=True, iscrowd=None), True, False),
    "not ignored that is false": (coco(ignore=False), False, False),
    "no area, no iscrowd": (coco(area=None, iscrowd=None), False, False),
    "no id": (coco(id=None), False, False),
    "ids of text": (
        {
            "images": [IMAGE | {"id": "a"}],
            "annotations": [one | {"id": f"b{one['id']}", "image_id": "a"} for one in (CAR, RIDER)],
            "categories": CATEGORIES,
        },
        False,
        False,
    ),
    "numbers as text": (
        {
            "images": [IMAGE | {"id": "1"}],
            "annotations": [CAR, RIDER | {"image_id": "1", "category_id": "7"}],
            "categories": [CATEGORIES[0] | {"id": "3"}, CATEGORIES[1]],
        },
        False,
        False,
    ),
    "no crowd that is null": (
        coco() | {"annotations": [CAR | {"iscrowd": None, "ignore": None, "id": 1.0}, RIDER]},
        False,
        False,
    ),
    "a category twice": (coco() | {"categories": [*CATEGORIES, CATEGORIES[0]]}, False, False),
    "an empty segmentation": (coco(segmentation=[]), False, False),
    "a segmentation that is null": (coco() | {"annotations": [CAR | {"segmentation": None}, RIDER]}, False, False),
    "a polygon": (coco(segmentation=[[10, 20, 40, 20, 40, 60, 10, 60]]), False, True),
    "two polygons": (
        coco(segmentation=[[10, 20, 20, 20, 20, 60, 10, 60], [20, 20, 40, 20, 40, 60, 20.0, 60]]),
        False,
        True,
    ),
    "a polygon alone": (coco(bbox=None, segmentation=[[10, 20, 40, 20, 40, 60, 10, 60]]), False, True),
    "run lengths alone": (coco(bbox=None, segmentation=msgspec.to_builtins(rle_of(square()))), False, True),
    "a box that is null beside a mask": (
        coco(segmentation={"size": [96, 160], "counts": PLAIN})
        | {"annotations": [CAR | {"bbox": None, "segmentation": {"size": [96, 160], "counts": PLAIN}}, RIDER]},
        False,
        True,
    ),
    "a crowd that is occluded": (coco(iscrowd=1, attributes={"occluded": True}), True, False),
    "attributes of other forms": (coco(attributes=["occluded"], track_id=[1], instance_id={"a": 1}), False, False),
    "plain run lengths": (coco(segmentation={"size": [96, 160], "counts": PLAIN}, iscrowd=1), True, True),
    "a folder before the name": (coco([IMAGE | {"file_name": "val/a.jpg"}]), False, False),
    "a folder before the name, of Windows": (coco([IMAGE | {"file_name": "images\\val\\a.jpg"}]), False, False),
    "keys of other tools": (
        coco([IMAGE | {"license": 1, "date_captured": "2020"}], attributes={"occluded": False}, rotation=0.5)
        | {"info": {"year": 2020}, "licenses": [{"id": 1}]},
        False,
        False,
    ),
    "annotations before images": (dict(reversed(coco().items())), False, False),
}


def make_root(folder: Path, document: dict[str, Any]) -> Path:
    """A data set whose validation labels are this document; returns their path."""
    base = folder / "root/bdd100k"
    for split in ("train", "val"):
        write_image(base / f"images/100k/{split}/a.jpg")
    labels = base / "labels/det_20/det_val.json"
    labels.parent.mkdir(parents=True)
    labels.write_text(json.dumps(document))
    write_frames([Frame("a.jpg", size=SIZE)], labels.with_name("det_train.json"))
    return labels


def flat(frames: list[Frame]) -> list[tuple[list[float], int, bool]]:
    """Corners, class and whether it is a crowd, of each label."""
    return [
        (list(msgspec.structs.astuple(label.box2d)), DET_CLASSES[label.category].index, label.is_crowd)
        for frame in frames
        for label in frame.labels or ()
    ]


@pytest.mark.parametrize("form", FORMS)
def test_all_who_read_labels_read_the_same(tmp_path: Path, form: str) -> None:
    document, crowd, has_mask = FORMS[form]
    labels = make_root(tmp_path, document)
    expected = [(corners, k, c) for corners, k, c in zip(CORNERS, (2, 1), (crowd, False), strict=True)]

    frames, vintage = read_labels(labels)
    assert vintage is Vintage.COCO
    assert [(frame.name, frame.size) for frame in frames] == [("a.jpg", SIZE)]
    assert flat(frames) == expected
    assert frames[0].labels[0].rle == (rle_of(square()) if has_mask else None)

    run(labels, tmp_path / "scalabel.json", "scalabel")
    converted = read_labels(tmp_path / "scalabel.json").frames
    assert flat(converted) == expected
    assert [label.rle for label in converted[0].labels] == [label.rle for label in frames[0].labels]

    predicted = tmp_path / "pred.json"
    boxes = [Label("0", "car", 0.5, box2d=Box2D(*CORNERS[0])), Label("1", "rider", 0.5, box2d=Box2D(*CORNERS[1]))]
    write_frames([Frame("a.jpg", labels=boxes)], predicted)
    truth = open_det(labels, predicted, 1).matched.truth
    assert (truth.category.tolist(), truth.crowd.tolist()) == ([2, 1], [crowd, False])
    assert truth.box.tolist() == [[10, 20, 30, 40], [50.5, 10, 60, 8.25]]
    ours, theirs = (
        summary(evaluate_files("det", path, predicted, workers=1).official)
        for path in (labels, tmp_path / "scalabel.json")
    )
    assert ours == pytest.approx(theirs, rel=0, abs=0, nan_ok=True) and ours["AP"] == pytest.approx(100)

    root, statistics = tmp_path / "root", Statistics()
    report = check_dataset(root, ["det"], fast=True, statistics=statistics)
    (facts,) = (one for one in report.datasets if one.name == "bdd100k_det_val")
    assert (facts.frames, facts.objects, facts.vintage) == (1, 2, "COCO") and not report.breaks_training
    assert np.flatnonzero(statistics.boxes["val"].classes).tolist() == [1, 2]

    register_all(root)
    (record,) = DatasetCatalog.get("bdd100k_det_val")
    assert (record["image_id"], record["height"], record["width"]) == ("a.jpg", 96, 160)
    assert [(one["bbox"], one["category_id"], one["iscrowd"]) for one in record["annotations"]] == [
        ([10, 20, 30, 40], 2, int(crowd)),
        ([50.5, 10, 60, 8.25], 1, 0),
    ]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no annotations": (
        {"images": [IMAGE], "categories": CATEGORIES},
        'no "annotations"; a COCO file of labels has images, annotations and categories. A list of results alone does '
        "not name its images.",
    ),
    "no categories": ({"images": [IMAGE], "annotations": [CAR]}, 'no "categories"; add them, they name the classes.'),
    "a category id twice": (
        coco() | {"categories": [*CATEGORIES, {"id": 3, "name": "truck"}]},
        "categories car and truck have the same id 3; mend one of them.",
    ),
    "an image id twice": (
        coco([IMAGE, IMAGE | {"file_name": "b.jpg"}]),
        "frames a.jpg and b.jpg have the same image id 1; mend one of them.",
    ),
    "an image id twice, once as text": (
        coco([IMAGE, IMAGE | {"id": "1", "file_name": "b.jpg"}]),
        "frames a.jpg and b.jpg have the same image id 1; mend one of them.",
    ),
    "a category id twice, once as text": (
        coco() | {"categories": [*CATEGORIES, {"id": "3", "name": "truck"}]},
        "categories car and truck have the same id 3; mend one of them.",
    ),
    "an image id with zeros before it": (
        coco(image_id="01"),
        "annotation 1 is of image id 01, but no image has that id; add the image or remove the annotation.",
    ),
    "a score as text": (coco(score="0.5"), "frame a.jpg, annotation 1: Expected `float | null`, got `str`"),
    "a frame twice": (
        coco([IMAGE, IMAGE | {"id": 2}]),
        "frame a.jpg stands twice; remove one of the two.",
    ),
    "one path in two ways": (
        coco([IMAGE | {"file_name": "cam0/a.jpg"}, IMAGE | {"id": 2, "file_name": ".\\cam0\\a.jpg"}]),
        "frame a.jpg stands twice; remove one of the two.",
    ),
    "a mask of another size without a box": (
        coco(bbox=None, segmentation={"size": [8, 8], "counts": [10, 4, 50]}),
        "frame a.jpg, annotation 1: the mask has 8x8 pixels",
    ),
    "no such image": (
        coco(image_id=5),
        "annotation 1 is of image id 5, but no image has that id; add the image or remove the annotation.",
    ),
    "no such category": (
        coco(category_id=5),
        "frame a.jpg, annotation 1: no category has the id 5; there are 3 car, 7 rider.",
    ),
    "a box of three numbers": (coco(bbox=[1, 2, 3]), "frame a.jpg, annotation 1: Expected `array` of length 4"),
    "a number that is none": (coco(score=float("nan")), "frame a.jpg, annotation 1 holds a number that is NaN"),
    "a polygon of two corners": (
        coco(segmentation=[[1, 2, 3, 4]]),
        "frame a.jpg, annotation 1: a polygon has an x and a y for each of three corners or more, not 4 numbers; mend "
        "or remove it.",
    ),
    "a polygon of text": (coco(segmentation=[["1"]]), "frame a.jpg, annotation 1: Expected `float`, got `str`"),
    "a polygon without a size and a box": (
        coco([{"id": 1, "file_name": "a.jpg"}], bbox=None, segmentation=[[1, 2, 3, 4, 5, 6]]),
        "frame a.jpg, annotation 1: it has no bbox, and its image no width and height; add the one or the other.",
    ),
    "run lengths that do not fill the image": (
        coco(segmentation={"counts": [5, 5], "size": [96, 160]}),
        "frame a.jpg, annotation 1: the run lengths add up to 10 pixels, a mask of 96x160 has 15,360; write the "
        "annotation again.",
    ),
    "a crowd in words": (coco(iscrowd="yes"), "frame a.jpg, annotation 1: Expected `bool | int | null`, got `str`"),
}


@pytest.mark.parametrize("size", ({"width": 0, "height": 0}, {"width": None, "height": None}, {"width": None}))
def test_a_size_of_nothing_is_not_stated(tmp_path: Path, size: dict[str, int | None]) -> None:
    path = tmp_path / "in.json"
    path.write_text(json.dumps(coco([IMAGE | size])))
    (frame,) = read_labels(path).frames
    assert frame.size is None and len(frame.labels) == 2
    out = tmp_path / "out.json"
    assert run(path, out, "coco", size=SIZE).labels == 2
    assert read_labels(out).frames[0].size == SIZE


@pytest.mark.parametrize("case", REFUSED)
def test_all_who_read_labels_refuse_the_same(tmp_path: Path, case: str) -> None:
    document, message = REFUSED[case]
    labels = make_root(tmp_path, document)
    expected = re.escape(f"{labels}: {message}")
    write_frames([Frame("a.jpg")], tmp_path / "pred.json")
    with pytest.raises(DataError, match=expected):
        read_labels(labels)
    with pytest.raises(DataError, match=expected):
        run(labels, tmp_path / "scalabel.json", "scalabel")
    with pytest.raises(DataError, match=expected):
        evaluate_files("det", labels, tmp_path / "pred.json", workers=1)
    register_all(tmp_path / "root")
    with pytest.raises(DataError, match=expected):
        DatasetCatalog.get("bdd100k_det_val")
    findings = check_dataset(tmp_path / "root", ["det"], fast=True).findings
    (found,) = (one for one in findings if one.kind == "unusable label file")
    assert any(message in example for example in found.examples), found.examples


def test_a_category_that_stands_twice_with_one_name_is_one(tmp_path: Path) -> None:
    labels = make_root(tmp_path, coco() | {"categories": [*CATEGORIES, CATEGORIES[0]]})
    assert [label.category for label in read_labels(labels).frames[0].labels] == ["car", "rider"]


def test_every_class_of_the_toolkits_file_keeps_its_name(tmp_path: Path) -> None:
    names = TASKS["det"].names
    document = {
        "images": [IMAGE],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "annotations": [CAR | {"id": i, "category_id": i} for i in range(len(names), 0, -1)],
    }
    found = read_labels(make_root(tmp_path, document)).frames[0].labels
    assert [label.category for label in found] == list(reversed(names))


def test_a_mask_of_nothing_has_no_box(tmp_path: Path) -> None:
    labels = make_root(tmp_path, coco(bbox=None, segmentation={"size": [96, 160], "counts": [96 * 160]}))
    car, rider = read_labels(labels).frames[0].labels
    assert car.box2d is None and car.rle is not None and rider.box2d is not None


def test_crowds_among_the_attributes(tmp_path: Path) -> None:
    labels = make_root(tmp_path, coco(attributes={"crowd": True, "Ignored": True}))
    assert read_labels(labels).frames[0].labels[0].attributes == LabelAttributes(crowd=True, ignored=True)
    labels = make_root(tmp_path / "no", coco(attributes={"crowd": False}, iscrowd=1))
    assert read_labels(labels).frames[0].labels[0].is_crowd


def test_annotations_that_stand_twice_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    document = coco()
    document["annotations"] *= 2
    assert len(read_labels(make_root(tmp_path, document)).frames[0].labels) == 4
    assert "2 annotations stand in it twice, with their ids, and count twice; remove one of each" in caplog.text
    caplog.clear()
    # Tools that give all the id 0 mean nothing by it.
    document["annotations"] = [one | {"id": 0} for one in document["annotations"][:2]]
    read_labels(make_root(tmp_path / "zero", document))
    assert "twice" not in caplog.text


def test_attributes_of_an_annotation(tmp_path: Path) -> None:
    """As CVAT writes them, with whatever else its user has named."""
    given = {"Occluded": True, "truncated": False, "trafficLightColor": "G", "rotation": 0.5, "parked": True}
    document = coco(attributes=given, track_id=7, instance_id="8", ignore=1)
    document["annotations"] += [RIDER | {"id": 3, "attributes": {"occluded": "yes", "truncated": None}}]
    document["annotations"] += [RIDER | {"id": 4, "attributes": {"occluded": False}, "track_id": None}]
    labels = make_root(tmp_path, document)
    car, rider, other, plain = read_labels(labels).frames[0].labels
    assert car.attributes == LabelAttributes(True, False, "G", ignored=True)
    assert rider.attributes is None
    assert other.attributes == LabelAttributes() and plain.attributes == LabelAttributes(occluded=False)
    done = run(labels, tmp_path / "s.json", "scalabel")
    assert done.dropped == {MORE_ATTRIBUTES: 2, TRACKS: 1}
    assert read_labels(tmp_path / "s.json").frames[0].labels[0].attributes == car.attributes


def test_labels_without_an_id_are_numbered(tmp_path: Path) -> None:
    document = coco([IMAGE, IMAGE | {"id": 2, "file_name": "b.jpg"}])
    document["annotations"] = [
        {key: value for key, value in one.items() if key != "id"} for one in (CAR, RIDER, CAR | {"image_id": 2})
    ]
    frames = read_labels(make_root(tmp_path, document)).frames
    assert [[label.id for label in frame.labels] for frame in frames] == [["0", "1"], ["2"]]


def test_boxes_without_an_area_are_left_out_as_the_converter_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flat = CAR | {"id": 9, "bbox": [5, 5, 0, 0]}
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": [IMAGE], "annotations": [CAR, flat], "categories": CATEGORIES}))
    with caplog.at_level("WARNING", "bdd100k_d2"):
        (frame,) = read_labels(path).frames
    assert [label.box2d for label in frame.labels] == [Box2D(10, 20, 39, 59)]
    assert "1 boxes without an area are left out" in caplog.text
    assert summary(evaluate_files("det", path, scored(tmp_path, frame), workers=1).official)["AP"] == pytest.approx(100)


def scored(folder: Path, frame: Frame) -> Path:
    labels = [Label(label.id, label.category, box2d=label.box2d, score=0.9) for label in frame.labels]
    write_frames([Frame(frame.name, size=SIZE, labels=labels)], folder / "predicted.json")
    return folder / "predicted.json"


@pytest.mark.parametrize(
    ("counts", "size"), [([2**70], [96, 160]), ([-5, 20], [3, 5]), ([5], [-1, -5]), ([2**33], [2**20, 2**13])]
)
def test_plain_run_lengths_that_no_mask_has(tmp_path: Path, counts: list[int], size: list[int]) -> None:
    path = tmp_path / "coco.json"
    annotation = CAR | {"segmentation": {"counts": counts, "size": size}}
    path.write_text(json.dumps({"images": [IMAGE], "annotations": [annotation], "categories": CATEGORIES}))
    with pytest.raises(DataError, match=r"coco\.json"):
        read_labels(path)


def test_scores_by_the_attributes_of_cvat(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(coco(attributes={"occluded": True})))
    (frame,) = read_labels(path).frames
    found = evaluate_files("det", path, scored(tmp_path, frame), by="occluded", workers=1).slices["occluded"]
    assert [(row.value, row.count) for row in found.rows] == [("true", 1), ("unlabelled", 1)]
