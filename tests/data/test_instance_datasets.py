import json
import logging
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.detection_utils import annotations_to_instances, transform_instance_annotations
from detectron2.data.transforms import HFlipTransform, TransformList
from detectron2.structures import BoxMode
from detectron2.utils.visualizer import Visualizer
from PIL import Image
from pycocotools import mask as coco_mask
from support.frames import write_image

from bdd100k_d2.data.datasets import XYWH_ABS
from bdd100k_d2.data.instances import encode_instances, load_instances, load_panoptic, panoptic_ids
from bdd100k_d2.data.labels import RLE, Frame, ImageSize, Label, LabelAttributes, write_frames
from bdd100k_d2.data.register import locate, register_all
from bdd100k_d2.errors import DataError
from bdd100k_d2.tasks import TASKS

HEIGHT, WIDTH = 96, 160


def write_bitmask(path: Path, *segments: tuple[int, int, int, tuple[slice, slice]]) -> None:
    """A bitmask of segments (annotation id, category id, attributes, region)."""
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    for number, category, attributes, region in segments:
        pixels[region] = category, attributes, number >> 8, number & 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def run_lengths(region: tuple[slice, slice], height: int = HEIGHT, width: int = WIDTH) -> RLE:
    mask = np.zeros((height, width), np.uint8, order="F")
    mask[region] = 1
    return RLE(coco_mask.encode(mask)["counts"].decode(), (height, width))


def make_frame(name: str, *labels: tuple[str, tuple[slice, slice]]) -> Frame:
    made = [Label(id=i, category=category, rle=run_lengths(region)) for i, (category, region) in enumerate(labels)]
    return Frame(name, size=ImageSize(WIDTH, HEIGHT), labels=made)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for stem in ("a", "b"):
        write_image(tmp_path / f"images/{stem}.jpg", HEIGHT, WIDTH)
    return tmp_path / "images"


LEFT, RIGHT, TOP = np.s_[10:30, 20:50], np.s_[40:90, 100:160], np.s_[0:5, :]


def pixels(annotation: dict) -> np.ndarray:
    return coco_mask.decode(annotation["segmentation"]).astype(bool)


def region_mask(region: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[region] = True
    return mask


def test_the_box_mode_is_that_of_detectron2() -> None:
    assert XYWH_ABS == BoxMode.XYWH_ABS


def test_bitmasks_become_annotations(tmp_path: Path, images: Path) -> None:
    write_bitmask(tmp_path / "labels/b.png", (700, 3, 0b1100, LEFT), (2, 8, 2, RIGHT), (5, 1, 1, TOP))
    write_bitmask(tmp_path / "labels/a.png")
    a, b = load_instances(tmp_path / "labels", images)
    assert a == {"file_name": str(images / "a.jpg"), "image_id": "a.jpg", "height": 96, "width": 160, "annotations": []}
    assert b["image_id"] == "b.jpg"
    found = [(one["category_id"], one["iscrowd"], one["bbox"]) for one in b["annotations"]]
    assert found == [(7, 1, [100, 40, 60, 50]), (0, 1, [0, 0, 160, 5]), (2, 0, [20, 10, 30, 20])]
    for one, region in zip(b["annotations"], (RIGHT, TOP, LEFT), strict=True):
        assert one["bbox_mode"] == BoxMode.XYWH_ABS
        assert (pixels(one) == region_mask(region)).all()


def test_run_lengths_become_the_same_annotations(tmp_path: Path, images: Path) -> None:
    write_bitmask(tmp_path / "bitmasks/a.png", (1, 3, 0, LEFT), (2, 7, 2, RIGHT), (3, 4, 1, TOP))
    frame = make_frame("a.jpg", ("car", LEFT), ("motor", RIGHT), ("trailer", TOP))
    frame.labels[1].attributes = LabelAttributes(crowd=True)
    write_frames([frame], tmp_path / "rles.json")
    (expected,) = load_instances(tmp_path / "bitmasks", images)
    (found,) = load_instances(tmp_path / "rles.json", images)
    assert found == expected
    assert [one["iscrowd"] for one in found["annotations"]] == [0, 1, 1]


def test_hundreds_of_instances_are_read(tmp_path: Path, images: Path) -> None:
    parts = [(i, 3, 0, (slice(i // 150, i // 150 + 1), slice(i % 150, i % 150 + 1))) for i in range(1, 301)]
    write_bitmask(tmp_path / "labels/a.png", *parts)
    write_bitmask(tmp_path / "labels/b.png")
    record, _ = load_instances(tmp_path / "labels", images)
    boxes = [[i % 150, i // 150, 1, 1] for i in range(1, 301)]
    assert [one["bbox"] for one in record["annotations"]] == boxes


def test_instances_are_encoded_as_pycocotools_does() -> None:
    rng = np.random.default_rng(0)
    for shape in ((7, 5), (1, 9), (9, 1), (30, 40)):
        instances = rng.integers(0, 6, shape).astype(np.int32)
        wanted = np.setdiff1d(np.unique(instances), [0, 3])
        expected = [coco_mask.encode(np.asfortranarray(instances == number).astype(np.uint8)) for number in wanted]
        assert encode_instances(instances, wanted) == expected
    assert encode_instances(instances, np.zeros(0, int)) == []


def test_detectron2_takes_the_annotations(tmp_path: Path, images: Path) -> None:
    write_bitmask(tmp_path / "labels/a.png", (1, 3, 0, LEFT))
    (record,) = load_instances(tmp_path / "labels", images)
    flip = TransformList([HFlipTransform(WIDTH)])
    size = (record["height"], record["width"])
    flipped = [transform_instance_annotations(one, flip, size) for one in record["annotations"]]
    instances = annotations_to_instances(flipped, size, mask_format="bitmask")
    assert instances.gt_boxes.tensor.tolist() == [[110, 10, 140, 30]]
    assert (instances.gt_masks.tensor[0].numpy() == region_mask(LEFT)[:, ::-1]).all()


def test_panoptic_ids() -> None:
    assert {31 + i: i for i in range(10)} == panoptic_ids(TASKS["pan_seg"]).things
    assert {1 + i: 1 + i for i in range(30)} == panoptic_ids(TASKS["pan_seg"]).stuff


@pytest.mark.parametrize("form", ["bitmasks", "rles"])
def test_panoptic_labels(tmp_path: Path, images: Path, form: str) -> None:
    labels = tmp_path / form
    if form == "bitmasks":
        write_bitmask(
            labels / "a.png", (1, 7, 0, TOP), (31, 35, 0, LEFT), (300, 31, 2, RIGHT), (9, 0, 3, np.s_[95:, :])
        )
    else:
        frame = make_frame("a.jpg", ("road", TOP), ("car", LEFT), ("unlabeled", TOP), ("person", RIGHT))
        frame.labels[3].attributes = LabelAttributes(ignored=True)
        labels.mkdir()
        write_frames([frame], labels / "a.json")
    (record,) = load_panoptic(labels, images)
    assert [(one["category_id"], one["bbox"], one["iscrowd"]) for one in record["annotations"]] == [
        (4, [20, 10, 30, 20], 0),
        (0, [100, 40, 60, 50], 1),
    ]
    segments = record["segments_info"]
    assert [(one["category_id"], one["isthing"], one["iscrowd"]) for one in segments] == [
        (7, False, 0),
        (4, True, 0),
        (0, True, 1),
    ]
    if form == "bitmasks":
        assert [one["id"] for one in segments] == [1, 31, 300]
        assert record["bitmask_file_name"] == str(labels / "a.png")
    else:
        assert [one["id"] for one in segments] == [1, 2, 3]
        assert "bitmask_file_name" not in record
        for one, region in zip(segments, (TOP, LEFT, RIGHT), strict=True):
            assert (pixels(one) == region_mask(region)).all()


def test_the_metadata_name_the_panoptic_classes(tmp_path: Path, images: Path) -> None:
    register_all(tmp_path)
    metadata = MetadataCatalog.get("bdd100k_pan_seg_val")
    assert metadata.evaluator_type == "bdd100k_pan_seg"
    assert [metadata.thing_classes[i] for i in (0, 4, 9)] == ["person", "car", "truck"]
    assert [metadata.stuff_classes[i] for i in (0, 1, 7, 30)] == ["things", "dynamic", "road", "sky"]
    assert (len(metadata.thing_colors), len(metadata.stuff_colors)) == (10, 31)
    assert metadata.stuff_colors[7] == (128, 64, 128) and metadata.thing_colors[4] == (0, 0, 142)
    assert metadata.thing_dataset_id_to_contiguous_id[35] == 4
    assert metadata.stuff_dataset_id_to_contiguous_id[7] == 7
    assert MetadataCatalog.get("bdd100k_ins_seg_train").thing_classes[7] == "bicycle"
    write_bitmask(tmp_path / "labels/a.png", (1, 7, 0, TOP), (31, 35, 0, LEFT))
    (record,) = load_panoptic(tmp_path / "labels", images)
    # No colour of Detectron2's palette, from which the Visualizer draws at random.
    image = np.full((HEIGHT, WIDTH, 3), (10, 80, 160), np.uint8)
    drawn = Visualizer(image, metadata).draw_dataset_dict(record).get_image()
    assert (drawn[LEFT] != image[LEFT]).any()


@pytest.mark.parametrize("task", ["ins_seg", "pan_seg"])
def test_bitmasks_come_before_run_lengths(tmp_path: Path, task: str, caplog: pytest.LogCaptureFixture) -> None:
    base = tmp_path / "bdd100k"
    write_image(base / "images/10k/val/a.jpg", HEIGHT, WIDTH)
    split = locate(f"bdd100k_{task}_val", tmp_path)
    register_all(tmp_path)
    (base / f"labels/{task}/rles").mkdir(parents=True)
    write_frames([make_frame("a.jpg", ("car", LEFT))], base / f"labels/{task}/rles/{task}_val.json")
    with caplog.at_level(logging.INFO, "bdd100k_d2"):
        (record,) = DatasetCatalog.get(split.name)
    assert record["annotations"][0]["bbox"] == [20, 10, 30, 20]
    assert f"{task}/bitmasks/val is not there: " in caplog.text
    # What is on the disk is looked at when the dataset is loaded, not when it is registered.
    write_bitmask(base / f"labels/{task}/bitmasks/val/a.png", (40, 1, 0, TOP))
    assert split.present().labels == base / f"labels/{task}/bitmasks/val"
    (record,) = DatasetCatalog.get(split.name)
    assert [one["bbox"] for one in record["annotations"]] == ([[0, 0, 160, 5]] if task == "ins_seg" else [])


def test_test_splits_have_images_only(tmp_path: Path) -> None:
    write_image(tmp_path / "bdd100k/images/10k/test/a.jpg")
    register_all(tmp_path)
    for task in ("ins_seg", "pan_seg"):
        assert [one["image_id"] for one in DatasetCatalog.get(f"bdd100k_{task}_test")] == ["a.jpg"]
        assert MetadataCatalog.get(f"bdd100k_{task}_test").label_path is None


def test_known_gaps_between_labels_and_images(tmp_path: Path, images: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_bitmask(tmp_path / "bitmasks/a.png")
    write_bitmask(tmp_path / "bitmasks/ff55861e-a06b953c.png")
    frames = [make_frame("a.jpg", ("car", LEFT)), make_frame("ff55861e-a06b953c.jpg", ("car", LEFT))]
    frames[0].labels.append(Label(id=9, category="car"))
    write_frames(frames, tmp_path / "rles.json")
    for labels in ("bitmasks", "rles.json"):
        (record,) = load_instances(tmp_path / labels, images)
        assert record["image_id"] == "a.jpg"
    for message in ("1 masks without an image", "1 images without a mask", "1 frames without an image"):
        assert message in caplog.text
    assert "rles.json: 1 labels without run lengths are left out" in caplog.text


def test_bad_bitmasks_are_named(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "labels/b.png"
    write_bitmask(tmp_path / "labels/a.png")
    write_bitmask(path, (1, 9, 0, LEFT), (2, 41, 0, RIGHT))
    with pytest.raises(DataError, match=r"b.png: the bitmask holds the category ids \[9, 41\]; 1 to 8 are allowed"):
        load_instances(tmp_path / "labels", images)
    with pytest.raises(DataError, match=r"b.png: the bitmask holds the category ids \[41\]; 1 to 40 are allowed"):
        load_panoptic(tmp_path / "labels", images)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)
    with pytest.raises(DataError, match="b.png: a bitmask has four channels"):
        load_instances(tmp_path / "labels", images)
    (images / "b.jpg").unlink()
    with pytest.raises(DataError, match="1 of 2 images of the masks in .* are missing, the first is b.jpg"):
        load_instances(tmp_path / "labels", images)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (Label(3, "boat", rle=run_lengths(LEFT)), "frame a.jpg, label 3: (unknown category )?'boat'"),
        (Label(3, "car", rle=run_lengths(LEFT, 96, 161)), "frame a.jpg, label 3: the mask has 96x161 pixels"),
        (Label(3, "car", rle=RLE("0", (96, 160))), "frame a.jpg, label 3: the run lengths add up to 0 pixels"),
        (Label(3, "car"), "none of its 1 labels has a mask in run lengths .*not polygons/"),
    ],
)
def test_bad_run_lengths_are_named(tmp_path: Path, images: Path, label: Label, message: str) -> None:
    write_frames([Frame("a.jpg", size=ImageSize(WIDTH, HEIGHT), labels=[label])], tmp_path / "rles.json")
    for load in (load_instances, load_panoptic):
        with pytest.raises(DataError, match=f"rles.json: .*{message}"):
            load(tmp_path / "rles.json", images)


def test_a_class_of_another_task(tmp_path: Path, images: Path) -> None:
    write_frames([make_frame("a.jpg", ("traffic sign", LEFT))], tmp_path / "rles.json")
    with pytest.raises(DataError, match="frame a.jpg, label 0: unknown category 'traffic sign'"):
        load_instances(tmp_path / "rles.json", images)


def test_no_labels(tmp_path: Path, images: Path) -> None:
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match=r"labels: no .json file in the folder"):
        load_instances(tmp_path / "labels", images)
    with pytest.raises(DataError, match="nowhere: the label file cannot be read"):
        load_panoptic(tmp_path / "nowhere", images)


@pytest.mark.parametrize(
    ("task", "split", "things", "segments"),
    [("ins_seg", "train", 7, 0), ("ins_seg", "val", 31, 0), ("pan_seg", "train", 4, 15)],
)
def test_the_real_run_lengths_load(real_root: Path, task: str, split: str, things: int, segments: int) -> None:
    register_all(real_root)
    (record,) = DatasetCatalog.get(f"bdd100k_{task}_{split}")
    assert len(record["annotations"]) == things
    assert len(record.get("segments_info", ())) == segments
    assert (record["height"], record["width"]) == (720, 1280)
    if task == "ins_seg":
        path = real_root / f"bdd100k/labels/ins_seg/rles/ins_seg_{split}.json"
        for one, label in zip(record["annotations"], json.loads(path.read_text())[0]["labels"], strict=True):
            box = label["box2d"]
            corners = [box["x1"], box["y1"], box["x2"] - box["x1"] + 1, box["y2"] - box["y1"] + 1]
            assert one["bbox"] == pytest.approx(corners, abs=1)
