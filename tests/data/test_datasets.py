import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog, get_detection_dataset_dicts
from detectron2.structures import BoxMode
from support.frames import make_frame, write_image

import bdd100k_d2
from bdd100k_d2.data.datasets import load_det, load_images, load_masks
from bdd100k_d2.data.labels import Frame, LabelAttributes, write_frames
from bdd100k_d2.data.masks import mask_stem, read_mask
from bdd100k_d2.data.register import all_splits, locate, register_all
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg"):
        write_image(tmp_path / "images" / name)
    return tmp_path / "images"


def load(tmp_path: Path, *frames: Frame) -> list[dict]:
    write_frames(frames, tmp_path / "labels.json")
    return load_det(tmp_path / "labels.json", tmp_path / "images")


def test_boxes_are_inclusive_and_ignored_classes_are_crowd(tmp_path: Path, images: Path) -> None:
    frame = make_frame("a.jpg", ("motor", 10, 20, 10, 24.5), ("trailer", -3, 0, 159, 95), ("person", 1, 2, 3, 4))
    frame.labels[2].attributes = LabelAttributes(crowd=True)
    (record,) = load(tmp_path, frame)
    assert record["file_name"] == str(images / "a.jpg") and record["image_id"] == "a.jpg"
    assert (record["height"], record["width"]) == (96, 160)
    assert record["annotations"] == [
        {"bbox": [10, 20, 1, 5.5], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 6, "iscrowd": 0},
        {"bbox": [-3, 0, 163, 96], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 3, "iscrowd": 1},
        {"bbox": [1, 2, 3, 3], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0, "iscrowd": 1},
    ]


def test_frames_without_labels_are_kept(tmp_path: Path, images: Path) -> None:
    records = load(tmp_path, Frame(name="b.jpg"), Frame(name="a.jpg", labels=[]))
    assert [(record["image_id"], record["annotations"]) for record in records] == [("b.jpg", []), ("a.jpg", [])]
    assert (records[0]["height"], records[0]["width"]) == (720, 1280)


def test_labels_without_a_box_are_left_out(tmp_path: Path, images: Path) -> None:
    frame = make_frame("a.jpg", ("car", 1, 1, 2, 2))
    frame.labels[0].box2d = None
    assert load(tmp_path, frame)[0]["annotations"] == []


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (("boat", 1, 1, 2, 2), "frame a.jpg, label 0: unknown category 'boat'. Known are pedestrian, rider, car, "),
        (("car", 9, 1, 7, 5), r"frame a.jpg, label 0 \(car\): the box \(9, 1\) to \(7, 5\) is reversed"),
        (("car", 1, 9, 5, 7), "reversed or not finite"),
        (("car", 160, 1, 170, 5), "outside of the image"),
        (("car", 1, -9, 5, -1), "outside of the image"),
        (("car", 1, 96, 5, 99), "outside of the image"),
    ],
)
def test_bad_boxes_are_named(tmp_path: Path, images: Path, box: tuple, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, make_frame("a.jpg", box))


def test_a_box_of_nan(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "labels.json"
    write_frames([make_frame("a.jpg", ("car", 1.25, 1, 2, 2))], path)
    path.write_text(path.read_text().replace("1.25", "NaN"))
    with pytest.raises(DataError, match="labels.json: frame a.jpg.* holds a number that is NaN"):
        load_det(path, images)


def test_missing_images_are_counted_and_named(tmp_path: Path, images: Path) -> None:
    with pytest.raises(DataError, match="2 of 3 images named in .*labels.json are missing, the first is c.jpg"):
        load(tmp_path, Frame(name="a.jpg"), Frame(name="c.jpg"), Frame(name="d.jpg"))


def test_names_do_not_leave_the_folder(tmp_path: Path, images: Path) -> None:
    with pytest.raises(DataError, match=r"frame '\.\./images/a.jpg' is not a plain file name"):
        load(tmp_path, Frame(name="../images/a.jpg"))


def test_no_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", "nowhere")
    register_all()
    remedy = (
        "; check the path, or point --root or DETECTRON2_DATASETS (now nowhere) at the folder that holds bdd100k/; "
    )
    remedy += "datasets/README.md says what belongs there."
    for name, missing in (
        (
            "bdd100k_det_train",
            "labels/det_20/det_train.json: the label file cannot be read (No such file or directory)",
        ),
        ("bdd100k_sem_seg_val", "labels/sem_seg/masks/val: no such folder of masks (No such file or directory)"),
        ("bdd100k_det_test", "images/100k/test: no such folder of images (No such file or directory)"),
    ):
        with pytest.raises(DataError) as error:
            DatasetCatalog.get(name)
        assert str(error.value) == f"nowhere/bdd100k/{missing}{remedy}"
    monkeypatch.delenv("DETECTRON2_DATASETS")
    with pytest.raises(DataError, match=r"DETECTRON2_DATASETS \(not set, which means datasets\) at the folder"):
        read_labels(tmp_path / "det.json")


def test_an_empty_folder_of_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no .jpg file in the folder of images"):
        load_images(tmp_path)


def test_masks_go_with_their_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "masks").mkdir()
    for stem in ("b", "a", "ff55861e-a06b953c"):
        cv2.imwrite(str(tmp_path / f"masks/{stem}.png"), np.zeros((2, 2), np.uint8))
    for stem in ("a", "b", "c"):
        write_image(tmp_path / f"images/{stem}.jpg")
    records = load_masks(tmp_path / "masks", tmp_path / "images")
    assert [Path(record["file_name"]).name for record in records] == ["a.jpg", "b.jpg"]
    assert [Path(record["sem_seg_file_name"]).name for record in records] == ["a.png", "b.png"]
    assert "1 masks without an image" in caplog.text and "1 images without a mask" in caplog.text
    (tmp_path / "images/b.jpg").unlink()
    with pytest.raises(DataError, match="1 of 2 images of the masks in .* are missing, the first is b.jpg"):
        load_masks(tmp_path / "masks", tmp_path / "images")


def test_two_masks_of_a_frame(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for name in ("a.png", "a_train_id.png"):
        cv2.imwrite(str(tmp_path / "masks" / name), np.zeros((2, 2), np.uint8))
    write_image(tmp_path / "images/a.jpg")
    with pytest.raises(DataError, match="masks: a(_train_id)?.png and a(_train_id)?.png are masks of the same frame"):
        load_masks(tmp_path / "masks", tmp_path / "images")


def test_the_names_of_masks() -> None:
    assert mask_stem("masks/0004a4c0-d4dff0ad.png") == "0004a4c0-d4dff0ad"
    assert mask_stem(Path("seg/labels/0004a4c0-d4dff0ad_train_id.png")) == "0004a4c0-d4dff0ad"
    with pytest.raises(
        DataError, match="maps/a_drivable_id.png: a drivable map of 2018 has other ids .*drivable/masks"
    ):
        mask_stem("maps/a_drivable_id.png")


def test_drivable_maps_of_2018_are_refused(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    cv2.imwrite(str(tmp_path / "maps/a_drivable_id.png"), np.zeros((2, 2), np.uint8))
    write_image(tmp_path / "images/a.jpg")
    with pytest.raises(DataError, match="a_drivable_id.png: a drivable map of 2018"):
        load_masks(tmp_path / "maps", tmp_path / "images")


def test_the_segmentation_layout_of_2018(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = tmp_path / "bdd100k"
    (base / "seg/labels/val").mkdir(parents=True)
    cv2.imwrite(str(base / "seg/labels/val/a_train_id.png"), np.zeros((2, 2), np.uint8))
    for split in ("val", "test"):
        write_image(base / f"seg/images/{split}/a.jpg")
    register_all(tmp_path)
    with caplog.at_level(logging.INFO, "bdd100k_d2"):
        (record,) = DatasetCatalog.get("bdd100k_sem_seg_val")
    assert record["file_name"] == str(base / "seg/images/val/a.jpg")
    assert record["sem_seg_file_name"] == str(base / "seg/labels/val/a_train_id.png")
    assert record["image_id"] == "a.jpg"
    assert "sem_seg/masks/val is not there: " in caplog.text and "seg/labels/val is read in its place" in caplog.text
    (record,) = DatasetCatalog.get("bdd100k_sem_seg_test")
    assert record["file_name"] == str(base / "seg/images/test/a.jpg")
    assert locate("bdd100k_sem_seg_train", tmp_path).present().labels == base / "labels/sem_seg/masks/train"


def test_todays_masks_come_before_those_of_2018(tiny_root: Path) -> None:
    (tiny_root / "bdd100k/seg/labels/val").mkdir(parents=True)
    (tiny_root / "bdd100k/seg/images/val").mkdir(parents=True)
    split = locate("bdd100k_sem_seg_val", tiny_root)
    assert split.present()[:4] == split[:4]


def test_the_real_masks_of_2018_load(real_root: Path) -> None:
    base = real_root / "bdd100k"
    records = load_masks(base / "seg_2018/labels/train", base / "images/10k/train")
    assert [record["image_id"] for record in records] == [
        f"{stem}.jpg"
        for stem in (
            "0004a4c0-d4dff0ad",
            "00054602-3bf57337",
            "00bc0319-94afabc2",
            "00cc68dd-3d50a55f",
            "00d1c9e3-a7a7075f",
        )
    ]
    assert all(set(np.unique(read_mask(one["sem_seg_file_name"]))) <= {*range(19), 255} for one in records)


def test_the_vintage_is_logged(tmp_path: Path, images: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "bdd100k_d2"):
        load(tmp_path, make_frame("a.jpg", ("motor", 1, 1, 2, 2)), make_frame("b.jpg", ("car", 1, 1, 2, 2)))
    assert "labels.json: 2 frames of vintage 2018; scores on labels of another vintage" in caplog.text


def test_a_folder_of_label_files_loads(tmp_path: Path, images: Path) -> None:
    for name in ("b.jpg", "a.jpg"):
        write_frames([make_frame(name, ("car", 1, 1, 2, 2))], tmp_path / f"labels/{name}.json")
    assert [record["image_id"] for record in load_det(tmp_path / "labels", images)] == ["a.jpg", "b.jpg"]


def test_registration_covers_the_official_layout(tiny_root: Path) -> None:
    register_all(tiny_root)
    assert len(list(all_splits())) == 15
    counts = {"det": 10, "sem_seg": 19, "drivable": 3}
    for split in all_splits():
        metadata = MetadataCatalog.get(split.name)
        assert metadata.evaluator_type == f"bdd100k_{split.task}"
        assert (metadata.label_path is None) == (split.split == "test")
        if split.task in counts:
            assert len(DatasetCatalog.get(split.name)) == 3
            assert len(metadata.get("thing_classes") or metadata.stuff_classes) == counts[split.task]


def test_registering_another_root_replaces_the_first(tiny_root: Path, tmp_path: Path) -> None:
    register_all(tmp_path / "elsewhere")
    register_all(tiny_root)
    register_all(str(tiny_root))
    assert len(DatasetCatalog.get("bdd100k_det_val")) == 3
    assert MetadataCatalog.get("bdd100k_det_val").image_root == str(tiny_root / "bdd100k/images/100k/val")


def test_a_root_that_is_named_after_the_registration(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package, then Detectron2, was imported before the variable was set."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "early"))
    register_all()
    with pytest.raises(DataError, match=rf"point --root or DETECTRON2_DATASETS \(now {tmp_path}/early\) at the folder"):
        DatasetCatalog.get("bdd100k_sem_seg_val")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tiny_root))
    message = (
        rf"early/bdd100k/.*; the data sets were registered at {tmp_path}/early, before DETECTRON2_DATASETS was changed "
        rf"\(now {tiny_root}\): call bdd100k_d2\.register_all\(\), which takes what it is then; datasets/README"
    )
    for name in ("bdd100k_sem_seg_val", "bdd100k_det_val"):
        with pytest.raises(DataError, match=message):
            DatasetCatalog.get(name)
    register_all()
    assert len(DatasetCatalog.get("bdd100k_sem_seg_val")) == 3
    register_all(tmp_path / "early")
    with pytest.raises(DataError, match=rf"point --root or DETECTRON2_DATASETS \(now {tiny_root}\) at the folder"):
        DatasetCatalog.get("bdd100k_sem_seg_val")


def test_the_default_root_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", "~/data")
    assert locate("bdd100k_det_val").images == Path.home() / "data/bdd100k/images/100k/val"
    monkeypatch.delenv("DETECTRON2_DATASETS")
    assert locate("bdd100k_sem_seg_train").labels == Path("datasets/bdd100k/labels/sem_seg/masks/train")
    with pytest.raises(KeyError, match="no dataset 'bdd100k_det_dev'; there are bdd100k_det_train"):
        locate("bdd100k_det_dev")


def test_the_real_files_load(real_root: Path) -> None:
    register_all(real_root)
    sizes = {
        split.name: len(DatasetCatalog.get(split.name)) for split in all_splits() if split.task in ("det", "sem_seg")
    }
    assert sizes == {
        "bdd100k_det_train": 4,
        "bdd100k_det_val": 1,
        "bdd100k_det_test": 11,
        "bdd100k_sem_seg_train": 16,
        "bdd100k_sem_seg_val": 4,
        "bdd100k_sem_seg_test": 6,
    }
    boxes = [
        annotation
        for split in ("train", "val")
        for record in DatasetCatalog.get(f"bdd100k_det_{split}")
        for annotation in record["annotations"]
    ]
    assert len(boxes) == 33 + 34
    raw = json.loads((real_root / "bdd100k/labels/det_20/det_val.json").read_text())[0]["labels"][0]["box2d"]
    first = DatasetCatalog.get("bdd100k_det_val")[0]["annotations"][0]["bbox"]
    assert first == pytest.approx([raw["x1"], raw["y1"], raw["x2"] - raw["x1"] + 1, raw["y2"] - raw["y1"] + 1], abs=0)


def test_training_leaves_out_frames_without_labels_and_evaluation_keeps_them(tiny_root: Path) -> None:
    register_all(tiny_root)
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    for filter_empty, count in ((cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS, 2), (False, 3)):
        assert len(get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty=filter_empty)) == count
