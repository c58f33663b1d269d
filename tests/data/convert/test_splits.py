"""The split that a name speaks of."""

import re
from pathlib import Path

import pytest
from support.conversion_cases import run, sized, write

from bdd100k_d2.data.convert.splits import same_split, split_of
from bdd100k_d2.data.labels import Box2D, Label
from bdd100k_d2.errors import ConfigError, DataError

NAMES = {
    "valid/_annotations.coco.json": "val",
    "val2017/x.json": "val",
    "Val/x.json": "val",
    "instances_val2017.json": "val",
    "det-val.json": "val",
    "det_validation.json": "val",
    "bdd100k_val.json": "val",
    "Val.json": "val",
    "val.coco.json": "val",
    "det.val.json": "val",
    "my val.json": "val",
    "det_training.json": "train",
    "TRAIN.json": "train",
    "training/labels.json": "train",
    "test-dev2017.json": "test",
    "testing.json": "test",
    "val/labels_train.json": "train",
    "interval.json": None,
    "contest.json": None,
    "trainval2017.json": None,
    "train_val.json": None,
    "val-val2017.json": "val",
    "validity.json": None,
    "my_test/labels.json": None,
    "labels.json": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_split_of_a_name(name: str) -> None:
    assert split_of(Path("/data/set", name)) == NAMES[name]


def test_the_target_has_the_split_of_the_source(tmp_path: Path) -> None:
    source = write(tmp_path, [sized(Label("1", "car", box2d=Box2D(0, 0, 9, 9)))], "det-val2017.json")
    assert run(source, tmp_path / "yolo", "yolo").path == tmp_path / "yolo/labels/val"


def test_a_name_of_two_splits(tmp_path: Path) -> None:
    source = write(tmp_path, [sized(Label("1", "car", box2d=Box2D(0, 0, 9, 9)))], "train_val.json")
    with pytest.raises(ConfigError, match=r"train_val.json: its name speaks of train and of val; give one .* --split"):
        run(source, tmp_path / "yolo", "yolo")
    assert run(source, tmp_path / "yolo", "yolo", split="val").path == tmp_path / "yolo/labels/val"


def test_a_split_is_meant_by_one_name(tmp_path: Path) -> None:
    assert same_split("val", ["train", "valid"], tmp_path) == "valid"
    assert same_split("val2014", ["val2014", "val2017"], tmp_path) == "val2014"
    assert same_split("night", ["train"], tmp_path) is None
    with pytest.raises(DataError, match=re.escape("val2014 and val2017 may both be meant by --split val")):
        same_split("val", ["val2017", "val2014"], tmp_path)
