"""Data of one's own: COCO, Scalabel, YOLO, masks and bitmasks registered in one line, or refused by name."""

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from support.frames import write_image

import bdd100k_d2
from bdd100k_d2.config import load_config
from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.data.dataset_task import dataset_task
from bdd100k_d2.data.own_dataset import register_config_datasets, register_dataset
from bdd100k_d2.data.slices import register_slice, slice_frames
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.prediction_files import write_mask
from bdd100k_d2.report.evaluated_set import find_set
from bdd100k_d2.report.run_config import OwnData
from bdd100k_d2.tasks import TASKS, Task

pytestmark = pytest.mark.usefixtures("catalogs_as_they_were")


def write_images(folder: Path, *names: str, height: int = 60, width: int = 100) -> Path:
    for name in names:
        write_image(folder / name, height, width)
    return folder


def write_coco(path: Path, categories: dict[int, str], images: dict[str, list[tuple[int, list[float]]]]) -> Path:
    """A COCO file of boxes (category id, bbox) by the names of images, without their sizes."""
    document: dict[str, Any] = {"images": [], "annotations": []}
    document["categories"] = [{"id": key, "name": name} for key, name in categories.items()]
    for number, (name, boxes) in enumerate(images.items(), 1):
        document["images"].append({"id": number, "file_name": name})
        for key, box in boxes:
            count = len(document["annotations"])
            document["annotations"].append({"id": count, "image_id": number, "category_id": key, "bbox": box})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def boxes_of(record: dict[str, Any]) -> list[tuple[int, list[float]]]:
    return [(one["category_id"], one["bbox"]) for one in record["annotations"]]


PETS = {90: "dog", 3: "cat", 7: "bird"}


# COCO


def test_a_coco_file_with_gaps_in_its_ids_sub_folders_other_endings_and_empty_frames(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.PNG", "deep/er/été.jpeg", "c.webp")
    write_image(tmp_path / "images/wide.png", 30, 200)
    labels = write_coco(
        tmp_path / "my.json",
        PETS,
        {
            "a.jpg": [(90, [1, 2, 30, 40]), (3, [5.5, 6.25, 0.5, 0.75])],
            "somewhere/été.jpg": [(7, [0, 0, 100, 60])],
            "c.jpg": [],
            "wide.png": [(3, [150, 1, 50, 29])],
        },
    )
    assert bdd100k_d2.register_dataset("pets", labels, tmp_path / "images") == ("pets",)
    a, b, c, wide = DatasetCatalog.get("pets")
    assert [one["image_id"] for one in (a, b, c, wide)] == ["a.jpg", "été.jpg", "c.jpg", "wide.png"]
    assert a["file_name"] == str(tmp_path / "images/a.PNG") and b["file_name"].endswith("deep/er/été.jpeg")
    assert [(one["height"], one["width"]) for one in (a, b, c, wide)] == [(60, 100)] * 3 + [(30, 200)]
    assert boxes_of(a) == [(2, [1, 2, 30, 40]), (0, [5.5, 6.25, 0.5, 0.75])]
    assert (boxes_of(b), boxes_of(c), boxes_of(wide)) == ([(1, [0, 0, 100, 60])], [], [(0, [150, 1, 50, 29])])
    metadata = MetadataCatalog.get("pets")
    assert metadata.thing_classes == ["cat", "bird", "dog"] and metadata.evaluator_type == "bdd100k_det"
    assert metadata.thing_dataset_id_to_contiguous_id == {3: 0, 7: 1, 90: 2}
    assert (metadata.image_root, metadata.label_path) == (str(tmp_path / "images"), str(labels))
    assert not hasattr(metadata, "json_file") and metadata.get("registered_as", None) is None
    task = dataset_task(metadata)
    assert task is not None and task.names == ("cat", "bird", "dog") and not task.is_official


def test_sizes_that_a_coco_file_states_are_taken(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg")
    labels = write_coco(tmp_path / "my.json", PETS, {"a.jpg": [(3, [1, 2, 3, 4])]})
    document = json.loads(labels.read_text())
    document["images"][0] |= {"width": 640, "height": 480}
    labels.write_text(json.dumps(document))
    register_dataset("pets", labels, tmp_path / "images")
    (record,) = DatasetCatalog.get("pets")
    assert (record["height"], record["width"]) == (480, 640)


def test_classes_choose_order_and_leave_others_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path / "images", "a.jpg", "b.jpg")
    frames = {"a.jpg": [(90, [1, 1, 9, 9]), (3, [2, 2, 9, 9]), (7, [3, 3, 9, 9])], "b.jpg": [(7, [4, 4, 9, 9])]}
    labels = write_coco(tmp_path / "my.json", PETS, frames)
    colors = [[1, 2, 3], [4, 5, 6]]
    register_dataset("pets", labels, tmp_path / "images", classes=["dog", "cat"], colors=colors)
    with caplog.at_level(logging.WARNING):
        a, b = DatasetCatalog.get("pets")
    assert boxes_of(a) == [(0, [1, 1, 9, 9]), (1, [2, 2, 9, 9])] and boxes_of(b) == []
    assert caplog.messages == [f"{labels}: labels of other classes are left out: bird (2)."]
    metadata = MetadataCatalog.get("pets")
    assert metadata.thing_classes == ["dog", "cat"] and metadata.thing_colors == [(1, 2, 3), (4, 5, 6)]
    assert metadata.thing_dataset_id_to_contiguous_id == {90: 0, 3: 1}


def test_own_names_are_exact_and_bdd100k_s_own_have_their_other_names(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg")
    names = {1: "person", 2: "van", 3: "other vehicle", 4: "car", 5: "pedestrian"}
    labels = write_coco(tmp_path / "my.json", names, {"a.jpg": [(key, [key, 1, 9, 9]) for key in names]})
    register_dataset("some", labels, tmp_path / "images", classes=["car", "pedestrian"])
    (record,) = DatasetCatalog.get("some")
    assert boxes_of(record) == [(0, [4, 1, 9, 9]), (1, [5, 1, 9, 9])]
    document = json.loads(labels.read_text())
    document["categories"] += [{"id": 6 + i, "name": name} for i, name in enumerate(TASKS["det"].names)]
    labels.write_text(json.dumps(document))
    register_dataset("some", labels, tmp_path / "images", classes=TASKS["det"].names)
    assert dataset_task(MetadataCatalog.get("some")) is TASKS["det"]
    (record,) = DatasetCatalog.get("some")
    assert [(one["category_id"], one["iscrowd"]) for one in record["annotations"]] == [
        (0, 0),
        (2, 0),
        (2, 1),
        (2, 0),
        (0, 0),
    ]


def test_a_split_for_each_file_that_is_there_of_which_one_lacks_a_class(tmp_path: Path) -> None:
    for split, categories in (("train", PETS), ("val", {1: "dog", 2: "cat"})):
        write_images(tmp_path / "images" / split, f"{split}.jpg")
        key = next(iter(categories))
        write_coco(tmp_path / f"coco/{split}.json", categories, {f"{split}.jpg": [(key, [1, 1, 9, 9])]})
    found = register_dataset("pets", tmp_path / "coco/{split}.json", tmp_path / "images/{split}")
    assert found == ("pets_train", "pets_val")
    for name in found:
        assert MetadataCatalog.get(name).thing_classes == ["cat", "bird", "dog"]
        (record,) = DatasetCatalog.get(name)
        assert boxes_of(record) == [(2, [1, 1, 9, 9])]
    # One folder with the images of all splits
    write_images(tmp_path / "all", "train.jpg", "val.jpg")
    classes = ["bird", "dog"]
    register_dataset("pets", str(tmp_path / "coco/{split}.json"), tmp_path / "all", classes=classes)
    assert boxes_of(DatasetCatalog.get("pets_val")[0]) == [(1, [1, 1, 9, 9])]


def test_polygons_of_coco_are_instances(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg")
    labels = write_coco(tmp_path / "my.json", PETS, {"a.jpg": [(3, [10, 10, 20, 20])]})
    document = json.loads(labels.read_text())
    document["images"][0] |= {"width": 100, "height": 60}
    document["annotations"][0]["segmentation"] = [[10, 10, 30, 10, 30, 30, 10, 30]]
    labels.write_text(json.dumps(document))
    register_dataset("pets", labels, tmp_path / "images", task="ins_seg", classes=["dog", "cat"])
    (record,) = DatasetCatalog.get("pets")
    (one,) = record["annotations"]
    assert (one["category_id"], one["bbox"], one["segmentation"]["size"]) == (1, [10, 10, 20, 20], [60, 100])
    assert (record["height"], record["width"]) == (60, 100)


# Scalabel


def test_a_scalabel_file_states_size_and_classes(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg", "b.jpg", height=48, width=64)
    label = {"id": "0", "category": "scooter", "box2d": {"x1": 1, "y1": 2, "x2": 10, "y2": 20}}
    document = {
        "frames": [{"name": "a.jpg", "labels": [label]}, {"name": "b.jpg", "labels": None}],
        "config": {
            "imageSize": {"width": 64, "height": 48},
            "categories": [{"name": "two wheels", "subcategories": [{"name": "scooter"}, {"name": "bike"}]}],
        },
    }
    (tmp_path / "my.json").write_text(json.dumps(document))
    register_dataset("mine", tmp_path / "my.json", tmp_path / "images")
    assert MetadataCatalog.get("mine").thing_classes == ["scooter", "bike"]
    a, b = DatasetCatalog.get("mine")
    assert boxes_of(a) == [(0, [1, 2, 10, 19])] and boxes_of(b) == []
    assert {(one["height"], one["width"]) for one in (a, b)} == {(48, 64)}
    # Of a list the classes are BDD100K's, unless they are given; the size is the image's.
    (tmp_path / "list.json").write_text(json.dumps(document["frames"]))
    register_dataset("mine", tmp_path / "list.json", tmp_path / "images")
    with pytest.raises(DataError, match=r"unknown category 'scooter'.* give register_dataset classes"):
        DatasetCatalog.get("mine")
    register_dataset("mine", tmp_path / "list.json", tmp_path / "images", classes=["scooter"])
    assert {(one["height"], one["width"]) for one in DatasetCatalog.get("mine")} == {(48, 64)}


def test_a_folder_of_the_first_release(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg")
    box = {"category": "car", "box2d": {"x1": 1, "y1": 2, "x2": 10, "y2": 20}}
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.json").write_text(json.dumps({"name": "a", "frames": [{"objects": [box]}]}))
    register_dataset("mine", tmp_path / "labels", tmp_path / "images")
    assert dataset_task(MetadataCatalog.get("mine")) is TASKS["det"]
    assert boxes_of(DatasetCatalog.get("mine")[0]) == [(2, [1, 2, 10, 19])]


# YOLO


def write_yolo(root: Path, *splits: str) -> Path:
    for split in splits:
        write_images(root / split / "images", f"{split}_a.jpg", f"{split}_b.png", height=50, width=100)
        (root / split / "labels").mkdir()
        (root / split / "labels" / f"{split}_a.txt").write_text("1 0.5 0.5 0.2 0.4\n0 0.25 0.5 0.1 0.0\n")
    lines = [f"{split}: ../{split}/images\n" for split in splits]
    (root / "data.yaml").write_text(f"{''.join(lines)}nc: 2\nnames: [mug, plate]\n")
    return root


@pytest.mark.parametrize("given", ["data.yaml", "."])
def test_a_yolo_data_set_registers_each_of_its_splits(
    tmp_path: Path, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_yolo(tmp_path, "train", "valid")
    assert register_dataset("cups", tmp_path / given) == ("cups_train", "cups_val")
    with caplog.at_level(logging.WARNING):
        a, b = DatasetCatalog.get("cups_val")
    assert (a["image_id"], b["image_id"]) == ("valid_a.jpg", "valid_b.png")
    assert boxes_of(a) == [(1, [40, 15, 20, 20])] and boxes_of(b) == []
    assert (a["height"], a["width"]) == (50, 100)
    assert "1 boxes without an area are left out." in caplog.text
    metadata = MetadataCatalog.get("cups_val")
    assert metadata.thing_classes == ["mug", "plate"] and metadata.image_root == str(tmp_path / "valid/images")
    assert MetadataCatalog.get("cups_train").image_root == str(tmp_path / "train/images")


def test_yolo_labels_without_a_file_of_names_get_those_that_are_given(tmp_path: Path) -> None:
    write_images(tmp_path / "x/pictures", "ä b.bmp")
    (tmp_path / "x/texts").mkdir()
    (tmp_path / "x/texts/ä b.txt").write_text("1 0.5 0.5 0.2 0.5\n")
    register_dataset("cups", tmp_path / "x/texts", tmp_path / "x/pictures", classes=["mug", "plate"])
    (record,) = DatasetCatalog.get("cups")
    assert boxes_of(record) == [(1, [40, 15, 20, 30])] and record["image_id"] == "ä b.bmp"


def test_labels_of_yolo_that_cannot_be(tmp_path: Path) -> None:
    write_yolo(tmp_path, "train")
    (tmp_path / "train/labels/train_a.txt").write_text("2 0.5 0.5 0.2 0.4\n")
    register_dataset("cups", tmp_path)
    with pytest.raises(DataError, match=r"line 1: class 2, but there are 2 classes, 0 to 1; check classes\."):
        DatasetCatalog.get("cups_train")
    (tmp_path / "train/images/train_a.jpg").unlink()
    with pytest.raises(DataError, match=r"train_a.txt: no image of these labels is there; give register_dataset their"):
        DatasetCatalog.get("cups_train")
    (tmp_path / "data.yaml").write_text("train: train/images\n")
    with pytest.raises(DataError, match="no names of classes, so it is no data.yaml"):
        register_dataset("cups", tmp_path / "data.yaml")


def test_labels_of_the_conversion_s_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    with pytest.raises(ConfigError, match="labels of det are coco or scalabel or yolo, this is coco_results"):
        register_dataset("pets", tmp_path / "results.json", tmp_path)


def test_ids_that_nothing_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path / "x/pictures", "a.jpg")
    (tmp_path / "x/texts").mkdir()
    (tmp_path / "x/texts/a.txt").write_text("1 0.5 0.5 0.2 0.5\n")
    with pytest.raises(
        ConfigError, match="data set cups: nothing in .*texts names the classes of its numbers; give cl"
    ):
        register_dataset("cups", tmp_path / "x/texts", tmp_path / "x/pictures")
    write_mask(np.zeros((60, 100), np.uint8), tmp_path / "masks/a.png")
    register_dataset("floors", tmp_path / "masks", tmp_path / "x/pictures", task="sem_seg")
    assert "masks: no classes are given: its ids are taken for BDD100K's of sem_seg" in caplog.text


def test_some_classes_of_yolo(tmp_path: Path) -> None:
    write_yolo(tmp_path, "train")
    assert register_dataset("cups", tmp_path, classes=["plate"]) == ("cups_train",)
    assert boxes_of(DatasetCatalog.get("cups_train")[0]) == [(0, [40, 15, 20, 20])]


# Masks and bitmasks


def test_masks_of_own_classes_have_the_size_of_the_file(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "in/a.png", "b.jpg", height=30, width=40)
    write_mask(np.full((30, 40), 1, np.uint8), tmp_path / "masks/a.png")
    write_mask(np.full((30, 40), 255, np.uint8), tmp_path / "masks/more/b.png")
    register_dataset("floors", tmp_path / "masks", tmp_path / "images", task="sem_seg", classes=["floor", "wall"])
    a, b = sorted(DatasetCatalog.get("floors"), key=lambda record: record["image_id"])
    assert (a["image_id"], a["height"], a["width"]) == ("a.png", 30, 40)
    assert a["sem_seg_file_name"] == str(tmp_path / "masks/a.png") and b["file_name"].endswith("images/b.jpg")
    metadata = MetadataCatalog.get("floors")
    assert (metadata.stuff_classes, metadata.evaluator_type) == (["floor", "wall"], "bdd100k_sem_seg")
    task = dataset_task(metadata)
    assert task is not None and task.num_classes == 2 and task.class_of_value[:3] == (0, 1, -1)


def write_bitmask(path: Path, *categories: int) -> None:
    instances = np.zeros((60, 100), np.int32)
    for i in range(len(categories)):
        instances[10 * i : 10 * i + 8, 5:25] = i + 1
    ids = np.arange(1, len(categories) + 1)
    write_mask(encode_bitmask(Bitmask(instances, ids, np.array(categories), np.zeros(len(ids), np.uint8))), path)


def test_bitmasks_of_own_classes(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg")
    write_bitmask(tmp_path / "bitmasks/a.png", 2, 1)
    register_dataset("pets", tmp_path / "bitmasks", tmp_path / "images", task="ins_seg", classes=["dog", "cat"])
    (record,) = DatasetCatalog.get("pets")
    assert boxes_of(record) == [(1, [5, 0, 20, 8]), (0, [5, 10, 20, 8])] and record["height"] == 60
    write_bitmask(tmp_path / "bitmasks/a.png", 3)
    with pytest.raises(DataError, match=r"holds the category ids \[3\]; 1 to 2 are allowed"):
        DatasetCatalog.get("pets")


def test_panoptic_bitmasks_of_own_classes(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg")
    write_bitmask(tmp_path / "bitmasks/a.png", 1, 2, 3)
    classes = ["lawn", "sky", "dog"]
    register_dataset("g", tmp_path / "bitmasks", tmp_path / "images", task="pan_seg", classes=classes, things=["dog"])
    metadata = MetadataCatalog.get("g")
    assert metadata.stuff_classes == ["things", "lawn", "sky"] and metadata.thing_classes == ["dog"]
    assert metadata.stuff_dataset_id_to_contiguous_id == {1: 1, 2: 2}
    assert metadata.thing_dataset_id_to_contiguous_id == {3: 0}
    (record,) = DatasetCatalog.get("g")
    assert [(one["isthing"], one["category_id"]) for one in record["segments_info"]] == [
        (False, 1),
        (False, 2),
        (True, 0),
    ]
    assert boxes_of(record) == [(0, [5, 20, 20, 8])]
    task = dataset_task(metadata)
    assert task is not None and task.names == ("lawn", "sky", "dog")


# Names


def test_own_data_sets_are_replaced_with_their_slices_and_foreign_ones_are_not(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg", "b.jpg")
    frames = {"a.jpg": [(3, [1, 1, 9, 9])], "b.jpg": [(7, [1, 1, 9, 9])]}
    labels = write_coco(tmp_path / "my.json", PETS, frames)
    register_dataset("pets", labels, tmp_path / "images")
    register_slice("some_pets", "pets", first=1)
    register_slice("few_pets", "some_pets", share=1)
    register_dataset("pets", labels, tmp_path / "images", classes=["cat"])
    assert MetadataCatalog.get("few_pets").thing_classes == ["cat"]
    (record,) = DatasetCatalog.get("few_pets")
    assert boxes_of(record) == [(0, [1, 1, 9, 9])]
    # Other records with a copy of the metadata are no data set of here.
    DatasetCatalog.register("theirs", list)
    copied = MetadataCatalog.get("pets").as_dict()
    MetadataCatalog.get("theirs").set(**{key: value for key, value in copied.items() if key != "name"})
    for name in ("theirs", "bdd100k_det_val", "bdd100k_det_val_night", "some_pets"):
        with pytest.raises(ConfigError, match=f"a data set named {name} is registered; choose another name"):
            register_dataset(name, labels, tmp_path / "images")


def test_slices_by_the_attributes_of_a_file(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg", "b.jpg")
    box = {"category": "cat", "box2d": {"x1": 1, "y1": 2, "x2": 10, "y2": 20}}
    times = {"a.jpg": "night", "b.jpg": "daytime"}
    frames = [{"name": name, "attributes": {"timeofday": time}, "labels": [box]} for name, time in times.items()]
    (tmp_path / "my.json").write_text(json.dumps(frames))
    register_dataset("mine", tmp_path / "my.json", tmp_path / "images", classes=["cat"])
    register_slice("dark", "mine", timeofday="night")
    assert [one["image_id"] for one in DatasetCatalog.get("dark")] == ["a.jpg"] and slice_frames("dark") == {"a"}
    assert MetadataCatalog.get("dark").get("registered_as", None) is None
    write_yolo(tmp_path / "yolo", "train")
    register_dataset("cups", tmp_path / "yolo")
    register_slice("dark_cups", "cups_train", timeofday="night")
    with pytest.raises(DataError, match=r"the attributes of its frames are in none of its files; .* attributes_file"):
        DatasetCatalog.get("dark_cups")


# Refusals


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", "a.jpg")
    write_coco(tmp_path / "my.json", PETS, {"a.jpg": [(3, [1, 1, 9, 9])]})
    write_mask(np.zeros((60, 100), np.uint8), tmp_path / "masks/a.png")
    write_bitmask(tmp_path / "bitmasks/a.png", 1)
    write_yolo(tmp_path / "yolo", "train", "val")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a/b"}, "data set 'a/b': a name has up to 200 letters"),
        ({"task": "detect"}, "data set pets: 'detect' is no task; there are det, sem_seg"),
        ({"labels": 3}, "data set pets: labels are 3; give a path"),
        ({"labels": "there.json"}, "data set pets: no labels at .*there.json; check the path"),
        ({"labels": "{split}.json"}, r"no labels of a split are there \(.*train.json, .*val.json, .*test.json\)"),
        ({"images": "pics"}, "no folder of images at .*pics; check the path"),
        ({"images": None}, "no folder of images is given, which only YOLO can do without"),
        ({"images": "{split}"}, r"\{split\} is in images and not in labels; write it in both"),
        ({"classes": "cat"}, "classes are 'cat'; write a list of names"),
        ({"classes": []}, r"classes are \[\]; write a list of names"),
        ({"classes": ["cat", " "]}, "write a list of names"),
        ({"classes": ["cat", "cat"]}, "cat stands twice among the classes; take one of them out"),
        ({"classes": ["cat", "Dog"]}, "my.json state to have no class 'Dog', but cat, bird, dog; mend classes"),
        ({"colors": [[1, 2, 3]]}, "colors are .red, green, blue., of 0 to 255, of each of the 3 classes"),
        ({"colors": [[1, 2, 300]] * 3}, "colors are"),
        ({"things": ["cat"]}, "things are of pan_seg, not of det; leave them out"),
        (
            {"task": "sem_seg"},
            "my.json: labels of sem_seg are masks, this is coco; its run lengths and polygons are not painted",
        ),
        ({"labels": "bitmasks", "task": "sem_seg"}, "labels of sem_seg are masks, this is bitmasks"),
        ({"labels": "masks", "task": "ins_seg"}, "labels of ins_seg are bitmasks or coco or scalabel, this is masks"),
        ({"labels": "masks"}, "labels of det are coco or scalabel or yolo, this is masks"),
        ({"labels": "yolo", "task": "ins_seg"}, "labels of ins_seg are .*, this is yolo"),
        (
            {"labels": "bitmasks", "task": "pan_seg", "classes": ["cat", "sky"]},
            "own classes of pan_seg are stuff, then",
        ),
        (
            {"labels": "bitmasks", "task": "pan_seg", "classes": ["cat", "sky"], "things": ["cat"]},
            "give things, which are the last of the classes, in their order",
        ),
        ({"labels": "bitmasks", "task": "pan_seg", "things": ["car"]}, "the classes are BDD100K's, which have things"),
    ],
)
def test_what_cannot_be_registered(pets: Path, given: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"name": "pets", "labels": "my.json", "images": "images"} | given
    for key in ("labels", "images"):
        if isinstance(arguments[key], str):
            arguments[key] = pets / arguments[key]
    with pytest.raises((ConfigError, DataError), match=message):
        register_dataset(**arguments)
    assert not {"pets", "pets_train"} & set(DatasetCatalog.list())


def test_splits_whose_classes_have_other_ids(pets: Path) -> None:
    write_coco(pets / "train.json", {1: "cat"}, {"a.jpg": [(1, [1, 1, 9, 9])]})
    write_coco(pets / "val.json", {1: "dog", 2: "cat"}, {"a.jpg": [(1, [1, 1, 9, 9])]})
    with pytest.raises(ConfigError, match=r"val.json has the class dog, which .*train.json has not.*; give classes"):
        register_dataset("pets", pets / "{split}.json", pets / "images")
    register_dataset("pets", pets / "{split}.json", pets / "images", classes=["cat", "dog"])
    assert boxes_of(DatasetCatalog.get("pets_val")[0]) == [(1, [1, 1, 9, 9])]


def test_labels_of_no_class_or_without_their_images(pets: Path) -> None:
    register_dataset("pets", pets / "my.json", pets / "images", classes=["dog"])
    with pytest.raises(DataError, match=r"my.json: has nothing of the classes dog: its 1 labels are of cat .1.; check"):
        DatasetCatalog.get("pets")
    write_coco(pets / "my.json", PETS, {"a.jpg": [(3, [1, 1, 9, 9])], "b.jpg": [], "c.jpg": []})
    with pytest.raises(DataError, match=r"images: 2 of 3 images of the labels in .*my.json are missing, the first is"):
        DatasetCatalog.get("pets")
    write_images(pets / "images/one", "b.jpg")
    write_images(pets / "images/two", "b.jpg", "c.jpg")
    with pytest.raises(DataError, match="are images of one name"):
        DatasetCatalog.get("pets")


def test_labels_of_nothing_are_a_test_set(
    pets: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_coco(pets / "my.json", PETS, {"a.jpg": []})
    monkeypatch.chdir(pets)
    register_dataset("pets", "my.json", "images")
    # The folder of a process later is another one.
    monkeypatch.chdir("/")
    (record,) = DatasetCatalog.get("pets")
    assert record["image_id"] == "a.jpg" and "annotations" not in record
    assert "my.json: no frame has a label: pets is a test set, which has no scores." in caplog.text


def test_two_categories_of_one_name_are_one_class(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_coco(pets / "my.json", {1: "cat", 4: "cat"}, {"a.jpg": [(1, [1, 1, 9, 9]), (4, [20, 20, 9, 9])]})
    register_dataset("pets", pets / "my.json", pets / "images")
    assert [category for category, _ in boxes_of(DatasetCatalog.get("pets")[0])] == [0, 0]
    assert MetadataCatalog.get("pets").thing_dataset_id_to_contiguous_id == {1: 0}
    assert "my.json: two categories are called cat; they are one class." in caplog.text


def test_a_box_outside_of_its_image(pets: Path) -> None:
    write_coco(pets / "my.json", PETS, {"a.jpg": [(3, [101, 1, 9, 9])]})
    register_dataset("pets", pets / "my.json", pets / "images")
    with pytest.raises(DataError, match=r"frame a.jpg, label 0 \(cat\): the box .* is outside of the image"):
        DatasetCatalog.get("pets")


# In a config


def config_with(tmp_path: Path, *rows: dict[str, Any]) -> Any:  # noqa: ANN401
    (tmp_path / "config.yaml").write_text(json.dumps({"DATASETS": {"OWN": rows}}))
    return load_config(tmp_path / "config.yaml")


def test_a_config_registers_data_and_slices_of_it_and_keeps_the_classes(pets: Path) -> None:
    row = {"name": "pets", "labels": str(pets / "my.json"), "images": str(pets / "images")}
    cfg = config_with(pets, row, row | {"name": "cats", "classes": ["cat"], "colors": [[9, 9, 9]]})
    cfg.DATASETS.SLICES = [{"name": "a_pet", "base": "pets", "names": ["a"]}]
    cfg.freeze()
    register_config_datasets(cfg)
    assert boxes_of(DatasetCatalog.get("a_pet")[0]) == [(1 - 1, [1, 1, 9, 9])]
    assert MetadataCatalog.get("cats").thing_colors == [(9, 9, 9)]
    # What is dumped of the config has the classes, so that a prediction elsewhere needs no labels.
    dumped = pets / "dumped.yaml"
    dumped.write_text(cfg.dump())
    assert [one["classes"] for one in load_config(dumped).DATASETS.OWN] == [["cat", "bird", "dog"], ["cat"]]
    # To change the classes of the config is to change no other's, and not those that are kept of the file.
    cfg.DATASETS.OWN[0]["classes"].append("fish")
    another = config_with(pets, row)
    register_config_datasets(another)
    assert another.DATASETS.OWN[0]["classes"] == ["cat", "bird", "dog"]
    for name in ("a_pet", "pets", "cats"):
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    (pets / "my.json").unlink()
    register_config_datasets(load_config(dumped))
    assert MetadataCatalog.get("pets").thing_classes == ["cat", "bird", "dog"]
    assert MetadataCatalog.get("a_pet").thing_classes == ["cat", "bird", "dog"]
    with pytest.raises(DataError, match="my.json: no such file or folder"):
        DatasetCatalog.get("pets")


def test_a_config_of_splits_that_are_not_there(tmp_path: Path) -> None:
    row = {"name": "p", "labels": str(tmp_path / "{split}.json"), "images": "none/{split}", "classes": ["cat"]}
    register_config_datasets(config_with(tmp_path, row))
    assert {"p_train", "p_val", "p_test"} <= set(DatasetCatalog.list())
    del row["classes"]
    with pytest.raises(DataError, match="data set p: no labels of a split are there"):
        register_config_datasets(config_with(tmp_path, row))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("pets", "DATASETS.OWN: 'pets' is no data set; write each as"),
        ({"name": "pets"}, "is no data set; write each as {name: mine"),
        ({"name": "pets", "labels": "a", "image": "b"}, "DATASETS.OWN: pets has the key image; there are name, labels"),
    ],
)
def test_bad_data_sets_of_a_config(tmp_path: Path, row: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=message):
        register_config_datasets(config_with(tmp_path, row))


def test_no_list_of_data_sets(tmp_path: Path) -> None:
    cfg = CfgNode({"DATASETS": {"OWN": {"name": "pets"}, "SLICES": []}})
    with pytest.raises(ConfigError, match=r"DATASETS.OWN: .* is no list of data sets; write \[\] for none"):
        register_config_datasets(cfg)


def test_an_image_can_be_read_as_it_was_written(pets: Path) -> None:
    register_dataset("pets", pets / "my.json", pets / "images")
    (record,) = DatasetCatalog.get("pets")
    assert cv2.imread(record["file_name"]).shape[:2] == (record["height"], record["width"])


# Two of one name


def test_two_rows_of_one_name_are_one_data_set_or_refused(pets: Path) -> None:
    row = {"name": "pets", "labels": str(pets / "my.json"), "images": str(pets / "images")}
    # The same again, and a config that is set up again.
    for _ in range(2):
        register_config_datasets(config_with(pets, row, row | {"classes": ["cat", "bird", "dog"]}))
    others: list[dict[str, Any]] = [
        {"classes": ["cat"]},
        {"colors": [[1, 2, 3]] * 3},
        {"images": str(pets / "yolo/train/images")},
        {"task": "sem_seg", "labels": str(pets / "masks"), "classes": ["floor"]},
    ]
    for other in others:
        with pytest.raises(
            ConfigError,
            match=r"DATASETS.OWN: two data sets would be called pets, one of labels .*my.json, images .*images, task "
            r"det, classes cat, bird, dog, the other of labels .*; rename one",
        ):
            register_config_datasets(config_with(pets, row, row | other))
    # A data set with splits and one by the name of a split.
    yolo = {"name": "cups", "labels": str(pets / "yolo")}
    with pytest.raises(ConfigError, match="two data sets would be called cups_train, one of labels .*yolo, task det"):
        register_config_datasets(config_with(pets, yolo, row | {"name": "cups_train"}))


def test_a_call_replaces_and_a_config_does_not_replace_a_call(pets: Path) -> None:
    row = {"name": "pets", "labels": str(pets / "my.json"), "images": str(pets / "images"), "classes": ["cat"]}
    register_config_datasets(config_with(pets, row))
    # Another config, as in a notebook.
    register_config_datasets(config_with(pets, row | {"classes": ["cat", "dog"]}))
    assert MetadataCatalog.get("pets").thing_classes == ["cat", "dog"]
    register_dataset("pets", pets / "my.json", pets / "images")
    register_config_datasets(config_with(pets, row | {"classes": ["cat", "bird", "dog"]}))
    register_dataset("pets", pets / "my.json", pets / "images", classes=["dog", "cat"])
    with pytest.raises(ConfigError, match="two data sets would be called pets, one of .* classes dog, cat, the other"):
        register_config_datasets(config_with(pets, row))
    DatasetCatalog.remove("pets")
    register_config_datasets(config_with(pets, row))
    assert MetadataCatalog.get("pets").thing_classes == ["cat"]


# Colours


def test_bdd100k_s_classes_in_own_colours(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg")
    names = [*TASKS["det"].names]
    labels = write_coco(
        tmp_path / "my.json", {1: "van", **{3 + i: name for i, name in enumerate(names)}}, {"a.jpg": []}
    )
    colors = [[i, 2 * i, 255 - i] for i in range(len(names))]
    register_dataset("cars", labels, tmp_path / "images", classes=names, colors=colors)
    task = dataset_task(MetadataCatalog.get("cars"))
    assert task is not None and task.colors == tuple(map(tuple, colors))
    # They are BDD100K's in all else.
    assert task.is_official and task.label_classes["van"].index == 2 and pickle.loads(pickle.dumps(task)) == task
    assert evaluated_task(tmp_path, labels, names, colors).colors == task.colors
    metadata = MetadataCatalog.get("cars")
    # A user may also set them afterwards; Detectron2 lets nobody change what is set.
    del metadata.thing_colors
    metadata.thing_colors = [(7, 7, 7)] * len(names)
    task = dataset_task(metadata)
    assert task is not None and set(task.colors) == {(7, 7, 7)} and task.is_official
    del metadata.thing_colors
    assert dataset_task(metadata) is TASKS["det"]
    masks = tmp_path / "masks"
    write_mask(np.zeros((60, 100), np.uint8), masks / "a.png")
    colors = [[9, 8, 7]] * 3
    register_dataset("roads", masks, tmp_path / "images", task="drivable", colors=colors)
    task = dataset_task(MetadataCatalog.get("roads"))
    assert task is not None and task.colors == ((9, 8, 7),) * 3 and task.unscored == TASKS["drivable"].unscored


def evaluated_task(folder: Path, labels: Path, classes: list[str], colors: list[list[int]]) -> Task:
    row = OwnData("cars", str(labels), str(folder / "images"), classes=tuple(classes), colors=tuple(map(tuple, colors)))
    return find_set("cars", (row,), folder, None, folder / "config.yaml").task
