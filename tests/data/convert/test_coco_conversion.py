"""COCO JSON: the toolkit's own document, there and back, and files of other tools."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from support.conversion_cases import (
    DET_NAMES,
    INS_NAMES,
    pick,
    pixels_of,
    random_bitmask,
    random_det_frames,
    random_regions,
    rle_of,
    run,
    sized,
    through,
    write,
)

from bdd100k_d2.data.bitmasks import CROWD, IGNORED
from bdd100k_d2.data.categories import DET_CLASSES
from bdd100k_d2.data.labels import Box2D, Frame, FrameAttributes, ImageSize, Label, LabelAttributes
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.tasks import TASKS

TOOLKIT = {"reason": "the official toolkit is not installed: pip install -e .[toolkit]"}


def toolkit_coco(frames: list[Frame], task: str) -> dict[str, Any]:
    """The document that ``bdd100k.label.to_coco`` writes of frames, in one process: with several it hangs."""
    pytest.importorskip("bdd100k", **TOOLKIT)
    from bdd100k.common.utils import load_bdd100k_config
    from bdd100k.label.to_coco import scalabel2coco_detection, scalabel2coco_ins_seg
    from bdd100k.label.to_scalabel import bdd100k_to_scalabel
    from scalabel.label.io import parse

    config = load_bdd100k_config(task)
    theirs = bdd100k_to_scalabel([parse(msgspec.to_builtins(frame)) for frame in frames], config)
    convert = scalabel2coco_detection if task == "det" else scalabel2coco_ins_seg
    return json.loads(json.dumps(convert(theirs, config.scalabel)))


def assert_same_document(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    assert ours["type"] == theirs["type"] and ours["categories"] == theirs["categories"]
    for part in ("images", "annotations"):
        assert len(ours[part]) == len(theirs[part])
        for our, their in zip(ours[part], theirs[part], strict=True):
            assert our == their


@pytest.mark.parametrize("seed", range(6))
def test_random_boxes_equal_the_toolkit(tmp_path: Path, seed: int) -> None:
    frames = random_det_frames(np.random.default_rng(seed), 20, scores=seed % 2 == 1)
    source = write(tmp_path, frames)
    done = run(source, tmp_path / "coco.json", "coco")
    ours = json.loads((tmp_path / "coco.json").read_text())
    assert_same_document(ours, toolkit_coco(frames, "det"))
    assert done.frames == len(ours["images"]) == 20 and len(ours["annotations"]) > 20
    assert {one["iscrowd"] for one in ours["annotations"]} == {0, 1}


@pytest.mark.parametrize("seed", range(4))
def test_random_masks_equal_the_toolkit(tmp_path: Path, seed: int) -> None:
    frames = random_ins_frames(np.random.default_rng(seed))
    run(write(tmp_path, frames), tmp_path / "coco.json", "coco")
    ours = json.loads((tmp_path / "coco.json").read_text())
    assert_same_document(ours, toolkit_coco(frames, "ins_seg"))
    assert len(ours["annotations"]) > 10


@pytest.mark.parametrize("seed", range(3))
def test_bitmasks_equal_the_toolkit_but_for_the_marks(tmp_path: Path, seed: int) -> None:
    """As ``to_coco --only-mask``, which says nothing of ignored objects; here those are crowds too."""
    pytest.importorskip("bdd100k", **TOOLKIT)
    from bdd100k.common.utils import load_bdd100k_config
    from bdd100k.label.to_coco import bitmask2coco_wo_ids
    from scalabel.label.transforms import get_coco_categories

    rng = np.random.default_rng(seed)
    theirs, bits = [], []
    for i in range(4):
        bitmask = random_bitmask(rng, "ins_seg", 72, 128)
        (tmp_path / "bitmasks").mkdir(exist_ok=True)
        Image.fromarray(pixels_of(bitmask)).save(tmp_path / f"bitmasks/{i}.png")
        theirs += bitmask2coco_wo_ids({"file_name": f"{i}.jpg", "id": i + 1}, str(tmp_path / "bitmasks"))
        bits += bitmask.attributes.tolist()
    assert run(tmp_path / "bitmasks", tmp_path / "coco.json", "coco").kind == "bitmasks"
    ours = json.loads((tmp_path / "coco.json").read_text())
    assert ours["categories"] == get_coco_categories(load_bdd100k_config("ins_seg").scalabel)
    assert ours["images"][1] == {"id": 2, "file_name": "1.jpg", "height": 72, "width": 128, "attributes": None}
    shared = ("image_id", "category_id", "instance_id", "bbox", "area", "segmentation")
    for our, their, marks in zip(ours["annotations"], json.loads(json.dumps(theirs)), bits, strict=True):
        assert {key: our[key] for key in shared} == {key: their[key] for key in shared}
        assert our["iscrowd"] == int(bool(marks & (CROWD | IGNORED))) and their["iscrowd"] == bool(marks & CROWD)
        assert our["scalabel_id"] == str(our["instance_id"])
    assert [one["id"] for one in ours["annotations"]] == list(range(1, len(bits) + 1))


REAL = (
    ("det", "bdd100k/labels/det_20/det_train.json"),
    ("det", "bdd100k/labels/det_20/det_val.json"),
    ("det", "bdd100k/labels/box_track_20/val"),
    ("det", "bdd100k/labels/box_track_20/train"),
    ("det", "oracles/det/pred.json"),
    ("ins_seg", "bdd100k/labels/ins_seg/rles/ins_seg_val.json"),
    ("ins_seg", "bdd100k/labels/ins_seg/rles/ins_seg_train.json"),
    ("ins_seg", "bdd100k/labels/seg_track_20/rles/val"),
    ("ins_seg", "oracles/ins_seg_rle/ins_seg_preds.json"),
)


@pytest.mark.parametrize(("task", "path"), REAL)
def test_real_files_equal_the_toolkit(real_root: Path, tmp_path: Path, task: str, path: str) -> None:
    pytest.importorskip("bdd100k", **TOOLKIT)
    from bdd100k.common.utils import load_bdd100k_config
    from bdd100k.label.to_coco import scalabel2coco_detection, scalabel2coco_ins_seg
    from bdd100k.label.to_scalabel import bdd100k_to_scalabel
    from scalabel.label.io import load

    config = load_bdd100k_config(task)
    theirs = bdd100k_to_scalabel(load(str(real_root / path), 1).frames, config)
    convert = scalabel2coco_detection if task == "det" else scalabel2coco_ins_seg
    done = run(real_root / path, tmp_path / "coco.json", "coco")
    assert done.task == task
    assert_same_document(
        json.loads((tmp_path / "coco.json").read_text()), json.loads(json.dumps(convert(theirs, config.scalabel)))
    )


def random_ins_frames(rng: np.random.Generator) -> list[Frame]:
    frames, number = [], 0
    for i in range(5):
        regions, labels = random_regions(rng, 720, 1280, 6), []
        for k in np.unique(regions):
            number += 1
            attributes = pick(rng, [None, LabelAttributes(occluded=True, crowd=True), LabelAttributes(ignored=True)])
            box = pick(rng, [None, Box2D(1, 2, 3, 4)])
            labels.append(Label(str(number), pick(rng, INS_NAMES), None, attributes, box, rle_of(regions == k)))
        labels.append(Label("box", "car", box2d=Box2D(1, 2, 3, 4)))
        frames.append(Frame(f"{i}.jpg", size=ImageSize(1280, 720), labels=labels))
    return frames


@pytest.mark.parametrize("seed", range(6))
def test_boxes_come_back(tmp_path: Path, seed: int) -> None:
    frames = random_det_frames(np.random.default_rng(seed), scores=seed % 2 == 1)
    back = through(write(tmp_path, frames), tmp_path, "coco")
    assert [frame.name for frame in back] == [frame.name for frame in frames]
    for frame, other in zip(frames, back, strict=True):
        assert other.attributes == frame.attributes and other.size == ImageSize(1280, 720)
        kept = [label for label in frame.labels or () if label.box2d is not None]
        assert len(other.labels) == len(kept)
        for label, found in zip(kept, other.labels, strict=True):
            known = DET_CLASSES[label.category]
            assert found.category == TASKS["det"].names[known.index] and str(label.id) == found.id
            assert found.score == label.score and found.is_crowd == (known.ignored or label.is_crowd)
            ours, theirs = msgspec.structs.astuple(label.box2d), msgspec.structs.astuple(found.box2d)
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-9)


@pytest.mark.parametrize("polygons", (False, True))
@pytest.mark.parametrize("task", ("ins_seg", "pan_seg"))
def test_masks_come_back_exactly(tmp_path: Path, task: str, polygons: bool) -> None:
    rng = np.random.default_rng(3)
    frames = []
    for i in range(4):
        regions = random_regions(rng, 72, 128, 8)
        labels = [
            Label(f"{i}-{k}", pick(rng, TASKS[task].names), rle=rle_of(regions == k))
            for k in np.unique(regions).tolist()
        ]
        frames.append(Frame(f"{i}.jpg", size=ImageSize(128, 72), labels=labels))
    back = through(write(tmp_path, frames), tmp_path, "coco", polygons=polygons, task=task)
    document = json.loads((tmp_path / "middle_coco.json").read_text())
    assert {type(one["segmentation"]) for one in document["annotations"]} == {list if polygons else dict}
    for frame, other in zip(frames, back, strict=True):
        assert [(one.id, one.category, one.rle) for one in other.labels] == [
            (one.id, one.category, one.rle) for one in frame.labels
        ]


def test_a_mask_of_nothing_comes_back(tmp_path: Path) -> None:
    nothing = Label("1", "pole", rle=rle_of(np.zeros((36, 64), bool)))
    frame = Frame("a.jpg", size=ImageSize(64, 36), labels=[nothing])
    (back,) = through(write(tmp_path, [frame]), tmp_path, "coco", task="pan_seg")
    assert back.labels == [nothing]
    (annotation,) = json.loads((tmp_path / "middle_coco.json").read_text())["annotations"]
    assert (annotation["bbox"], annotation["area"]) == ([0, 0, 0, 0], 0)


@pytest.mark.parametrize("name", ("ins_seg_train", "ins_seg_val", "pan_seg_train"))
def test_real_masks_come_back(real_root: Path, tmp_path: Path, name: str) -> None:
    task = name.rpartition("_")[0]
    source = real_root / f"bdd100k/labels/{task}/rles/{name}.json"
    back = through(source, tmp_path, "coco", task=task)
    for frame, other in zip(read_labels(source).frames, back, strict=True):
        assert [(str(one.id), one.rle) for one in other.labels] == [(str(one.id), one.rle) for one in frame.labels]


def test_a_box_without_area_is_left_out(tmp_path: Path) -> None:
    annotations = [{**ANNOTATION, "id": i, "bbox": box} for i, box in enumerate(([1, 2, 0, 4], [1, 2, 3, 4]))]
    for annotation in annotations:
        annotation.pop("segmentation", None)
    for to in ("coco", "scalabel"):
        done = run(coco(tmp_path, annotations=annotations), tmp_path / f"{to}.json", to)
        assert done.labels == 1 and done.dropped["boxes without an area are left out"] == 1


@pytest.mark.parametrize("crowd", (True, False))
def test_marks_that_are_true_or_false(tmp_path: Path, crowd: bool) -> None:
    source = coco(tmp_path, annotations=[{**ANNOTATION, "bbox": [1, 2, 3, 4], "iscrowd": crowd, "ignore": False}])
    run(source, tmp_path / "out.json", "coco")
    assert json.loads((tmp_path / "out.json").read_text())["annotations"][0]["iscrowd"] == int(crowd)


def test_what_coco_does_not_hold_is_counted(tmp_path: Path) -> None:
    box = Box2D(0, 0, 9, 9)
    labels = [
        Label("1", "bike", None, LabelAttributes(occluded=True, trafficLightColor="NA"), box),
        Label("2", "other person", None, LabelAttributes(occluded=False, trafficLightColor="R"), box),
        Label("3", "car", None, LabelAttributes(ignored=True), box, rle_of(np.ones((720, 1280)))),
        Label("4", "lane"),
        Label("5", "sky", box2d=box),
    ]
    frames = [Frame("a.jpg", "v", FrameAttributes("clear"), labels=labels), Frame("b.jpg", labels=[])]
    done = run(write(tmp_path, frames), tmp_path / "coco.json", "coco", task="det")
    assert (done.frames, done.labels) == (2, 5)
    assert done.dropped == {
        "labels whose attributes (occluded, truncated, traffic light colour) are not kept": 2,
        "labels under another name of their class (bike, motor, person, van, ...) get the official one": 1,
        "labels of ignored classes (other person, other vehicle, trailer) become crowds of the nearest class": 1,
        "ignored labels become crowds, the two cannot be told apart": 1,
        "labels whose mask is not kept, only its box": 1,
        "labels without a box are left out": 1,
        "labels of classes that the task does not have are left out": 1,
        "frames whose video, index or timestamp are not kept": 1,
    }


def coco(tmp_path: Path, **changes: object) -> Path:
    """A COCO file of another tool: one image, one box."""
    document = {
        "images": [{"id": 7, "file_name": "val/a.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 3, "name": "car", "supercategory": "vehicle"}],
        "annotations": [{"id": 9, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "segmentation": []}],
    } | changes
    path = tmp_path / "other.json"
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
    return path


def test_a_file_of_another_tool(tmp_path: Path) -> None:
    counts = [2, 3, 30 * 40 - 5]
    masks = [[[1, 2, 5, 2, 5, 6, 1, 6]], {"counts": counts, "size": [30, 40]}]
    path = coco(
        tmp_path,
        annotations=[
            {"id": i, "image_id": 7, "category_id": 3, "bbox": [1.5, 2, 0.25, 4], "segmentation": mask, "iscrowd": i}
            for i, mask in enumerate(masks)
        ],
    )
    run(path, tmp_path / "scalabel.json", "scalabel")
    (frame,) = read_labels(tmp_path / "scalabel.json").frames
    assert (frame.name, frame.size) == ("a.jpg", ImageSize(40, 30))
    first, second = frame.labels
    # A box narrower than a pixel has its inclusive x2 before its x1.
    assert (first.category, first.box2d, first.is_crowd) == ("car", Box2D(1.5, 2, 0.75, 5), False)
    square = np.zeros((30, 40), bool)
    square[2:6, 1:5] = True
    assert first.rle == rle_of(square)
    assert second.is_crowd
    decoded = coco_mask.decode({"counts": second.rle.counts.encode(), "size": [30, 40]})
    assert np.flatnonzero(decoded.T.ravel()).tolist() == [2, 3, 4]


def test_annotations_in_any_order_go_to_their_images(tmp_path: Path) -> None:
    images = [{"id": f"i{i}", "file_name": f"{i}.jpg", "width": 40, "height": 30} for i in range(5)]
    order = np.random.default_rng(0).integers(0, 5, 40).tolist()
    annotations = [{"id": n, "image_id": f"i{i}", "category_id": 3, "bbox": [1, 2, 3, 4]} for n, i in enumerate(order)]
    run(coco(tmp_path, images=images, annotations=annotations), tmp_path / "s.json", "scalabel")
    frames = read_labels(tmp_path / "s.json").frames
    assert [frame.name for frame in frames] == [f"{i}.jpg" for i in range(5)]
    for i, frame in enumerate(frames):
        assert [label.id for label in frame.labels] == [n for n, j in enumerate(order) if j == i]


def test_frames_that_differ_by_their_folders_alone(tmp_path: Path) -> None:
    frames = [sized(name="cam0/a.jpg"), sized(name="cam0/b.jpg"), sized(name="cam1/a.jpg")]
    with pytest.raises(DataError, match=r"frames cam0/a.jpg and cam1/a.jpg have one name in different folders"):
        run(write(tmp_path, frames), tmp_path / "c.json", "coco")
    run(write(tmp_path, frames[:2]), tmp_path / "c.json", "coco")


def test_masks_of_classes_of_no_single_task(tmp_path: Path) -> None:
    """Neither Scalabel nor the boxes of YOLO need a task; COCO does."""
    square = [[10, 10, 20, 10, 20, 20, 10, 20]]
    names = ("car", "drivable area", "sky")
    source = coco(
        tmp_path,
        images=[{"id": 7, "file_name": "a.jpg", "width": 40, "height": 30}],
        categories=[{"id": i, "name": name} for i, name in enumerate(names)],
        annotations=[{"image_id": 7, "category_id": i, "segmentation": square} for i in range(3)],
    )
    with pytest.raises(DataError, match="no task has all the classes of the masks"):
        run(source, tmp_path / "c.json", "coco")
    done = run(source, tmp_path / "s.json", "scalabel")
    assert (done.labels, done.task) == (3, None)
    (frame,) = read_labels(tmp_path / "s.json").frames
    assert [label.category for label in frame.labels] == [*names]
    done = run(source, tmp_path / "y", "yolo", split="val")
    assert (tmp_path / "y/labels/val/a.txt").read_text().split()[0] == "2"
    assert done.dropped["labels of classes that the task does not have are left out"] == 2 and done.task == "det"


ANNOTATION = {"id": 9, "image_id": 7, "category_id": 3}
BAD = {
    "no images": ({"images": None}, 'other.json: no "images"'),
    "no categories": ({"categories": None}, 'other.json: no "categories"; add them'),
    "an image id twice": (
        {"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 7, "file_name": "b.jpg"}]},
        "frames a.jpg and b.jpg have the same image id 7; mend one of them",
    ),
    "a frame twice": (
        {"images": [{"id": i, "file_name": "x/a.jpg", "width": 9, "height": 9} for i in (7, 8)]},
        "frame a.jpg stands twice",
    ),
    "an annotation of no image": (
        {"annotations": [{**ANNOTATION, "image_id": 5}]},
        "annotation 9 is of image id 5, but no image has that id; add the image or remove the annotation",
    ),
    "an unknown category id": (
        {"annotations": [{**ANNOTATION, "category_id": 5}]},
        "frame a.jpg, annotation 9: no category has the id 5; there are 3 car",
    ),
    "an unknown category": (
        {"categories": [{"id": 3, "name": "boat"}]},
        "frame a.jpg, label 9: unknown category 'boat'; rename or remove it. Known are pedestrian",
    ),
    "a box that is endless": (
        {"annotations": [{**ANNOTATION, "bbox": [1, 2, 1e308, 1e308]}]},
        "frame a.jpg, label 9 (car): the box (1, 2) to (1e+308, 1e+308) is not one of finite numbers; mend or remove",
    ),
    "a box of three numbers": (
        {"annotations": [{**ANNOTATION, "bbox": [1, 2, 3]}]},
        "frame val/a.jpg, annotation 9: Expected `array` of length 4",
    ),
    "a polygon of two corners": (
        {"annotations": [{**ANNOTATION, "segmentation": [[1, 2, 3, 4]]}]},
        "frame a.jpg, annotation 9: a polygon has an x and a y for each of three corners or more, not 4 numbers; mend",
    ),
    "run lengths that do not fill the image": (
        {"annotations": [{**ANNOTATION, "segmentation": {"counts": [5, 5], "size": [30, 40]}}]},
        "frame a.jpg, annotation 9: the run lengths add up to 10 pixels, a mask of 30x40 has 1,200",
    ),
    "run lengths of another size": (
        {"annotations": [{**ANNOTATION, "segmentation": {"counts": [5, 5], "size": [2, 5]}}]},
        "frame a.jpg, annotation 9: the mask has 2x5 pixels, the image 30x40",
    ),
    "polygons without a size": (
        {
            "images": [{"id": 7, "file_name": "a.jpg"}],
            "annotations": [{**ANNOTATION, "segmentation": [[1, 2, 3, 4, 5, 6]]}],
        },
        "frame a.jpg, annotation 9: it has no bbox, and its image no width and height; add the one or the other",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(tmp_path: Path, case: str) -> None:
    changes, message = BAD[case]
    with pytest.raises(DataError, match=re.escape(message)):
        run(coco(tmp_path, **changes), tmp_path / "out.json", "coco")
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


def test_results_alone_are_named(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    with pytest.raises(DataError, match=r"r.json: results, whose ids .* --image-ids"):
        run(tmp_path / "r.json", tmp_path / "out.json", "coco")


def test_every_name_of_detection_is_converted(tmp_path: Path) -> None:
    labels = [Label(str(i), name, box2d=Box2D(0, 0, 9, 9)) for i, name in enumerate(DET_NAMES)]
    run(write(tmp_path, [Frame("a.jpg", labels=labels)]), tmp_path / "coco.json", "coco")
    annotations = json.loads((tmp_path / "coco.json").read_text())["annotations"]
    assert [one["category_id"] - 1 for one in annotations] == [DET_CLASSES[name].index for name in DET_NAMES]
